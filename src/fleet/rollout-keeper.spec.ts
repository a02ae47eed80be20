import { afterAll, describe, expect, it } from '@jest/globals';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FakeClock } from '../../test/support/fake-clock.js';
import { until } from '../../test/support/service.js';
import { parseSettings, type Settings } from '../config/index.js';
import { createFleetStorage, type FleetStorage } from './create-fleet-store.js';
import { LmdbRolloutKeeper, type RolloutKey } from './lmdb/lmdb-rollout-keeper.js';

const NOTHING = { offered: 0, installed: 0, failed: 0 };

const folder = mkdtempSync(join(tmpdir(), 'otaflux-rollouts-'));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

function settingsWith(options: Record<string, string>): Settings {
  const given = Object.entries({ REGISTRY_URL: 'oci:.', ...options });
  return parseSettings(Object.fromEntries(given.map(([name, value]) => [name, { value, where: 'test' }])));
}

const open = (options: Record<string, string>): Promise<FleetStorage> =>
  createFleetStorage(settingsWith(options), new FakeClock());

async function close({ ledger, store }: FleetStorage): Promise<void> {
  await ledger.close();
  await store.close();
}

describe.each(['STATE_DIR', 'CACHE_DIR'])('the ledger of rollouts in %s', (option) => {
  it('knows after a restart what it knew before', async () => {
    const path = join(folder, option);
    const first = await open({ [option]: mkdtempSync(path) });
    await close(first);
    const where = mkdtempSync(path);
    const before = await open({ [option]: where });
    before.ledger.count('esp32', '1.5.0', { offered: 3, failed: 1 });
    before.ledger.reach('esp32', '1.5.0', { index: 1, sinceMs: 5 });
    before.ledger.halt('esp32', '1.5.0', { reason: 'too many', atMs: 6 });
    before.ledger.count('line-1/sensor', '2.0.0#2', { offered: 1 });
    before.ledger.count('esp32', 'gone', { offered: 1 });
    before.ledger.keep('esp32', new Set(['1.5.0']));
    await close(before);
    const after = await open({ [option]: where });
    expect(after.ledger.find('esp32', '1.5.0')).toEqual({
      tally: { offered: 3, installed: 0, failed: 1 },
      stage: { index: 1, sinceMs: 5 },
      halt: { reason: 'too many', atMs: 6 },
    });
    expect(after.ledger.find('line-1/sensor', '2.0.0#2')?.tally).toEqual({ offered: 1, installed: 0, failed: 0 });
    expect(after.ledger.find('esp32', 'gone')).toBeUndefined();
    expect(after.ledger.isShared).toBe(false);
    await close(after);
  });
});

describe('the records of rollouts in LMDB', () => {
  it('wait for the disk once for each halt, not for what units report after it', async () => {
    const waits: string[] = [];
    const puts: string[] = [];
    const table = {
      getRange: () => [{ key: ['esp32', '1.3.0'], value: { tally: NOTHING, halt: { reason: 'too many', atMs: 1 } } }],
      putSync: ([, key]: RolloutKey) => waits.push(key),
      put: ([, key]: RolloutKey) => Promise.resolve(puts.push(key) > 0),
      remove: () => Promise.resolve(true),
    };
    const keeper = new LmdbRolloutKeeper(table as unknown as ConstructorParameters<typeof LmdbRolloutKeeper>[0]);
    expect([...keeper.read()]).toHaveLength(1);
    const halt = { reason: 'too many', atMs: 6 };
    const changed = (key: string, halted: boolean): void => {
      keeper.changed('esp32', key, { tally: NOTHING, stage: undefined, halt: halted ? halt : undefined });
    };
    changed('1.5.0', false);
    for (let i = 0; i < 3; i++) changed('1.5.0', true);
    // It was halted before the restart.
    changed('1.3.0', true);
    expect(waits).toEqual(['1.5.0']);
    expect(puts).toHaveLength(5);
    keeper.changed('esp32', '1.5.0', undefined);
    changed('1.5.0', true);
    expect(waits).toEqual(['1.5.0', '1.5.0']);
    await keeper.close();
  });
});

describe('rollouts.json in CACHE_DIR', () => {
  it('has a halt at once, also while it is being written without it', async () => {
    const where = mkdtempSync(join(folder, 'halt'));
    const file = join(where, 'rollouts.json');
    const storage = await open({ CACHE_DIR: where });
    storage.ledger.count('esp32', '1.4.0', { failed: 1 });
    await until(() => existsSync(`${file}.new`) || existsSync(file), 'the begin of a write');
    storage.ledger.halt('esp32', '1.5.0', { reason: 'too many', atMs: 6 });
    expect(readFileSync(file, 'utf8')).toContain('too many');
    storage.ledger.count('esp32', '1.5.0', { failed: 1 });
    await close(storage);
    expect(readFileSync(file, 'utf8')).toMatch(/"failed":1.*too many/s);
    expect(readdirSync(where)).not.toContain('rollouts.json.halt');
  });

  it('is written within a second, and as a whole', async () => {
    const where = mkdtempSync(join(folder, 'soon'));
    const storage = await open({ CACHE_DIR: where });
    storage.ledger.count('esp32', '1.5.0', { failed: 1 });
    await until(() => existsSync(join(where, 'rollouts.json')), 'the file');
    expect(JSON.parse(readFileSync(join(where, 'rollouts.json'), 'utf8'))).toHaveLength(1);
    expect(readdirSync(where)).toEqual(['rollouts.json']);
    await close(storage);
  });

  it.each([
    ['no JSON', '[['],
    ['another shape', '{"esp32":1}'],
    [
      'entries that nobody wrote',
      JSON.stringify([
        ['esp32', '1.5.0', { tally: { offered: -1, installed: 0, failed: 0 } }],
        ['esp32', '1.5.0', { tally: { offered: 1e300, installed: 0, failed: 0 } }],
        ['esp32', '1.5.0', { tally: { offered: 1, installed: 0, failed: 0 }, halt: { reason: 1, atMs: 1 } }],
        'x',
      ]),
    ],
  ])('counts as empty if it holds %s', async (_what, content) => {
    const where = mkdtempSync(join(folder, 'broken'));
    writeFileSync(join(where, 'rollouts.json'), content);
    const storage = await open({ CACHE_DIR: where });
    expect(storage.ledger.find('esp32', '1.5.0')).toBeUndefined();
    storage.ledger.count('esp32', '1.5.0', { offered: 1 });
    await close(storage);
    const again = await open({ CACHE_DIR: where });
    expect(again.ledger.find('esp32', '1.5.0')?.tally.offered).toBe(1);
    await close(again);
  });

  it('is not written without rollouts, and one that cannot be written stops nothing', async () => {
    const where = mkdtempSync(join(folder, 'none'));
    await close(await open({ CACHE_DIR: where }));
    expect(readdirSync(where)).toEqual([]);
    rmSync(where, { recursive: true });
    const storage = await open({ CACHE_DIR: where });
    storage.ledger.halt('esp32', '1.5.0', { reason: 'too many', atMs: 6 });
    await close(storage);
    expect(storage.ledger.find('esp32', '1.5.0')?.halt?.reason).toBe('too many');
  });
});
