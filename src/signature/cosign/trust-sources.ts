import type { Logger } from '@nestjs/common';
import type { SignatureCounts } from '../../metrics/index.js';
import type { TrustSource } from '../trust-source.js';

/** The logger for changes of keys and trusted roots. */
export type TrustLogger = Pick<Logger, 'log' | 'error'>;

/**
 * All key files, key folders and trusted roots. Each is read, logged and counted separately, so that an error in one
 * does not affect the others.
 */
export class TrustSources {
  private readonly problems = new Map<string, string>();

  constructor(
    private readonly sources: readonly TrustSource[],
    private readonly logger: TrustLogger,
    private readonly meter: SignatureCounts | undefined,
  ) {
    for (const { name } of sources) meter?.readable(name, true);
  }

  /**
   * Reads every source again. Returns the names of those that changed. Logs a problem if it is new or different, and
   * logs its end.
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
