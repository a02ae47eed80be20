import { describe, expect, it } from '@jest/globals';
import { rolloutEntry } from './rollout-options.js';

describe('the stages of otaflux rollout start', () => {
  const untilOf = (options: Parameters<typeof rolloutEntry>[0]): unknown[] =>
    (rolloutEntry(options, new Date(0)).stages as { until?: unknown }[]).map(({ until }) => until);

  it.each([
    ['the default', {}, [98, 98, 98].map((share) => ({ succeeded: `${share}%`, least: 20 }))],
    ['--until', { until: '90%/4' }, [90, 90, 90].map((share) => ({ succeeded: `${share}%`, least: 4 }))],
    ['--stages', { stages: '1%/1d,10%/1d' }, [undefined, undefined]],
    [
      'both',
      { stages: '1%/1d/99%,10%/1d,50%/1d/80%/7', until: '90%/4' },
      [
        { succeeded: '99%', least: 4 },
        { succeeded: '90%', least: 4 },
        { succeeded: '80%', least: 7 },
      ],
    ],
  ])('wait for successful installs as they are told by %s', (_what, options, expected) => {
    expect(untilOf(options)).toEqual(expected);
  });
});
