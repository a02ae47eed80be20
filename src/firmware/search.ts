import { Transcript, type Answers, type Registry } from '../registry/index.js';

/** One search for the releases of a product: whom it asks, and what it records for a start without the registry. */
export class Search {
  private readonly parts = new Map<string, Transcript>();

  /**
   * @param again whether to verify again what is known
   * @param records whether the answers are recorded
   */
  constructor(
    private readonly registry: Registry,
    readonly signal: AbortSignal,
    readonly again = false,
    private readonly records = false,
  ) {}

  /**
   * Returns the registry to ask for one part of the search: the plan, or one version. Each part is recorded by itself,
   * because the next search repeats only those that have changed.
   */
  part(name = ''): Registry {
    if (!this.records) return this.registry;
    let part = this.parts.get(name);
    if (!part) this.parts.set(name, (part = Transcript.recording(this.registry)));
    return part;
  }

  /** Returns the answers that were recorded of a part. */
  answers(name = ''): Answers {
    return this.parts.get(name)?.answers ?? {};
  }
}
