import { Injectable } from '@nestjs/common';
import { OtaError } from '../errors.js';

/**
 * How the registry last behaved, as seen by what was asked of it; nobody asks it for this. Only what the registry itself
 * answered counts: a full cache or a missing trusted root stops a refresh, too.
 */
@Injectable()
export class RegistryState {
  private answeredAtMs: number | undefined;
  private failure: unknown;

  answered(): void {
    this.answeredAtMs = Date.now();
    this.failure = undefined;
  }

  /** Notes a question that failed. A wrong answer, a refusal and "not there" are answers. */
  failed(error: unknown): void {
    if (error instanceof OtaError && error.code !== 'unavailable') this.answered();
    else this.failure = error;
  }

  /** `unknown` before the first question. */
  get status(): 'unknown' | 'up' | 'down' {
    if (this.failure !== undefined) return 'down';
    return this.answeredAtMs === undefined ? 'unknown' : 'up';
  }

  /** When it last answered, as milliseconds since the epoch. */
  get lastAnswerAtMs(): number | undefined {
    return this.answeredAtMs;
  }
}
