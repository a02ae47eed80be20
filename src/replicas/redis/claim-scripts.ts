import type { RedisScript } from '../redis-connection.js';

/** Claims a key for ARGV[1], for ARGV[2] milliseconds. Returns who has it. */
export const CLAIM: RedisScript = {
  name: 'otafluxClaim',
  keys: 1,
  lua: `
local held = redis.call('GET', KEYS[1])
if held then return held end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]`,
};

/** Gives a key back that ARGV[1] has claimed. */
export const RELEASE: RedisScript = {
  name: 'otafluxRelease',
  keys: 1,
  lua: `
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`,
};
