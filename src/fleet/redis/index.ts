export { RedisFleetStore } from './redis-fleet-store.js';
export { RedisRolloutLedger } from './redis-rollout-ledger.js';
