import { describe, expect, it } from '@jest/globals';
import { OtaError, type OtaErrorCode } from '../errors.js';
import { absentSince, isWithdrawn } from './refresh-failure.js';

const INTERVAL_MS = 5_000;

/** Whether the last of some refreshes, each with its time in seconds, withdraws a known release. */
function withdraws(...refreshes: [number, OtaErrorCode | 'good'][]): boolean {
  let sinceMs: number | undefined;
  let result = false;
  for (const [seconds, code] of refreshes) {
    const nowMs = seconds * 1000;
    const failure = code === 'good' ? undefined : new OtaError(code, code);
    sinceMs = failure && absentSince(sinceMs, failure, nowMs);
    result = failure !== undefined && isWithdrawn(failure, sinceMs, nowMs, INTERVAL_MS);
  }
  return result;
}

describe('a known release is withdrawn', () => {
  it.each([
    ['at once when nobody may serve it', [[0, 'untrusted']]],
    [
      'when it has been absent for a minute',
      [
        [0, 'absent'],
        [30, 'absent'],
        [60, 'absent'],
      ],
    ],
  ] as [string, [number, OtaErrorCode | 'good'][]][])('%s', (_name, refreshes) => {
    expect(withdraws(...refreshes)).toBe(true);
  });
});

describe('a known release stays', () => {
  it.each([
    ['when it was absent once', [[0, 'absent']]],
    [
      'within the minute',
      [
        [0, 'absent'],
        [59, 'absent'],
      ],
    ],
    [
      'however long the registry refuses',
      [
        [0, 'denied'],
        [86_400, 'denied'],
      ],
    ],
    [
      'however long the registry is away',
      [
        [0, 'unavailable'],
        [86_400, 'unavailable'],
      ],
    ],
    [
      'however long the registry answers wrongly',
      [
        [0, 'protocol'],
        [86_400, 'protocol'],
      ],
    ],
    [
      'when a long outage lies between two answers',
      [
        [0, 'absent'],
        [10, 'unavailable'],
        [3_600, 'absent'],
      ],
    ],
    [
      'when a refusal lies between two answers',
      [
        [0, 'absent'],
        [10, 'denied'],
        [3_600, 'absent'],
      ],
    ],
    [
      'when it was there in between',
      [
        [0, 'absent'],
        [30, 'good'],
        [70, 'absent'],
      ],
    ],
  ] as [string, [number, OtaErrorCode | 'good'][]][])('%s', (_name, refreshes) => {
    expect(withdraws(...refreshes)).toBe(false);
  });
});
