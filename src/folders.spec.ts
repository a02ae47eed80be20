import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeFolder } from './folders.js';

describe('makeFolder', () => {
  let root: string;
  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), 'otaflux-folders-'));
    writeFileSync(join(root, 'file'), '');
  });
  afterAll(() => {
    rmSync(root, { recursive: true });
  });

  it('creates the parents, too, and takes what is there', async () => {
    for (let i = 0; i < 2; i++) await makeFolder(join(root, 'a', 'b', 'c'));
    expect(statSync(join(root, 'a', 'b', 'c')).isDirectory()).toBe(true);
    await makeFolder('/');
  });

  it('takes what others create meanwhile', async () => {
    for (let round = 0; round < 50; round++) {
      const path = join(root, `many-${round}`, 'x', 'y', 'z');
      await Promise.all(Array.from({ length: 16 }, (_value, i) => makeFolder(join(path, String(i % 3)))));
      expect(statSync(join(path, '2')).isDirectory()).toBe(true);
    }
  });

  it.each([
    ['a file', 'file', 'EEXIST'],
    ['a path below a file', 'file/below', 'ENOTDIR'],
    ['a path far below a file', 'file/far/below', 'ENOTDIR'],
  ])('refuses %s', async (_name, path, code) => {
    await expect(makeFolder(join(root, path))).rejects.toMatchObject({ code });
  });

  (process.platform === 'linux' ? it : it.skip)(
    'ends where the system makes no folder though the parent is there',
    async () => {
      await expect(makeFolder('/proc/no-such-folder/below')).rejects.toMatchObject({ code: 'ENOENT' });
    },
  );
});
