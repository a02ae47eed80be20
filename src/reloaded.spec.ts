import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Reloaded } from './reloaded.js';

class Lines extends Logger {
  readonly events: string[] = [];

  override log(line: { event: string }): void {
    this.events.push(line.event);
  }

  override error(line: { event: string; reason: string }): void {
    this.events.push(`${line.event}: ${line.reason}`);
  }
}

describe('A file that is read again', () => {
  const folder = mkdtempSync(join(tmpdir(), 'otaflux-reloaded-'));
  const path = join(folder, 'number');
  let lines: Lines;
  let file: Reloaded<number>;

  const parse = (text: string): number => {
    if (!/^\d+$/.test(text)) throw new Error(`${text.slice(0, 1)} is no digit`);
    return Number(text);
  };
  const look = (text?: string): void => {
    if (text === undefined) rmSync(path);
    else writeFileSync(path, text);
    file.reload();
  };

  beforeEach(() => {
    writeFileSync(path, '1');
    lines = new Lines();
    file = new Reloaded('--number', [path], parse, lines);
  });
  afterEach(() => {
    file.stop();
  });

  it.each([
    ['after it was put right', ['x', '2', 'x'], ['x', 'reloaded', 'x']],
    ['after what was there before came back', ['x', '1', 'x'], ['x', 'reloaded', 'x']],
    ['behind the first', ['x', 'y'], ['x', 'y']],
    ['of the same kind in another text', ['x1', 'x2'], ['x', 'x']],
    ['that is that it cannot be read', ['x', undefined, '1', undefined], ['x', 'cannot', 'reloaded', 'cannot']],
  ])('reports a second mistake like the first: %s', (_name, texts, expected) => {
    for (const text of texts) look(text);
    expect(lines.events).toHaveLength(expected.length);
    for (const [i, what] of expected.entries()) expect(lines.events[i]).toContain(what);
  });

  it('reports a mistake that stays once, and goes on with what was good', () => {
    for (const text of ['x', 'x', 'x']) look(text);
    expect(lines.events).toEqual(['file.failed: x is no digit']);
    expect(file.current).toBe(1);
    look('3');
    expect(file.current).toBe(3);
  });

  it('says nothing while nothing changes', () => {
    look('1');
    expect(lines.events).toEqual([]);
  });
});
