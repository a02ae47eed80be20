import type { Logger } from '@nestjs/common';
import { readFileSync } from 'node:fs';
import { ConfigError, reasonOf } from './errors.js';
import { every, type Timer } from './timers.js';

/** How often files are looked at: a mounted Secret takes up to a minute to change anyway. */
export const RELOAD_MS = 10_000;

/**
 * What files say, read again when they change. A change that cannot be read or parsed is reported once, the next mistake again, and changes nothing:
 * half of a new pair of files must not take the service away.
 */
export class Reloaded<T> {
  private texts: readonly string[];
  private value: T;
  /** What was wrong at the last look, and in which texts; undefined when nothing was. */
  private mistake: string | undefined;
  private readonly timer: Timer;

  /**
   * Throws ConfigError, which names `option`, when the files cannot be read or parsed now.
   *
   * @param parse throws an Error with one line for what is wrong
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
      this.value = parse(...this.texts);
    } catch (error) {
      throw new ConfigError(`${option}: ${reasonOf(error)}`);
    }
    this.timer = every(RELOAD_MS, () => {
      this.reload();
    });
  }

  get current(): T {
    return this.value;
  }

  /** Looks at the files now. */
  reload(): void {
    let texts: readonly string[] = [];
    try {
      texts = this.read();
      const isSame = texts.every((text, index) => text === this.texts[index]);
      if (isSame && this.mistake === undefined) return;
      if (!isSame) {
        const value = this.parse(...texts);
        this.onChange(value);
        this.texts = texts;
        this.value = value;
      }
      this.mistake = undefined;
      this.logger.log({ event: 'file.reloaded', option: this.option });
    } catch (error) {
      const reason = reasonOf(error);
      const mistake = JSON.stringify([reason, ...texts]);
      if (mistake !== this.mistake) this.logger.error({ event: 'file.failed', option: this.option, reason });
      this.mistake = mistake;
    }
  }

  stop(): void {
    this.timer.stop();
  }

  private read(): string[] {
    return this.paths.map((path) => {
      try {
        return readFileSync(path, 'utf8');
      } catch (error) {
        throw new Error(`cannot read ${JSON.stringify(path)}: ${reasonOf(error)}`, { cause: error });
      }
    });
  }
}
