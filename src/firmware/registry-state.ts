import type { OtaError } from '../errors.js';

/** How the registry last behaved, as seen by what was asked of it; nobody asks it for this. */
export class RegistryState {
  private answeredAtMs: number | undefined;
  private failure: { readonly error: OtaError; readonly atMs: number } | undefined;

  answered(): void {
    this.answeredAtMs = Date.now();
    this.failure = undefined;
  }

  failed(error: OtaError): void {
    this.failure = { error, atMs: Date.now() };
  }

  /** `unknown` before the first question. */
  get status(): 'unknown' | 'up' | 'down' {
    if (this.failure) return 'down';
    return this.answeredAtMs === undefined ? 'unknown' : 'up';
  }

  /** When it last answered, as milliseconds since the epoch. */
  get lastAnswerAtMs(): number | undefined {
    return this.answeredAtMs;
  }
}
