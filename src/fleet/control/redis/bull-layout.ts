import type { Redis } from 'ioredis';

/**
 * Everything that Sightline knows about BullMQ's own keys. BullMQ documents none of it and may change it in any release, so
 * package.json pins the exact version, and `test/integration/bull-layout.test.ts` compares each line with the installed one:
 *
 *     PREFIX:NAME:wait         list  ready tasks without a priority; the next one is at the right end
 *     PREFIX:NAME:prioritized  zset  ready task -> priority * 2^32 + number of its arrival; the lowest is next
 *     PREFIX:NAME:delayed      zset  task that waits for its next attempt -> number that rises with its due time
 *     PREFIX:NAME:active       list  tasks that workers hold
 *     PREFIX:NAME:TASK         hash  `timestamp`: when it was added, ms since 1970; `stc`: how often its lock expired
 *     PREFIX:NAME:TASK:lock    text  token of the worker that holds it; expires unless renewed
 *     PREFIX:NAME:stalled-check  text  expires when the next search for expired locks is due
 *
 * The functions below take a queue as the text before the last part of these keys: `PREFIX:NAME:`.
 */

/** Returns the prefix of all keys of a queue. */
export function queueKeysOf(bullPrefix: string, queueName: string): string {
  return `${bullPrefix}:${queueName}:`;
}

/** Returns the key of a task's hash. */
export function taskKeyOf(queueKeys: string, taskId: string): string {
  return `${queueKeys}${taskId}`;
}

/** Returns the key of a task's lock. */
export function lockKeyOf(queueKeys: string, taskId: string): string {
  return `${taskKeyOf(queueKeys, taskId)}:lock`;
}

/** Returns the key of the list of ready tasks without a priority. */
export function waitKeyOf(queueKeys: string): string {
  return `${queueKeys}wait`;
}

/** The field of a task's hash that counts its expired locks: BullMQ's `Job.stalledCounter`. */
export const STALLS_FIELD = 'stc';

/** Resets the number of a task's expired locks, which BullMQ's own retry keeps. */
export async function resetStalls(client: Redis, queueKeys: string, taskId: string): Promise<void> {
  await client.hdel(taskKeyOf(queueKeys, taskId), STALLS_FIELD);
}

/** A lock that is taken again lasts until BullMQ renews it. */
const RETAKEN_LOCK_MS = 5_000;
/** Distance between the scores of two priorities. */
export const PRIORITY_STEP = 2 ** 32;

/** The same for Lua scripts: they put this text before their own and call `bull.NAME(queue, ...)`. */
export const BULL_LUA = `
local bull = {}

-- Returns whether the worker still has the lock of a task. A lock that expired while Redis was unreachable is taken again,
-- unless the task has left the active list: then it waits, or another worker has it.
function bull.holds(queue, task, token)
  local lock = queue .. task .. ':lock'
  local owner = redis.call('GET', lock)
  if owner then return owner == token end
  if not redis.call('LPOS', queue .. 'active', task) then return false end
  redis.call('SET', lock, token, 'PX', ${RETAKEN_LOCK_MS})
  return true
end

-- Expiry times were computed with Redis's clock. If the clock has gone back since, keys last longer by as much: tasks of a dead host
-- would stay active without being searched for. Returns the number of keys that were shortened.
function bull.mendClock(queue, lockMs, stalledMs)
  local mended = 0
  local function shorten(key, mostMs)
    if redis.call('PTTL', key) > 2 * mostMs then
      redis.call('PEXPIRE', key, mostMs)
      mended = mended + 1
    end
  end
  shorten(queue .. 'stalled-check', stalledMs)
  for _, task in ipairs(redis.call('LRANGE', queue .. 'active', 0, -1)) do shorten(queue .. task .. ':lock', lockMs) end
  return mended
end

-- Returns the number of tasks that a worker could take now.
function bull.ready(queue)
  return redis.call('LLEN', queue .. 'wait') + redis.call('ZCARD', queue .. 'prioritized')
end

-- Returns the number of tasks that wait for their next attempt.
function bull.delayed(queue)
  return redis.call('ZCARD', queue .. 'delayed')
end

-- Returns the number of tasks that workers hold.
function bull.active(queue)
  return redis.call('LLEN', queue .. 'active')
end

-- Returns when a task was added, in ms since 1970; nil if it has no such time.
function bull.addedMs(queue, task)
  return tonumber(redis.call('HGET', queue .. task, 'timestamp') or '')
end

-- Returns the first of the tasks without a priority, the first of each priority, and the delayed one that is due first.
-- Equal ready tasks are taken in order of arrival, so the oldest of them is among these.
function bull.heads(queue)
  local heads = {redis.call('LINDEX', queue .. 'wait', -1) or nil}
  heads[#heads + 1] = redis.call('ZRANGE', queue .. 'delayed', 0, 0)[1]
  local from = '-inf'
  while true do
    local task, score = unpack(redis.call('ZRANGEBYSCORE', queue .. 'prioritized', from, '+inf', 'WITHSCORES', 'LIMIT', 0, 1))
    if not task then return heads end
    heads[#heads + 1] = task
    from = string.format('%.0f', (math.floor(tonumber(score) / ${PRIORITY_STEP}) + 1) * ${PRIORITY_STEP})
  end
end
`;
