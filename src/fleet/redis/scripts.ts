import type { RedisScript } from '../../replicas/index.js';

/** Versions of a product that are counted by themselves, as in the other stores. */
const MAX_VERSIONS = 1_000;

/**
 * Replaces the state of a unit if nobody else has changed it meanwhile, and counts it.
 * KEYS: states by unit, names in order, counts by version.
 * ARGV: unit, the state before ('' for none), the state after ('' to remove it), the versions before and after (`=1.0.0`,
 * '' for none), whether further units may be added.
 * Returns: 1 and the number of units; 0 and the state that another replica has written; 2 if there is no room.
 */
export const CHANGE_UNIT: RedisScript = {
  name: 'otafluxChangeUnit',
  keys: 3,
  lua: `
local known = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if known ~= ARGV[2] then return {0, known} end
if known == '' and ARGV[6] == '0' then return {2, ''} end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
  redis.call('ZREM', KEYS[2], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
  if known == '' then redis.call('ZADD', KEYS[2], 0, ARGV[1]) end
end
if ARGV[4] ~= ARGV[5] then
  if ARGV[4] ~= '' and redis.call('HEXISTS', KEYS[3], ARGV[4]) == 1 then
    if redis.call('HINCRBY', KEYS[3], ARGV[4], -1) <= 0 then redis.call('HDEL', KEYS[3], ARGV[4]) end
  end
  if ARGV[5] ~= '' and (redis.call('HEXISTS', KEYS[3], ARGV[5]) == 1 or redis.call('HLEN', KEYS[3]) < ${MAX_VERSIONS}) then
    redis.call('HINCRBY', KEYS[3], ARGV[5], 1)
  end
end
return {1, redis.call('HLEN', KEYS[1])}`,
};

/** Returns the next names and their states. KEYS: states by unit, names in order. ARGV: from ("-" or "(NAME"), number. */
export const LIST_UNITS: RedisScript = {
  name: 'otafluxListUnits',
  keys: 2,
  lua: `
local names = redis.call('ZRANGEBYLEX', KEYS[2], ARGV[1], '+', 'LIMIT', 0, ARGV[2])
if #names == 0 then return {{}, {}} end
return {names, redis.call('HMGET', KEYS[1], unpack(names))}`,
};

/**
 * Applies changes of one replica to the records of a product, once: a batch that was applied is known by its number.
 * KEYS: records (fields `KEY NAME`), the number of the last batch of this replica.
 * ARGV: number of the batch, the changes as JSON: a list of [key, name, value]. Returns all records.
 */
export const CHANGE_ROLLOUTS: RedisScript = {
  name: 'otafluxChangeRollouts',
  keys: 2,
  lua: `
if tonumber(redis.call('GET', KEYS[2]) or '0') < tonumber(ARGV[1]) then
  for _, change in ipairs(cjson.decode(ARGV[2])) do
    local key, name, value = change[1], change[2], change[3]
    local field = key .. ' ' .. name
    if name == 'drop' then
      for _, part in ipairs({'offered', 'installed', 'failed', 'stage', 'halt'}) do
        redis.call('HDEL', KEYS[1], key .. ' ' .. part)
      end
    elseif name == 'stage' then
      local known = redis.call('HGET', KEYS[1], field)
      local reached = known and tonumber(string.match(known, '^%d+'))
      if not reached or reached < tonumber(string.match(value, '^%d+')) then redis.call('HSET', KEYS[1], field, value) end
    elseif name == 'halt' then
      redis.call('HSETNX', KEYS[1], field, value)
    elseif string.sub(name, 1, 6) == 'least ' then
      field = key .. ' ' .. string.sub(name, 7)
      if tonumber(redis.call('HGET', KEYS[1], field) or '0') < value then redis.call('HSET', KEYS[1], field, value) end
    elseif redis.call('HINCRBY', KEYS[1], field, value) < 0 then
      redis.call('HSET', KEYS[1], field, 0)
    end
  end
  redis.call('SET', KEYS[2], ARGV[1], 'EX', 86400)
end
return redis.call('HGETALL', KEYS[1])`,
};

/**
 * Takes offers from what a rate allows. KEYS: counts by slot. ARGV: the slot now, the number of slots, what all of them may
 * hold, how many are wanted (negative: given back), seconds after which nothing is known any more. Returns how many.
 */
export const TAKE_OFFERS: RedisScript = {
  name: 'otafluxTakeOffers',
  keys: 1,
  lua: `
local now, slots, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[4])
local sum = 0
local counts = redis.call('HGETALL', KEYS[1])
for i = 1, #counts, 2 do
  local slot = tonumber(counts[i])
  if slot < now - slots or slot > now + slots then redis.call('HDEL', KEYS[1], counts[i])
  else sum = sum + tonumber(counts[i + 1]) end
end
local granted = math.min(wanted, math.max(0, tonumber(ARGV[3]) - sum))
if granted ~= 0 then
  redis.call('HINCRBY', KEYS[1], ARGV[1], granted)
  redis.call('EXPIRE', KEYS[1], ARGV[5])
end
return granted`,
};

/**
 * Notes that the records of a product were changed. KEYS: number of the last change, products by the number of their last
 * change. ARGV: product. Returns the number.
 */
export const TOUCH_PRODUCT: RedisScript = {
  name: 'otafluxTouchProduct',
  keys: 2,
  lua: `
local revision = redis.call('INCR', KEYS[1])
redis.call('ZADD', KEYS[2], revision, ARGV[1])
return revision`,
};
