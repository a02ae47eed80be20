import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Logger } from '@nestjs/common';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Reloaded } from './reloaded.js';

describe('what is reloaded from a file', () => {
  let folder: string;
  let path: string;
  let lines: object[];
  let reloaded: Reloaded<number>;

  const write = (text: string): void => {
    writeFileSync(path, text);
    reloaded.reload();
  };
  const number = (text: string): number => {
    if (!/^\d+$/.test(text)) throw new Error(`${JSON.stringify(text)} is no number`);
    return Number(text);
  };

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'otaflux-reloaded-'));
    path = join(folder, 'file');
    writeFileSync(path, '1');
    lines = [];
    const note = (line: object): void => void lines.push(line);
    reloaded = new Reloaded('--x', [path], number, { log: note, error: note } as unknown as Logger);
  });
  afterEach(() => {
    reloaded.stop();
    rmSync(folder, { recursive: true });
  });

  it('says a mistake once, and keeps what was right', () => {
    write('one');
    reloaded.reload();
    expect(lines).toEqual([
      { event: 'file.failed', option: '--x', reason: expect.stringMatching(/file": "one" is no number$/) },
    ]);
    expect(reloaded.current).toBe(1);
  });

  it('says a second mistake like the first, also without a good file between them', () => {
    write('one');
    write('two');
    rmSync(path);
    reloaded.reload();
    reloaded.reload();
    expect(lines).toMatchObject([
      { event: 'file.failed', reason: expect.stringContaining('"one" is no number') },
      { event: 'file.failed', reason: expect.stringContaining('"two" is no number') },
      { event: 'file.failed', reason: expect.stringMatching(/no such file/) },
    ]);
  });

  it('says when the file is again as it was, and a mistake after that', () => {
    write('one');
    write('1');
    write('one');
    expect(lines).toMatchObject([
      { event: 'file.failed' },
      { event: 'file.recovered', option: '--x' },
      { event: 'file.failed' },
    ]);
  });

  it('says a mistake after a good change', () => {
    write('one');
    write('2');
    expect(reloaded.current).toBe(2);
    write('one');
    expect(lines).toMatchObject([{ event: 'file.failed' }, { event: 'file.reloaded' }, { event: 'file.failed' }]);
  });
});
