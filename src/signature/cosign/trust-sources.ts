import type { Logger } from '@nestjs/common';
import type { SignatureMeter } from '../../metrics/index.js';
import type { TrustSource } from '../trust-source.js';

/** Where changes of what is trusted are logged. */
export type TrustLogger = Pick<Logger, 'log' | 'error'>;

/** All that says who is trusted: each source is read, logged and counted by itself, so that none holds up another. */
export class TrustSources {
  private readonly problems = new Map<string, string>();

  constructor(
    private readonly sources: readonly TrustSource[],
    private readonly logger: TrustLogger,
    private readonly meter: SignatureMeter | undefined,
  ) {
    for (const { name } of sources) meter?.readable(name, true);
  }

  /**
   * Reads every source again; returns those that say something else now. A problem is logged when it is new or another
   * one, and its end is logged, too.
   */
  reload(): string[] {
    return this.sources.flatMap((source) => {
      const { changed, problem } = source.reload();
      this.note(source.name, problem);
      return changed ? [source.name] : [];
    });
  }

  private note(source: string, problem: string | undefined): void {
    const before = this.problems.get(source);
    if (problem === before) return;
    this.meter?.readable(source, problem === undefined);
    if (problem === undefined) {
      this.problems.delete(source);
      this.logger.log({ event: 'signature.keys_recovered', source });
    } else {
      this.problems.set(source, problem);
      this.logger.error({ event: 'signature.keys_failed', source, reason: problem });
    }
  }
}
