import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FolderLock } from './folder-lock.js';

describe('A lock between processes', () => {
  const { signal } = new AbortController();
  let folder: string;
  let path: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'otaflux-lock-'));
    path = join(folder, '.lock');
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  /** As a process leaves it that is killed while it holds it. */
  function leaveBehind(agoMs: number): void {
    mkdirSync(path);
    const file = join(path, 'dead');
    writeFileSync(file, '');
    const at = new Date(Date.now() - agoMs);
    utimesSync(file, at, at);
  }

  async function contend(contenders: number, staleMs?: number): Promise<number> {
    let inside = 0;
    let most = 0;
    const work = async (): Promise<void> => {
      most = Math.max(most, ++inside);
      for (let turn = 0; turn < 3; turn++) await stat(folder);
      inside--;
    };
    const contend = async (_value: unknown, i: number): Promise<void> => {
      // Not in step, so that one is in the midst of breaking a lock when another has taken it.
      for (let turn = 0; turn < i % 12; turn++) await stat(folder);
      await new FolderLock(path, staleMs).hold(signal, work);
    };
    await Promise.all(Array.from({ length: contenders }, contend));
    return most;
  }

  it('lets one in at a time, and leaves nothing', async () => {
    expect(await contend(30)).toBe(1);
    expect(readdirSync(folder)).toEqual([]);
  });

  it.each([2, 8, 30])('lets one in at a time when %i find a stale one at once', async (contenders) => {
    for (let round = 0; round < 15; round++) {
      leaveBehind(60_000);
      expect(await contend(contenders)).toBe(1);
      expect(readdirSync(folder)).toEqual([]);
    }
  });

  it('waits for one that is held', async () => {
    leaveBehind(0);
    const giveUp = new AbortController();
    const waiting = new FolderLock(path).hold(giveUp.signal, () => Promise.resolve());
    await new Promise((resolve) => setTimeout(resolve, 50));
    giveUp.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    expect(readdirSync(path)).toEqual(['dead']);
  });

  it('tells an owner whose lock was broken, and leaves the lock of the other alone', async () => {
    await new FolderLock(path).hold(signal, async (demand) => {
      await expect(demand()).resolves.toBeUndefined();
      rmSync(path, { recursive: true });
      leaveBehind(0);
      await expect(demand()).rejects.toMatchObject({ name: 'OtaError' });
    });
    expect(readdirSync(path)).toEqual(['dead']);
  });

  it('is free again after work that failed', async () => {
    await expect(new FolderLock(path).hold(signal, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(await contend(1)).toBe(1);
  });
});
