import { describe, expect, it } from '@jest/globals';
import { partText, sizeText } from '../quantities.js';
import { Progress, progressText, StatusLine, type Screen } from './progress.js';

describe('a size', () => {
  it.each([
    [0, '0 bytes'],
    [999, '999 bytes'],
    [1_000, '1 KB'],
    [293_123, '293 KB'],
    [999_600, '1.0 MB'],
    [1_048_576, '1.0 MB'],
    [2_100_000, '2.1 MB'],
    [4 * 1024 ** 3, '4.3 GB'],
    [5e15, '5000.0 TB'],
  ])('of %d is %s', (bytes, text) => {
    expect(sizeText(bytes)).toBe(text);
  });

  it('and a part of it have one unit', () => {
    expect(partText(400_000, 1_048_576)).toBe('0.4/1.0 MB');
    expect(partText(0, 40_000)).toBe('0/40 KB');
  });
});

describe('progress', () => {
  const state = { name: 'firmware.bin', bytes: 390_000, totalBytes: 1_048_576, elapsedMs: 1_000 };

  it('is written as people read it', () => {
    expect(progressText(state, 80)).toBe(' 37 %  0.4/1.0 MB  390 KB/s  firmware.bin');
    expect(progressText({ ...state, elapsedMs: 10 }, 80)).toBe(' 37 %  0.4/1.0 MB  firmware.bin');
    expect(progressText({ ...state, bytes: 1_048_576 }, 80)).toMatch(/^100 % {2}1\.0\/1\.0 MB/);
  });

  it.each([
    'firmware.bin',
    'a-name-that-is-longer-than-any-terminal'.repeat(5),
    '固件'.repeat(40),
    '🚀'.repeat(60),
    'a\nb\u001B[2J',
  ])('is never wider than the terminal, with a file %s', (name) => {
    for (let width = 1; width <= 120; width++) {
      const written: string[] = [];
      const screen: Screen = { isTTY: true, columns: width + 1, write: (text) => written.push(text) };
      StatusLine.on(screen)?.show(progressText({ ...state, name }, width));
      const [line = ''] = written;
      // eslint-disable-next-line no-control-regex
      expect(line).toMatch(/^\r.*\u001B\[K$/);
      // eslint-disable-next-line no-control-regex
      const shown = line.replaceAll(/^\r|\u001B\[K$/g, '');
      expect(shown).not.toMatch(/\p{Cc}/u);
      const wide = shown.match(/[\u{1F680}固件]/gu)?.length ?? 0;
      expect(Array.from(shown).length + wide).toBeLessThanOrEqual(width);
    }
  });

  it('is drawn ten times a second at most, and leaves nothing behind', () => {
    let nowMs = 0;
    let text = '';
    const line = StatusLine.on({ isTTY: true, columns: 40, write: (more) => (text += more) })!;
    const progress = new Progress(line, 'a.bin', 1_000_000, () => nowMs);
    for (let bytes = 0; bytes < 1_000_000; bytes += 1_000) {
      nowMs += 1;
      progress.update(bytes);
    }
    expect(text.split('\r').length - 1).toBeLessThanOrEqual(11);
    expect(text).not.toContain('\n');
    line.clear();
    line.clear();
    expect(text.endsWith('\r\u001B[K')).toBe(true);
    expect(text.split('\r\u001B[K')).toHaveLength(2);
  });

  it('is for terminals only', () => {
    expect(StatusLine.on({ write: () => undefined })).toBeUndefined();
    expect(StatusLine.on({ isTTY: false, columns: 80, write: () => undefined })).toBeUndefined();
  });
});
