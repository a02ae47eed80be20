import type { Clock } from '../clock.js';
import type { Settings } from '../config/index.js';
import type { RedisLink, SharedRedis } from '../replicas/index.js';
import { demandFolder } from '../usable-folder.js';
import { FileRolloutKeeper } from './file-rollout-keeper.js';
import type { FleetStore } from './fleet-store.js';
import { MemoryFleetStore } from './memory-fleet-store.js';
import { MemoryRolloutLedger } from './memory-rollout-ledger.js';
import type { RolloutLedger } from './rollout-ledger.js';

/** Where units and rollouts are kept. */
export interface FleetStorage {
  readonly store: FleetStore;
  readonly ledger: RolloutLedger;
}

/**
 * Returns the storage that the settings select: the Redis of REDIS_URL, LMDB in STATE_DIR, or memory. Without STATE_DIR, rollouts are also kept in
 * CACHE_DIR. Rejects with ConfigError.
 *
 * @param own replaces the built-in store of units
 */
export async function createFleetStorage(
  { stateDir, cacheDir }: Settings,
  clock: Clock,
  shared?: SharedRedis,
  own?: FleetStore,
): Promise<FleetStorage> {
  if (stateDir !== undefined) await demandFolder('--state-dir', stateDir);
  if (shared?.link) return inRedis(shared, shared.link, clock, stateDir ?? cacheDir, own);
  if (stateDir !== undefined && !own) {
    // The library is only loaded if it is used.
    const opened = await (await import('./lmdb/index.js')).openLmdb(stateDir);
    if (opened) return { store: opened.store, ledger: new MemoryRolloutLedger(clock, opened.keeper) };
  }
  const folder = stateDir ?? cacheDir;
  const keeper = folder === undefined ? undefined : await FileRolloutKeeper.open(folder);
  return { store: own ?? new MemoryFleetStore(), ledger: new MemoryRolloutLedger(clock, keeper) };
}

/** The file in `folder` is for a start while Redis cannot be reached: halts are known then, too. */
async function inRedis(
  shared: SharedRedis,
  link: RedisLink,
  clock: Clock,
  folder: string | undefined,
  own: FleetStore | undefined,
): Promise<FleetStorage> {
  const { RedisFleetStore, RedisRolloutLedger } = await import('./redis/index.js');
  const keeper = folder === undefined ? undefined : await FileRolloutKeeper.open(folder);
  return {
    ledger: await RedisRolloutLedger.open(link, shared.use(), clock, keeper),
    store: own ?? new RedisFleetStore(link, shared.use()),
  };
}
