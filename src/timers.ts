/**
 * The longest time that Node's timers and most libraries can count: 2^31 - 1 ms, 24.8 days. Node runs a longer timer
 * after 1 ms.
 */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/** Work that is to be done later. */
export interface Timer {
  /** The work is not done any more. */
  stop(): void;
}

export interface TimerOptions {
  /** The process may end before the time is over. */
  readonly background?: boolean;
}

/** Runs `work` once, `ms` milliseconds from now: of any length, `Infinity` is never, and what is not above 0 is at once. */
export function after(ms: number, work: () => void, { background = false }: TimerOptions = {}): Timer {
  let timer: NodeJS.Timeout;
  const wait = (leftMs: number): void => {
    const pieceMs = timerMs(leftMs);
    timer = setTimeout(() => {
      if (leftMs > pieceMs) wait(leftMs - pieceMs);
      else work();
    }, pieceMs);
    if (background) timer.unref();
  };
  wait(ms);
  return {
    stop: () => {
      clearTimeout(timer);
    },
  };
}

/** Runs `work` every `ms` milliseconds until it is stopped; does not keep the process alive. */
export function every(ms: number, work: () => void): Timer {
  let timer: Timer;
  const wait = (): void => {
    timer = after(
      ms,
      () => {
        wait();
        work();
      },
      { background: true },
    );
  };
  wait();
  return {
    stop: () => {
      timer.stop();
    },
  };
}

/** Resolves after `ms` milliseconds, of any length; rejects with the reason of `signal` as soon as that is aborted. */
export function delay(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      timer.stop();
      reject(reasonFor(signal));
    };
    const timer = after(ms, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    if (signal?.aborted) onAbort();
    else signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** A duration as a timer, or a timeout option of a library, takes it: from 0 to `MAX_TIMER_MS`. */
export function timerMs(ms: number): number {
  return ms > 0 ? Math.min(ms, MAX_TIMER_MS) : 0;
}

function reasonFor(signal: AbortSignal | undefined): Error {
  const reason: unknown = signal?.reason;
  return reason instanceof Error ? reason : new Error('aborted', { cause: reason });
}

/** Resolves behind what waits in the event loop now: for long work that must not hold up answers. */
export const turn = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(resolve);
  });
