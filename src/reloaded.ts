import type { Logger } from '@nestjs/common';
import { readFileSync } from 'node:fs';
import { ConfigError, explained, ExplainedError, reasonOf } from './errors.js';
import { fileProblem } from './file-problem.js';
import { inFile } from './pem.js';
import { every, type Timer } from './timers.js';

/** How often the files are checked. A mounted Secret takes up to a minute to change anyway. */
export const RELOAD_MS = 10_000;

/**
 * A value that is read from files, and read again when they change. If the changed files cannot be read or parsed, the
 * old value stays, and each different error is logged once: a pair of files of which only one is replaced must not stop
 * the service. Files that do not belong together get a Reloaded each, so that an error in one does not delay a change
 * in another.
 */
export class Reloaded<T> {
  private texts: readonly string[];
  private value: T;
  /** Why the files cannot be used now; undefined if they can. */
  private problem: string | undefined;
  private readonly timer: Timer;

  /**
   * Throws ConfigError, which names `option`, if the files cannot be read or parsed now.
   *
   * @param parse throws an Error with one line that says what is wrong, and names the file if there are several
   */
  constructor(
    private readonly option: string,
    private readonly paths: readonly string[],
    private readonly parse: (...texts: string[]) => T,
    private readonly logger: Logger,
    private readonly onChange: (value: T) => void = () => undefined,
  ) {
    try {
      this.texts = this.read();
      this.value = this.parsed(this.texts);
    } catch (error) {
      throw new ConfigError(`${option}: ${reasonOf(error)}`, { cause: error });
    }
    this.timer = every(RELOAD_MS, () => {
      this.reload();
    });
  }

  get current(): T {
    return this.value;
  }

  /** Checks the files now. */
  reload(): void {
    try {
      const texts = this.read();
      if (texts.every((text, index) => text === this.texts[index])) {
        if (this.problem !== undefined) this.logger.log({ event: 'file.recovered', option: this.option });
      } else {
        const value = this.parsed(texts);
        this.onChange(value);
        this.texts = texts;
        this.value = value;
        this.logger.log({ event: 'file.reloaded', option: this.option });
      }
      this.problem = undefined;
    } catch (error) {
      const problem = explained(error);
      if (problem.reason !== this.problem) this.logger.error({ event: 'file.failed', option: this.option, ...problem });
      this.problem = problem.reason;
    }
  }

  stop(): void {
    this.timer.stop();
  }

  private parsed(texts: readonly string[]): T {
    const [path = '', ...others] = this.paths;
    return others.length > 0 ? this.parse(...texts) : inFile(path, () => this.parse(...texts));
  }

  private read(): string[] {
    return this.paths.map((path) => {
      try {
        return readFileSync(path, 'utf8');
      } catch (error) {
        throw new ExplainedError(`cannot read ${JSON.stringify(path)}: ${fileProblem(error)}`, { cause: error });
      }
    });
  }
}
