import { Subject, type Observable } from 'rxjs';
import { OtaError, reasonOf, type OtaErrorCode } from '../errors.js';
import type { RegistryMeter, RegistryOperation } from '../metrics/index.js';

/** Why the registry cannot be used. */
export interface RegistryFailure {
  readonly code: OtaErrorCode;
  /** One sentence for operators, without secrets. */
  readonly reason: string;
  /** The variables of the options to check. Empty if no option is the cause. */
  readonly options: readonly string[];
}

/** The state of the registry in `/status` and in the health checks. */
export interface RegistrySummary {
  /** `unknown` before the first answer or failure. `down` while the registry cannot be used, for any reason. */
  readonly state: 'unknown' | 'up' | 'down';
  /** Time of its last usable answer. */
  readonly lastAnswer: string | null;
  /** Why it is down. */
  readonly error: RegistryFailure | null;
}

/** How failures are explained. */
export interface FailureExplanation {
  /** Returns the options that may have caused a failure. */
  readonly optionsBehind: (error: OtaError) => readonly string[];
  /** Removes secrets from a text. */
  readonly redact: (text: string) => string;
}

/** An older answer does not show whether the registry can be used now. */
const MAX_AGE_MS = 5_000;

/**
 * Whether the registry can be used, derived from the results of operations. Only answers of the registry count: a full
 * cache or a missing trusted root stops a refresh, too.
 *
 * Content that was read proves that the registry can be used. A missing answer proves that it cannot. A refusal, a
 * wrong answer or "not found" may concern one repository or all of them: in doubt, RegistryCheck asks the registry
 * itself with `ping` (decision 37).
 */
export class RegistryState {
  private readonly doubtful = new Subject<void>();
  private readonly noted = new Subject<void>();
  /** For people; durations are counted on the other clock. */
  private answeredAtMs: number | undefined;
  private answeredMs = -Infinity;
  private current: { readonly failure: RegistryFailure; readonly isOfPing: boolean } | undefined;
  private hasPinged = false;
  private hasRead = false;
  /** Whether content was read after a ping that failed. */
  private isContradicted = false;
  private askNow: () => Promise<void> = () => Promise.resolve();

  /** @internal Nest makes it. */
  constructor(
    meter: RegistryMeter,
    private readonly explanation: FailureExplanation,
  ) {
    meter.observe(
      () => this.status,
      () => this.failure?.code,
    );
  }

  /** Notes a successful operation. */
  answered(operation: RegistryOperation): void {
    const isPing = operation === 'ping';
    this.hasPinged ||= isPing;
    this.hasRead ||= !isPing;
    // A registry that refuses the ping but allows reading may always do so. One more ping shows it.
    this.isContradicted = !isPing && (this.isContradicted || this.current?.isOfPing === true);
    this.noteAnswer();
    this.current = undefined;
    this.noted.next();
    if (this.isContradicted) this.doubtful.next();
  }

  /** Notes a failed operation. */
  failed(operation: RegistryOperation, error: unknown): void {
    const failure = OtaError.from(error, 'unavailable', 'the registry failed');
    const isPing = operation === 'ping';
    if (isPing) this.isContradicted = false;
    if (failure.code === 'unavailable') this.fails(failure, isPing);
    else if (!isPing) this.doubt(failure);
    // Some registries let anonymous users read public repositories, but refuse the ping.
    else if (this.hasPinged || !this.hasRead) this.fails(failure, true);
  }

  /** `unknown` before the first answer or failure. */
  get status(): RegistrySummary['state'] {
    if (this.current) return 'down';
    return this.answeredAtMs === undefined ? 'unknown' : 'up';
  }

  /** Why it is down; undefined if it is not. */
  get failure(): RegistryFailure | undefined {
    return this.current?.failure;
  }

  /** Time of its last usable answer, in milliseconds since the epoch. */
  get lastAnswerAtMs(): number | undefined {
    return this.answeredAtMs;
  }

  /** The state for JSON, with times in ISO 8601. */
  get summary(): RegistrySummary {
    return {
      state: this.status,
      lastAnswer: this.answeredAtMs === undefined ? null : new Date(this.answeredAtMs).toISOString(),
      error: this.failure ?? null,
    };
  }

  /** Returns one sentence about an error for operators, without secrets of the registry. */
  reasonOf(error: unknown): string {
    return this.explanation.redact(reasonOf(error));
  }

  /** Emits after every answer and failure that was noted. */
  get notes(): Observable<void> {
    return this.noted;
  }

  /** Emits when only a ping can show whether the registry can be used. */
  get doubts(): Observable<void> {
    return this.doubtful;
  }

  /** Sets the function that pings the registry for `refreshed`. */
  askedBy(ask: () => Promise<void>): void {
    this.askNow = ask;
  }

  /** Pings the registry if it is not up or has not answered for 5 s. Resolves to this state afterwards. */
  async refreshed(): Promise<this> {
    const ageMs = performance.now() - this.answeredMs;
    if (this.status !== 'up' || ageMs > MAX_AGE_MS) await this.askNow();
    return this;
  }

  private noteAnswer(): void {
    this.answeredAtMs = Date.now();
    this.answeredMs = performance.now();
  }

  private fails(error: OtaError, isOfPing: boolean): void {
    const failure = {
      code: error.code,
      reason: this.reasonOf(error),
      options: this.explanation.optionsBehind(error),
    };
    this.current = { failure, isOfPing };
    this.noted.next();
  }

  /** While the registry is up, a missing repository is normal. Everything else raises a doubt. */
  private doubt({ code }: OtaError): void {
    if (this.status === 'up') this.noteAnswer();
    if (this.status !== 'up' || code !== 'absent') this.doubtful.next();
  }
}
