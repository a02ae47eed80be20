import { OtaError } from '../../errors.js';
import { delay } from '../../timers.js';
import { discard, header, type RegistryRequest, type RegistryResponse, type Transport } from './transport.js';

/** oras-go's policy (registry/remote/retry/policy.go): five retries, 200 ms to 3 s, exponential, 10 % jitter. */
const MAX_RETRIES = 5;
const MIN_WAIT_MS = 200;
const MAX_WAIT_MS = 3_000;
const JITTER = 0.1;

/** Milliseconds to wait before retry number `attempt` (from 0). */
export function backoffMs(attempt: number): number {
  const base = Math.min(MIN_WAIT_MS * 2 ** attempt, MAX_WAIT_MS);
  return base * (1 - JITTER + Math.random() * 2 * JITTER);
}

/** Sends again what failed in a way that may pass, as long as the caller's deadline allows. */
export class RetryTransport implements Transport {
  constructor(private readonly next: Transport) {}

  close(): Promise<void> {
    return this.next.close();
  }

  async send(request: RegistryRequest): Promise<RegistryResponse> {
    for (let attempt = 0; ; attempt++) {
      const outcome = await this.attempt(request);
      const waitMs = mayRetry(request, attempt) ? retryAfterMs(outcome, attempt) : undefined;
      if (waitMs === undefined || performance.now() + waitMs >= request.deadlineMs) return settle(outcome);
      if (!(outcome instanceof OtaError)) discard(outcome);
      await delay(waitMs, request.signal).catch((cause: unknown) => {
        throw outcome instanceof OtaError
          ? outcome
          : new OtaError('unavailable', `gave up after status ${outcome.status}`, { cause });
      });
    }
  }

  private async attempt(request: RegistryRequest): Promise<RegistryResponse | OtaError> {
    try {
      return await this.next.send(request);
    } catch (error) {
      return OtaError.from(error, 'unavailable', 'request failed');
    }
  }
}

/** A body that was streamed is gone, and an upload step may have taken effect: only what can be repeated is. */
function mayRetry(request: RegistryRequest, attempt: number): boolean {
  return attempt < MAX_RETRIES && !request.signal.aborted && (request.method === 'GET' || request.method === 'HEAD');
}

/** How long to wait before the next try, or undefined when there should be none. */
function retryAfterMs(outcome: RegistryResponse | OtaError, attempt: number): number | undefined {
  if (outcome instanceof OtaError) return outcome.code === 'unavailable' ? backoffMs(attempt) : undefined;
  const { status } = outcome;
  // 501 is no mishap: what is not implemented now is not a second later.
  if ((status !== 408 && status !== 429 && status < 500) || status === 501) return undefined;
  return parseRetryAfter(header(outcome, 'retry-after')) ?? backoffMs(attempt);
}

/** RFC 9110, section 10.2.3: seconds or a date; in milliseconds from now. */
export function parseRetryAfter(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}

function settle(outcome: RegistryResponse | OtaError): RegistryResponse {
  if (outcome instanceof OtaError) throw outcome;
  return outcome;
}
