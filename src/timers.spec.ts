import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { getEventListeners } from 'node:events';
import { link, linked } from './abort.js';
import { after, delay, every, MAX_TIMER_MS, timerMs } from './timers.js';

const DAY_MS = 86_400_000;

describe('timers', () => {
  beforeEach(() => {
    jest.useFakeTimers();
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  it.each([1, 24, 25, 30, 49, 50, 365])('wait %i days, and no shorter', (days) => {
    const done = jest.fn();
    after(days * DAY_MS, done);
    jest.advanceTimersByTime(days * DAY_MS - 1);
    expect(done).not.toHaveBeenCalled();
    jest.advanceTimersByTime(1);
    expect(done).toHaveBeenCalledTimes(1);
  });

  it('come again after each interval, however long', () => {
    const done = jest.fn();
    const timer = every(30 * DAY_MS, done);
    jest.advanceTimersByTime(95 * DAY_MS);
    expect(done).toHaveBeenCalledTimes(3);
    timer.stop();
    jest.advanceTimersByTime(95 * DAY_MS);
    expect(done).toHaveBeenCalledTimes(3);
  });

  it.each([
    ['stopped at once', 0],
    ['stopped in its second piece', 26 * DAY_MS],
  ])('do nothing once they are stopped: %s', (_name, passedMs) => {
    const done = jest.fn();
    const timer = after(30 * DAY_MS, done);
    jest.advanceTimersByTime(passedMs);
    timer.stop();
    jest.advanceTimersByTime(60 * DAY_MS);
    expect(done).not.toHaveBeenCalled();
  });

  it.each([-1, 0, NaN])('do what is due in %p ms at once', (ms) => {
    const done = jest.fn();
    after(ms, done);
    jest.advanceTimersByTime(1);
    expect(done).toHaveBeenCalledTimes(1);
  });

  it('never do what is due at no time', () => {
    const done = jest.fn();
    after(Infinity, done);
    jest.advanceTimersByTime(3 * MAX_TIMER_MS);
    expect(done).not.toHaveBeenCalled();
  });

  it('abort a link after a deadline of weeks, and not before', () => {
    const { signal } = link([], 40 * DAY_MS);
    jest.advanceTimersByTime(40 * DAY_MS - 1);
    expect(signal.aborted).toBe(false);
    jest.advanceTimersByTime(1);
    expect(signal.reason).toMatchObject({ name: 'TimeoutError' });
  });
});

describe('timerMs', () => {
  it.each([
    [500, 500],
    [30 * DAY_MS, MAX_TIMER_MS],
    [Infinity, MAX_TIMER_MS],
    [-5, 0],
    [NaN, 0],
  ])('makes %p ms what a library can count: %p', (ms, expected) => {
    expect(timerMs(ms)).toBe(expected);
  });
});

describe('delay', () => {
  it('ends with the reason of its signal, and leaves nothing at it', async () => {
    const stop = new AbortController();
    const waiting = delay(60_000, stop.signal);
    stop.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    await expect(delay(60_000, stop.signal)).rejects.toThrow('enough');
    const other = new AbortController();
    await delay(1, other.signal);
    expect(getEventListeners(other.signal, 'abort')).toHaveLength(0);
  });
});

describe('link', () => {
  it('follows each of its parents', () => {
    const parents = [new AbortController(), new AbortController()];
    const { signal } = link(parents.map((parent) => parent.signal));
    parents[1]!.abort(new Error('gone'));
    expect(signal.reason).toMatchObject({ message: 'gone' });
    expect(getEventListeners(parents[0]!.signal, 'abort')).toHaveLength(0);
    expect(link(parents.map((parent) => parent.signal)).signal.aborted).toBe(true);
    expect(getEventListeners(parents[0]!.signal, 'abort')).toHaveLength(0);
  });

  it.each([
    ['done', () => Promise.resolve(1)],
    ['failed', () => Promise.reject(new Error('no'))],
    [
      'thrown',
      (): Promise<number> => {
        throw new Error('no');
      },
    ],
  ])('leaves nothing at its parent once the work is %s', async (_name, work) => {
    const { signal } = new AbortController();
    await linked([signal], 1_000, work).catch(() => undefined);
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });
});
