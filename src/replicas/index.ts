export { Alone, Replicas } from './replicas.js';
export { ReplicasModule } from './replicas.module.js';
export { SharedRedis } from './shared-redis.js';
export type { RedisLink, RedisNews, RedisScript } from './redis-connection.js';
