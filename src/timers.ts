import { setMaxListeners } from 'node:events';

/**
 * The longest time that timers of Node and of most libraries accept: 2^31 - 1 ms, 24.8 days. Node runs a longer timer
 * after 1 ms.
 */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/** Work that is scheduled for later. */
export interface Timer {
  /** Cancels the work. */
  stop(): void;
}

export interface TimerOptions {
  /** If true, the timer does not keep the process alive. */
  readonly background?: boolean;
}

/**
 * Runs `work` once, `ms` milliseconds from now. Any length is allowed: `Infinity` means never, 0 and less means at
 * once.
 */
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

/** Runs `work` every `ms` milliseconds until it is stopped. Does not keep the process alive. */
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

/** Resolves after `ms` milliseconds, of any length. Rejects with the reason of `signal` as soon as it is aborted. */
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
    else if (signal) {
      // Many may wait at the same time. Node warns if there are more than ten listeners.
      setMaxListeners(0, signal);
      signal.addEventListener('abort', onAbort, { once: true });
    }
  });
}

/** Returns a duration that timers, and timeout options of libraries, accept: from 0 to `MAX_TIMER_MS`. */
export function timerMs(ms: number): number {
  return ms > 0 ? Math.min(ms, MAX_TIMER_MS) : 0;
}

function reasonFor(signal: AbortSignal | undefined): Error {
  const reason: unknown = signal?.reason;
  return reason instanceof Error ? reason : new Error('aborted', { cause: reason });
}

/** Resolves after everything that waits in the event loop now. Use it in long work that must not delay responses. */
export const turn = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(resolve);
  });
