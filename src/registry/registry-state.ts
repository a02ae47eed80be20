import { Subject, type Observable } from 'rxjs';
import { OtaError, reasonOf, type OtaErrorCode } from '../errors.js';
import type { RegistryMeter, RegistryOperation } from '../metrics/index.js';

/** Why the registry cannot be used. */
export interface RegistryFailure {
  readonly code: OtaErrorCode;
  /** One sentence for operators, without secrets. */
  readonly reason: string;
  /** The options to look at, by variable; none where no option is the cause. */
  readonly options: readonly string[];
}

/** The state of the registry, as `/status` and the probes show it. */
export interface RegistrySummary {
  /** `unknown` before the first answer; `down` while the registry cannot be used, whatever the reason. */
  readonly state: 'unknown' | 'up' | 'down';
  /** When it last gave an answer that could be used. */
  readonly lastAnswer: string | null;
  /** Why it is down. */
  readonly error: RegistryFailure | null;
}

/** How failures are explained. */
export interface FailureExplanation {
  /** The options that a failure may come from. */
  readonly optionsBehind: (error: OtaError) => readonly string[];
  /** Takes secrets out of a text. */
  readonly redact: (text: string) => string;
}

/**
 * Whether the registry can be used, as seen by what it was asked. Only what the registry itself answered counts: a full
 * cache or a missing trusted root stops a refresh, too.
 *
 * Content that was read proves that the registry can be used, and an answer that did not come proves that it cannot. A
 * refusal, a wrong answer or "not there" may be about one repository, or about all of them: whoever sees one in doubt
 * asks the registry itself, by `ping` (decision 37).
 */
export class RegistryState {
  private readonly doubtful = new Subject<void>();
  private readonly noted = new Subject<void>();
  private answeredAtMs: number | undefined;
  private current: { readonly failure: RegistryFailure; readonly isOfPing: boolean } | undefined;
  private hasPinged = false;
  private hasRead = false;
  /** Whether content was read that the last ping said could not be. */
  private isContradicted = false;
  private askNow: () => Promise<void> = () => Promise.resolve();

  constructor(
    meter: RegistryMeter,
    private readonly explanation: FailureExplanation,
  ) {
    meter.observe(
      () => this.status,
      () => this.failure?.code,
    );
  }

  /** Notes a question that was answered. */
  answered(operation: RegistryOperation): void {
    const isPing = operation === 'ping';
    this.hasPinged ||= isPing;
    this.hasRead ||= !isPing;
    // A registry that refuses the ping and lets us read may do so always. One more ping tells.
    this.isContradicted = !isPing && (this.isContradicted || this.current?.isOfPing === true);
    this.answeredAtMs = Date.now();
    this.current = undefined;
    this.noted.next();
    if (this.isContradicted) this.doubtful.next();
  }

  /** Notes a question that failed. */
  failed(operation: RegistryOperation, error: unknown): void {
    const failure = OtaError.from(error, 'unavailable', 'the registry failed');
    const isPing = operation === 'ping';
    if (isPing) this.isContradicted = false;
    if (failure.code === 'unavailable') this.fails(failure, isPing);
    else if (!isPing) this.doubt(failure);
    // Some registries let anonymous users read public repositories, and refuse them the ping.
    else if (this.hasPinged || !this.hasRead) this.fails(failure, true);
  }

  /** `unknown` before the first answer. */
  get status(): RegistrySummary['state'] {
    if (this.current) return 'down';
    return this.answeredAtMs === undefined ? 'unknown' : 'up';
  }

  /** Why it is down; undefined while it is not. */
  get failure(): RegistryFailure | undefined {
    return this.current?.failure;
  }

  /** When it last gave an answer that could be used, as milliseconds since the epoch. */
  get lastAnswerAtMs(): number | undefined {
    return this.answeredAtMs;
  }

  /** The same for JSON, with times as ISO 8601. */
  get summary(): RegistrySummary {
    return {
      state: this.status,
      lastAnswer: this.answeredAtMs === undefined ? null : new Date(this.answeredAtMs).toISOString(),
      error: this.failure ?? null,
    };
  }

  /** One sentence about an error for operators, without secrets of the registry. */
  reasonOf(error: unknown): string {
    return this.explanation.redact(reasonOf(error));
  }

  /** Emits after every answer and failure that was noted. */
  get notes(): Observable<void> {
    return this.noted;
  }

  /** Emits when only the registry itself can tell whether it can be used. */
  get doubts(): Observable<void> {
    return this.doubtful;
  }

  /** Names who asks the registry for `refreshed`. */
  askedBy(ask: () => Promise<void>): void {
    this.askNow = ask;
  }

  /** Resolves to this state, after the registry was asked again where it was not up. */
  async refreshed(): Promise<this> {
    if (this.status !== 'up') await this.askNow();
    return this;
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

  /** That a repository is not there is everyday while the registry is up, all else may be new. */
  private doubt({ code }: OtaError): void {
    if (this.status === 'up') this.answeredAtMs = Date.now();
    if (this.status !== 'up' || code !== 'absent') this.doubtful.next();
  }
}
