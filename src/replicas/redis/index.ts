export { redisPlace, type RedisPlace } from './redis-client.js';
export { ConnectedRedis } from './redis-link.js';
export { RedisReplicas } from './redis-replicas.js';
