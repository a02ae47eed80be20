export { RedisFleetStore } from './redis-fleet-store.js';
