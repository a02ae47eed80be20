export { redisPlace, type RedisPlace } from './redis-client.js';
export { RedisLink, type RedisNews, type RedisScript } from './redis-link.js';
export { RedisReplicas } from './redis-replicas.js';
