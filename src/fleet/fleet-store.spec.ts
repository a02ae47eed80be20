import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RealRedis } from '../../test/support/real-redis.js';
import { hasProgram } from '../../test/support/real-server.js';
import { ConnectedRedis, redisPlace } from '../replicas/redis/index.js';
import type { FleetStore } from './fleet-store.js';
import { openLmdb } from './lmdb/index.js';
import { MemoryFleetStore } from './memory-fleet-store.js';
import { RedisFleetStore } from './redis/index.js';
import type { UnitState } from './unit-state.js';

const redis = new RealRedis();
const hasRedis = hasProgram('redis-server');
beforeAll(async () => {
  if (hasRedis) await redis.start();
});
afterAll(() => redis.stop());

async function openRedis(): Promise<FleetStore> {
  const link = new ConnectedRedis(await redisPlace(`${redis.url}?prefix=test${count++}`));
  await link.start();
  return new RedisFleetStore(link, () => {
    link.close();
  });
}

const folder = mkdtempSync(join(tmpdir(), 'otaflux-fleet-'));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

let count = 0;
async function openStore(path: string): Promise<FleetStore> {
  const opened = await openLmdb(path);
  if (!opened) throw new Error('no lmdb');
  return opened.store;
}
const seen = (running?: string, atMs = 1): UnitState => ({ firstSeenMs: atMs, lastSeenMs: atMs, running });
const always =
  (state: UnitState): (() => UnitState) =>
  () =>
    state;

describe.each([
  ['memory', (): Promise<FleetStore> => Promise.resolve(new MemoryFleetStore())],
  ['lmdb', (): Promise<FleetStore> => openStore(join(folder, String(count++)))],
  ...(hasRedis ? [['redis', openRedis] as const] : []),
])('the store of units in %s', (_name, open) => {
  let store: FleetStore;

  beforeEach(async () => {
    store = await open();
  });
  afterEach(() => store.close());

  it('finds what was stored, and nothing else', async () => {
    expect(await store.find({ product: 'esp32', unit: 'a' })).toBeUndefined();
    const state: UnitState = {
      ...seen('1.0.0'),
      protocol: 'ddi',
      hardware: 'rev-b',
      offer: { version: '1.1.0', digest: 'sha256:1', atMs: 2 },
      outcome: { outcome: 'failed', version: '1.1.0', digest: 'sha256:1', message: 'no space', atMs: 3 },
      attributes: { board: 'x' },
      notes: { closed: true, action: 12 },
    };
    expect(await store.update({ product: 'esp32', unit: 'a' }, always(state))).toEqual({
      before: undefined,
      after: state,
    });
    expect(await store.find({ product: 'esp32', unit: 'a' })).toEqual(state);
    expect(await store.find({ product: 'esp32', unit: 'b' })).toBeUndefined();
    expect(await store.find({ product: 'esp3', unit: '2a' })).toBeUndefined();
  });

  it('applies changes one after the other, also of one turn', async () => {
    const unit = { product: 'esp32', unit: 'a' };
    const add = (before: UnitState | undefined): UnitState => ({
      ...seen(),
      notes: { n: Number(before?.notes?.n ?? 0) + 1 },
    });
    await Promise.all(Array.from({ length: 100 }, () => store.update(unit, add)));
    expect(await store.find(unit)).toMatchObject({ notes: { n: 100 } });
  });

  it('knows nothing of a unit from the moment at which it is removed', async () => {
    const unit = { product: 'esp32', unit: 'a' };
    await store.update(unit, always(seen('1.0.0')));
    const removed = store.remove(unit);
    const seenAgain = store.update(unit, (before) => ({ ...seen('2.0.0'), notes: { isNew: before === undefined } }));
    expect(await removed).toEqual(seen('1.0.0'));
    await seenAgain;
    expect(await store.find(unit)).toEqual({ ...seen('2.0.0'), notes: { isNew: true } });
    expect(await store.counts('esp32')).toEqual({ units: 1, byVersion: new Map([['2.0.0', 1]]) });
  });

  it('counts units by what they run, as they change', async () => {
    const to = (unit: string, running: string | undefined): Promise<unknown> =>
      store.update({ product: 'esp32', unit }, always(seen(running)));
    await Promise.all([to('a', '1.0.0'), to('b', '1.0.0'), to('c', undefined), to('d', '2.0.0')]);
    await store.update({ product: 'other', unit: 'a' }, always(seen('1.0.0')));
    expect(await store.counts('esp32')).toEqual({
      units: 4,
      byVersion: new Map([
        ['1.0.0', 2],
        ['2.0.0', 1],
      ]),
    });
    await to('b', '2.0.0');
    await to('a', '2.0.0');
    expect(await store.counts('esp32')).toEqual({ units: 4, byVersion: new Map([['2.0.0', 3]]) });
    expect(await store.counts('none')).toEqual({ units: 0, byVersion: new Map() });
    expect([...(await store.products(10))].sort()).toEqual(['esp32', 'other']);
    expect(await store.products(1)).toHaveLength(1);
  });

  it('removes units, with their counts', async () => {
    const [a, b] = ['a', 'b'].map((unit) => ({ product: 'esp32', unit }));
    if (!a || !b) throw new Error('no units');
    await Promise.all([a, b].map((one) => store.update(one, always(seen('1.0.0')))));
    expect(await store.remove(a)).toEqual(seen('1.0.0'));
    expect(await store.remove(a)).toBeUndefined();
    expect(await store.find(a)).toBeUndefined();
    expect(await store.counts('esp32')).toEqual({ units: 1, byVersion: new Map([['1.0.0', 1]]) });
    const again = store.update(b, always(seen('2.0.0')));
    expect(await store.remove(b)).toEqual(seen('2.0.0'));
    await again;
    expect(await store.list('esp32', undefined, 10)).toEqual([]);
    expect(await store.products(10)).toEqual([]);
  });

  it('lists units by name, page by page, of one product only', async () => {
    const names = ['b', 'a', 'c/d', 'c', 'ä', '24:6f:28:aa:bb:cc', 'z'.repeat(128)];
    await Promise.all(names.map((unit) => store.update({ product: 'esp32', unit }, always(seen('1.0.0')))));
    for (const product of ['esp31', 'esp32-x', 'esp33']) await store.update({ product, unit: 'a' }, always(seen()));
    const all: string[] = [];
    for (let after: string | undefined; ;) {
      const page = await store.list('esp32', after, 2);
      all.push(...page.map(({ unit }) => unit));
      if (page.length < 2) break;
      after = page.at(-1)?.unit;
    }
    expect(all).toEqual([...names].sort());
    expect(await store.list('none', undefined, 10)).toEqual([]);
    // The unit after which the list goes on may have been dropped.
    expect((await store.list('esp32', 'b0', 1)).map(({ unit }) => unit)).toEqual(['c']);
  });
});

describe('the store of units in memory', () => {
  it('drops the units that were not seen for the longest time', async () => {
    const store = new MemoryFleetStore(3);
    const see = (unit: string): Promise<unknown> =>
      store.update({ product: 'esp32', unit }, (before) => ({
        ...seen('1.0.0'),
        lastSeenMs: (before?.lastSeenMs ?? 0) + 1,
      }));
    for (const unit of ['a', 'b', 'c', 'a', 'd']) await see(unit);
    expect((await store.list('esp32', undefined, 10)).map(({ unit }) => unit)).toEqual(['a', 'c', 'd']);
    expect((await store.counts('esp32')).units).toBe(3);
  });
});

describe('the store of units in LMDB', () => {
  it('has everything after a restart, with its counts', async () => {
    const path = join(folder, 'restart');
    const first = await openStore(path);
    for (const [unit, running] of [
      ['a', '1.0.0'],
      ['b', '2.0.0'],
    ] as const)
      await first.update({ product: 'esp32', unit }, always(seen(running)));
    await first.close();
    const second = await openStore(path);
    expect(second.find({ product: 'esp32', unit: 'b' })).toEqual(seen('2.0.0'));
    expect(await second.counts('esp32')).toEqual({
      units: 2,
      byVersion: new Map([
        ['1.0.0', 1],
        ['2.0.0', 1],
      ]),
    });
    await second.close();
  });

  it('refuses what comes after its end, which LMDB would answer with the end of the process', async () => {
    const store = await openStore(join(folder, 'closed'));
    const stored = store.update({ product: 'esp32', unit: 'a' }, always(seen('1.0.0')));
    const closed = store.close();
    const late = { product: 'esp32', unit: 'b' };
    await expect(store.update(late, always(seen('1.0.0')))).rejects.toMatchObject({ code: 'unavailable' });
    await closed;
    await expect(stored).resolves.toMatchObject({ after: seen('1.0.0') });
    expect(() => store.find(late)).toThrow('the server is stopping');
    await expect(store.update(late, always(seen('1.0.0')))).rejects.toMatchObject({ code: 'unavailable' });
  });

  it.each([
    ['other content', (): Buffer => Buffer.alloc(100_000, 'no database')],
    ['less than a page', (bytes: Buffer): Buffer => bytes.subarray(0, 100)],
    ['one page', (bytes: Buffer): Buffer => bytes.subarray(0, 4_096)],
    ['the first half', (bytes: Buffer): Buffer => bytes.subarray(0, bytes.length / 2)],
    ['all but its last page', (bytes: Buffer): Buffer => bytes.subarray(0, bytes.length - 4_096)],
  ])('starts anew if its file has %s, and sets it aside', async (_name, damage) => {
    const path = join(folder, `damaged-${count++}`);
    const file = join(path, 'units', 'data.mdb');
    const first = await openStore(path);
    const all = Array.from({ length: 500 }, (_one, i) => ({ product: 'esp32', unit: `unit ${i}` }));
    await Promise.all(all.map((unit) => first.update(unit, always(seen('1.0.0')))));
    await first.close();
    writeFileSync(file, damage(readFileSync(file)));
    const second = await openStore(path);
    expect(second.find({ product: 'esp32', unit: 'unit 1' })).toBeUndefined();
    await second.update({ product: 'esp32', unit: 'b' }, always(seen('1.0.0')));
    await second.close();
    expect(readdirSync(path).filter((name) => name.startsWith('units.broken-'))).toHaveLength(1);
  });
});
