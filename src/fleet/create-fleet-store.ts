import type { Settings } from '../config/index.js';
import type { FleetStore } from './fleet-store.js';
import { MemoryFleetStore } from './memory-fleet-store.js';

/** Returns the store that the settings select. */
export function createFleetStore(_settings: Settings): FleetStore {
  return new MemoryFleetStore();
}
