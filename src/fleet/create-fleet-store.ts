import type { Settings } from '../config/index.js';
import { demandFolder } from '../usable-folder.js';
import type { FleetStore } from './fleet-store.js';
import { MemoryFleetStore } from './memory-fleet-store.js';

/** Returns the store that the settings select: LMDB in STATE_DIR, or memory. Rejects with ConfigError. */
export async function createFleetStore({ stateDir }: Settings): Promise<FleetStore> {
  if (stateDir === undefined) return new MemoryFleetStore();
  await demandFolder('--state-dir', stateDir);
  // The library is only loaded if it is used.
  return (await import('./lmdb/index.js')).openLmdb(stateDir);
}
