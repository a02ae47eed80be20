import { describe, expect, it } from '@jest/globals';
import { KeptNotices } from './kept-notices.js';
import { deviceOf, wordsOf } from '../broker/index.js';
import { payloadOf } from './notifier.js';

const payload = (version: string, sizeBytes = 5): string => payloadOf({ device: 'x', release: { version, sizeBytes } });

describe('what a broker keeps', () => {
  it.each(['1.0.0', '0.0.1-rc.1', '1.2.3-alpha-b.7+build.5', '1.0.20240101123456789', '1.0.0-rc.20240101123456789'])(
    'is ours with version %s',
    (version) => {
      const kept = KeptNotices.of(new Map([['line-1/sensor', payload(version)]]));
      expect([...kept]).toEqual([['line-1/sensor', payload(version)]]);
      expect(kept.foreign).toBe(0);
    },
  );

  it('is no notice any more when somebody else has written over it', () => {
    const kept = new KeptNotices();
    kept.note('esp32', payload('1.0.0'));
    kept.note('esp32', 'online');
    expect([kept.size, kept.foreign]).toEqual([0, 1]);
    kept.note('esp32', payload('1.1.0'));
    expect(kept.get('esp32')).toBe(payload('1.1.0'));
    kept.note('esp32', '');
    expect([kept.size, kept.foreign]).toEqual([0, 1]);
  });

  it('is checked also where a plug-in says what it is', () => {
    const kept = KeptNotices.of([
      ['../../api/v2.0/users?x=', payload('1.0.0')],
      ['esp32/status', '{"version":"1.0.0","size":5,"up":1}'],
      ['esp32', payload('1.0.0')],
    ]);
    expect([...kept]).toEqual([['esp32', payload('1.0.0')]]);
    expect(kept.foreign).toBe(2);
  });

  it.each(['v1.0.0', '1.0', '01.0.0', '1.0.0-', '', '1.0.0 ', '../1.0.0', `1.0.0-${'a'.repeat(300)}`])(
    'is not ours with version %j',
    (version) => {
      expect(KeptNotices.of([['esp32', payload(version)]]).size).toBe(0);
    },
  );
});

describe('the words of a device', () => {
  it.each(['plain', 'line-1/sensor', 'v1.2/sensor_a', 'a.b/c.d'])('%s is read back from its own words', (device) => {
    expect(deviceOf(wordsOf(device))).toBe(device);
  });
  it.each(['a/b', 'a.b/c', 'a%2E/b'])('%s is nothing that we write', (words) => {
    expect(deviceOf(words)).toBeUndefined();
  });
});
