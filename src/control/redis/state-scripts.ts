import { RedisScript } from './redis-script.ts';

/** Longer than the longest lease that can be configured. */
const MOST_LEASE_MS = 300_000;

/** For this long after the state was lost, hosts write back the orders that they know; a host that comes later might bring back old ones. */
export const RESTORE_WINDOW_MS = 60_000;

/**
 * State changes that must be atomic, as Lua scripts. KEYS[1] is the fleet's key prefix; the keys below it are
 *
 *     hosts            hash  host -> {"expiresMs", "card"}
 *     draining         set   of hosts
 *     orders           hash  stream -> order          orders-revision  text
 *     assignments      hash  stream -> assignment     assigned:HOST    set of streams, the reverse index
 *     leases           hash  stream -> lease          plan:HOST        revision of what the host must run
 *     leader           {"hostId", "expiresMs"}        counter          the last number that `nextNumber` returned
 *     epoch            number, made when the state was empty    removed:STREAM   marks an order that was just removed
 *
 * `rollout-scripts.ts` lists the keys of roll-outs.
 *
 * Time is Redis's clock. Malformed entries (written by another program) count as absent.
 */
const PRELUDE = `
local p = KEYS[1]
local time = redis.call('TIME')
local nowUs = time[1] * 1000000 + time[2]
local nowMs = math.floor(nowUs / 1000)

-- Lua's tostring keeps 14 digits of a number; fences have 16.
local function int(n) return string.format('%.0f', n) end

-- Returns the next fence or revision. The counter makes it higher than all before. The time in microseconds makes it higher
-- than those given out before Redis lost its data: the counter cannot outrun it, since a script takes several microseconds.
-- A new master whose clock is behind the old one's gives lower numbers until its clock has caught up, though none below the least.
local function nextNumber(least)
  local n = math.max((tonumber(redis.call('GET', p .. ':counter') or '0') or 0) + 1, nowUs, least or 0)
  redis.call('SET', p .. ':counter', int(n))
  return n
end

local function decode(raw)
  if not raw then return nil end
  local isJson, value = pcall(cjson.decode, raw)
  return isJson and type(value) == 'table' and value or nil
end

-- What expires later than any lease can was written while the clock was ahead; it would hold for as long as the clock went back.
local function unexpired(raw)
  local value = decode(raw)
  local leftMs = value and type(value.expiresMs) == 'number' and value.expiresMs - nowMs or 0
  return leftMs > 0 and leftMs <= ${MOST_LEASE_MS} and value or nil
end

-- Returns the number of the fleet's state. It changes only if Redis lost its data, or another copy of them was loaded.
local function epoch()
  local known = redis.call('GET', p .. ':epoch')
  if known then return known end
  local new = int(nextNumber())
  redis.call('SET', p .. ':epoch', new)
  return new
end

local function liveCard(host)
  local entry = unexpired(redis.call('HGET', p .. ':hosts', host))
  return entry and type(entry.card) == 'table' and entry or nil
end

local function liveLease(stream) return unexpired(redis.call('HGET', p .. ':leases', stream)) end

local function putLease(stream, host, fence, expiresMs)
  redis.call('HSET', p .. ':leases', stream,
    '{"hostId":' .. cjson.encode(host) .. ',"fence":' .. int(fence) .. ',"expiresMs":' .. int(expiresMs) .. '}')
end

local function isLeader(host)
  local leader = unexpired(redis.call('GET', p .. ':leader'))
  return leader ~= nil and leader.hostId == host
end

-- Expires after a day: a host whose revision is missing or differs gets its whole plan again.
local function changePlan(host) redis.call('SET', p .. ':plan:' .. host, int(nextNumber()), 'PX', 86400000) end

local function assignedHost(stream)
  local before = decode(redis.call('HGET', p .. ':assignments', stream))
  return before and type(before.hostId) == 'string' and before.hostId or nil
end

local function storeOrder(stream, order)
  local revision = nextNumber()
  redis.call('HSET', p .. ':orders', stream, string.sub(order, 1, -2) .. ',"revision":' .. int(revision) .. '}')
  redis.call('SET', p .. ':orders-revision', int(revision))
  local host = assignedHost(stream)
  if host then changePlan(host) end
  return revision
end

local function unassign(stream)
  local host = assignedHost(stream)
  redis.call('HDEL', p .. ':assignments', stream)
  if host then
    redis.call('SREM', p .. ':assigned:' .. host, stream)
    changePlan(host)
  end
end
`;

/** Makes a script that runs after the shared functions above. */
export function script(body: string): RedisScript {
  return new RedisScript(PRELUDE + body);
}

/** Each script with its arguments and its reply. Numbers that may exceed 32 bits are sent to Redis as text. */
export const stateScripts = {
  /** hostId, startedMs, card, leaseMs, known plan revision, (stream, fence)... -> ok, nowMs, lost, revision, isDraining, isLeader, (stream, order, assignment)... or nil. */
  beat: script(`
local host, startedMs, expiresMs, knownRevision = ARGV[1], tonumber(ARGV[2]), nowMs + tonumber(ARGV[4]), tonumber(ARGV[5])
local known = liveCard(host)
if known and known.card.startedMs ~= startedMs then return {'host-exists'} end
redis.call('HSET', p .. ':hosts', host, '{"expiresMs":' .. int(expiresMs) .. ',"card":' .. ARGV[3] .. '}')
local lost = {}
for i = 6, #ARGV, 2 do
  local stream, fence = ARGV[i], tonumber(ARGV[i + 1])
  local lease = liveLease(stream)
  if lease and lease.hostId == host and lease.fence == fence then putLease(stream, host, fence, expiresMs)
  else lost[#lost + 1] = stream end
end
local leads = isLeader(host)
if leads or not unexpired(redis.call('GET', p .. ':leader')) then
  leads = true
  redis.call('SET', p .. ':leader', '{"hostId":' .. cjson.encode(host) .. ',"expiresMs":' .. int(expiresMs) .. '}')
end
local revision = tonumber(redis.call('GET', p .. ':plan:' .. host) or '0') or 0
local plan = false
if revision ~= knownRevision then
  plan = {}
  for _, stream in ipairs(redis.call('SMEMBERS', p .. ':assigned:' .. host)) do
    plan[#plan + 1] = stream
    plan[#plan + 1] = redis.call('HGET', p .. ':orders', stream) or ''
    plan[#plan + 1] = redis.call('HGET', p .. ':assignments', stream) or ''
  end
end
return {'ok', nowMs, lost, revision, redis.call('SISMEMBER', p .. ':draining', host), leads and 1 or 0, plan}
`),

  /** hostId, startedMs */
  leave: script(`
local host, startedMs = ARGV[1], tonumber(ARGV[2])
local known = liveCard(host)
if known and known.card.startedMs ~= startedMs then return end
redis.call('HDEL', p .. ':hosts', host)
redis.call('SREM', p .. ':draining', host)
if isLeader(host) then redis.call('DEL', p .. ':leader') end
local all = redis.call('HGETALL', p .. ':leases')
for i = 1, #all, 2 do
  local lease = decode(all[i + 1])
  if lease and lease.hostId == host then redis.call('HDEL', p .. ':leases', all[i]) end
end
`),

  /** stream, hostId -> fence, 0 if it is taken, or what is missing. */
  claim: script(`
local stream, host = ARGV[1], ARGV[2]
if redis.call('HEXISTS', p .. ':orders', stream) == 0 then return 'stream-not-found' end
local card = liveCard(host)
if not card then return 'host-not-found' end
local lease = liveLease(stream)
if lease and lease.hostId ~= host then return 0 end
local fence = nextNumber()
putLease(stream, host, fence, card.expiresMs)
return fence
`),

  /** stream, hostId, fence */
  release: script(`
local lease = decode(redis.call('HGET', p .. ':leases', ARGV[1]))
if lease and lease.hostId == ARGV[2] and lease.fence == tonumber(ARGV[3]) then redis.call('HDEL', p .. ':leases', ARGV[1]) end
`),

  /** known revision of the orders -> nowMs, hosts, draining, assignments, leases, epoch, revision, orders or nil. Hashes are flat lists. */
  snapshot: script(`
local host
for i, entry in ipairs(redis.call('HGETALL', p .. ':hosts')) do
  if i % 2 == 1 then host = entry elseif not unexpired(entry) then redis.call('HDEL', p .. ':hosts', host) end
end
local revision = tonumber(redis.call('GET', p .. ':orders-revision') or '0') or 0
local orders = false
if revision ~= tonumber(ARGV[1]) then orders = redis.call('HGETALL', p .. ':orders') end
return {nowMs, redis.call('HGETALL', p .. ':hosts'), redis.call('SMEMBERS', p .. ':draining'),
  redis.call('HGETALL', p .. ':assignments'), redis.call('HGETALL', p .. ':leases'), epoch(), revision, orders}
`),

  /** stream, order as JSON without a revision -> its revision; 0 if the stream has an order. */
  addOrder: script(`
if redis.call('HEXISTS', p .. ':orders', ARGV[1]) == 1 then return 0 end
return storeOrder(ARGV[1], ARGV[2])
`),

  /** stream, order as JSON without a revision, revision that it replaces -> its revision; 0 if there is none; "changed". */
  replaceOrder: script(`
local raw = redis.call('HGET', p .. ':orders', ARGV[1])
if not raw then return 0 end
local before = decode(raw)
if before and type(before.revision) == 'number' and before.revision ~= tonumber(ARGV[3]) then return 'changed' end
return storeOrder(ARGV[1], ARGV[2])
`),

  /** stream -> 1; 0 if there is none. */
  removeOrder: script(`
if redis.call('HDEL', p .. ':orders', ARGV[1]) == 0 then return 0 end
redis.call('SET', p .. ':orders-revision', int(nextNumber()))
unassign(ARGV[1])
redis.call('HDEL', p .. ':leases', ARGV[1])
redis.call('SET', p .. ':removed:' .. ARGV[1], 1, 'PX', ${RESTORE_WINDOW_MS})
return 1
`),

  /** number of hosts, host..., (stream, order as JSON without a revision, its revision)... -> number of orders that were missing or older. */
  restore: script(`
local hosts, restored = tonumber(ARGV[1]), 0
for i = 2, hosts + 1 do redis.call('SADD', p .. ':draining', ARGV[i]) end
for i = hosts + 2, #ARGV, 3 do
  local stream = ARGV[i]
  local stored = decode(redis.call('HGET', p .. ':orders', stream))
  local isOlder = not stored or type(stored.revision) ~= 'number' or stored.revision < tonumber(ARGV[i + 2])
  if isOlder and redis.call('EXISTS', p .. ':removed:' .. stream) == 0 then
    storeOrder(stream, ARGV[i + 1])
    restored = restored + 1
  end
end
return restored
`),

  /** leader, (stream, hostId or empty, assignment or empty)... -> 1; 0 if it is not the leader. */
  assign: script(`
if not isLeader(ARGV[1]) then return 0 end
for i = 2, #ARGV, 3 do
  local stream, host, change = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local isKnown = redis.call('HEXISTS', p .. ':orders', stream) == 1
  if isKnown and (redis.call('HGET', p .. ':assignments', stream) or '') ~= change then
    if assignedHost(stream) ~= host then unassign(stream) end
    if host ~= '' then
      redis.call('HSET', p .. ':assignments', stream, change)
      redis.call('SADD', p .. ':assigned:' .. host, stream)
      changePlan(host)
    end
  end
end
return 1
`),

  /** hostId, 1 or 0 -> 1; 0 if the host is unknown. */
  setDraining: script(`
local isMarked = redis.call('SISMEMBER', p .. ':draining', ARGV[1]) == 1
if not liveCard(ARGV[1]) and not isMarked then return 0 end
redis.call(ARGV[2] == '1' and 'SADD' or 'SREM', p .. ':draining', ARGV[1])
return 1
`),
} as const;
