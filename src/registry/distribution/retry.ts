import { backoffMs } from '../../backoff.js';
import { OtaError, reasonOf } from '../../errors.js';
import { retryAfterMs } from '../../http-date.js';
import { delay } from '../../timers.js';
import type { OnRetry } from '../on-retry.js';
import { discard, header, type RegistryRequest, type RegistryResponse, type Transport } from './transport.js';
import { isLasting } from './unreachable.js';

/** The same as in oras-go (registry/remote/retry/policy.go): five retries, after 200 ms to 3 s. */
const MAX_RETRIES = 5;
const MIN_WAIT_MS = 200;
const MAX_WAIT_MS = 3_000;

/** Returns the milliseconds to wait after a number of failures in a row. */
export function retryWaitMs(failures: number): number {
  return backoffMs(failures, MIN_WAIT_MS, MAX_WAIT_MS);
}

/** Sends a request again after a temporary failure, as long as the caller's deadline allows. */
export class RetryTransport implements Transport {
  constructor(
    private readonly next: Transport,
    private readonly onRetry: OnRetry = () => undefined,
  ) {}

  close(): Promise<void> {
    return this.next.close();
  }

  async send(request: RegistryRequest): Promise<RegistryResponse> {
    for (let attempt = 0; ; attempt++) {
      const outcome = await this.attempt(request);
      const waitMs = mayRetry(request, attempt) ? waitBefore(outcome, attempt) : undefined;
      if (waitMs === undefined || performance.now() + waitMs >= request.deadlineMs) return settle(outcome);
      this.onRetry({ host: request.url.host, reason: reasonFor(outcome), retry: attempt + 1, of: MAX_RETRIES });
      if (!(outcome instanceof OtaError)) discard(outcome);
      await delay(waitMs, request.signal).catch((cause: unknown) => {
        throw outcome instanceof OtaError
          ? outcome
          : new OtaError(
              'unavailable',
              `${request.url.host} answered ${outcome.status}, and the request was cancelled`,
              {
                cause,
              },
            );
      });
    }
  }

  private async attempt(request: RegistryRequest): Promise<RegistryResponse | OtaError> {
    try {
      return await this.next.send(request);
    } catch (error) {
      return OtaError.from(error, 'unavailable', `the request to ${request.url.host} failed`);
    }
  }
}

/**
 * Returns whether a request may be repeated: reads only. A streamed body cannot be sent again, and a step of an upload
 * may have taken effect.
 */
function mayRetry(request: RegistryRequest, attempt: number): boolean {
  return attempt < MAX_RETRIES && !request.signal.aborted && (request.method === 'GET' || request.method === 'HEAD');
}

/** Returns the milliseconds to wait before the next try, or undefined if there should be none. */
function waitBefore(outcome: RegistryResponse | OtaError, attempt: number): number | undefined {
  const backoff = retryWaitMs(attempt + 1);
  if (outcome instanceof OtaError) return outcome.code === 'unavailable' && !isLasting(outcome) ? backoff : undefined;
  const { status } = outcome;
  // 501 is permanent: the function will not be implemented a second later.
  if ((status !== 408 && status !== 429 && status < 500) || status === 501) return undefined;
  return retryAfterMs(header(outcome, 'retry-after')) ?? backoff;
}

function reasonFor(outcome: RegistryResponse | OtaError): string {
  return outcome instanceof OtaError ? reasonOf(outcome.cause ?? outcome) : `it answered ${outcome.status}`;
}

function settle(outcome: RegistryResponse | OtaError): RegistryResponse {
  if (outcome instanceof OtaError) throw outcome;
  return outcome;
}
