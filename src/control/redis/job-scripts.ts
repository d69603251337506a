import { BULL_LUA } from './bull-layout.ts';
import { JOB_RULES_LUA } from './job-rules.ts';
import { RedisScript } from './redis-script.ts';

/**
 * Counts and dead letters of jobs, as atomic Lua scripts. KEYS[1] is the fleet's key prefix; the keys below it are
 *
 *     jobs             zset  job -> time it was submitted
 *     pipelines        set   of pipelines that had a job
 *     job:ID           hash  head (the order without its inputs), digest, counts and times
 *     job:ID:inputs    hash  number of a chunk -> list of inputs
 *     job:ID:files     hash  FILE -> "base count": its segments are the bits from base on; dFILE -> number done
 *     job:ID:split, job:ID:bits, job:ID:merged   bitmaps of completed work: by file, by segment, by file
 *     job:ID:live      hash  task -> frames so far
 *     job:ID:dead      hash  task -> dead letter
 *
 * A count rises only when its bit changes to 1, so a task that runs twice counts once. A worker's scripts begin with
 * (job, prefix of the queue's keys, task, token of its lock) and do nothing if the worker no longer has the lock.
 */
const PRELUDE = `
local p = KEYS[1]
local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
local SUFFIXES = {'', ':inputs', ':files', ':split', ':bits', ':merged', ':live', ':dead'}

local function jobKey(id) return p .. ':job:' .. id end

local function fileOf(job, file)
  local base, count = string.match(redis.call('HGET', job .. ':files', file) or '', '^(%d+) (%d+)$')
  return tonumber(base), tonumber(count)
end

-- Returns the bitmap and the bit of a task; nil for a segment of a file that was never split.
local function bitOf(job, kind, file, index)
  if kind == 'split' then return job .. ':split', file end
  if kind == 'merge' then return job .. ':merged', file end
  local base, count = fileOf(job, file)
  if not base or tonumber(index) >= count then return nil end
  return job .. ':bits', base + index
end

-- Returns why a worker must not continue a task; nil if it may.
local function refusal(job, queue, task, token)
  if not bull.holds(queue, task, token) then return 'lost' end
  local digest, isCancelled = unpack(redis.call('HMGET', job, 'digest', 'cancelled'))
  if not digest then return 'unknown' end
  if isCancelled then return 'cancelled' end
  return nil
end
`;

function script(body: string): RedisScript {
  return new RedisScript(BULL_LUA + JOB_RULES_LUA + PRELUDE + body);
}

/** Fields of a job's hash, in the order in which `facts` returns them. */
export const FACT_FIELDS = [
  'head',
  'digest',
  'cancelled',
  'startedMs',
  'finishedMs',
  'busyMs',
  'frames',
  'inputs',
  'splits',
  'segments',
  'segmentsDone',
  'mergeable',
  'filesDone',
] as const;

/** Each script with its arguments and its reply. */
export const jobScripts = {
  /** job, digest, head, inputs, createdMs, pipeline -> new, known (tasks queued), begun (tasks not queued yet) or other. */
  open: script(`
local job = jobKey(ARGV[1])
local digest = redis.call('HGET', job, 'digest')
if digest then
  if digest ~= ARGV[2] then return 'other' end
  return redis.call('HEXISTS', job, 'queued') == 1 and 'known' or 'begun'
end
redis.call('HSET', job, 'digest', ARGV[2], 'head', ARGV[3], 'inputs', ARGV[4])
redis.call('ZADD', p .. ':jobs', ARGV[5], ARGV[1])
redis.call('SADD', p .. ':pipelines', ARGV[6])
return 'new'
`),

  /** job, queue, task, token, kind, file, index -> run and the order's digest, or done, lost, unknown, cancelled. */
  begin: script(`
local job = jobKey(ARGV[1])
local why = refusal(job, ARGV[2], ARGV[3], ARGV[4])
if why then return {why} end
local bits, bit = bitOf(job, ARGV[5], ARGV[6], ARGV[7])
if not bits then return {'unknown'} end
if redis.call('GETBIT', bits, bit) == 1 then return {'done'} end
redis.call('HDEL', job .. ':live', ARGV[3])
redis.call('HSETNX', job, 'startedMs', nowMs)
redis.call('HSETNX', job, 'lastMs', nowMs)
return {'run', redis.call('HGET', job, 'digest')}
`),

  /** job, queue, task, token, file, segments -> ok, lost, unknown, cancelled, or the number of segments of an earlier split. */
  plan: script(`
local job = jobKey(ARGV[1])
local why = refusal(job, ARGV[2], ARGV[3], ARGV[4])
if why then return why end
local _, before = fileOf(job, ARGV[5])
if before then return before == tonumber(ARGV[6]) and 'ok' or before end
local base = redis.call('HINCRBY', job, 'segments', ARGV[6]) - ARGV[6]
redis.call('HSET', job .. ':files', ARGV[5], string.format('%d %d', base, ARGV[6]))
return 'ok'
`),

  /** job, queue, task, token, kind, file, index, completion, frames -> ok, lost, unknown, cancelled. */
  finish: script(`
local job, kind, file, completion = jobKey(ARGV[1]), ARGV[5], ARGV[6], ARGV[8]
local why = refusal(job, ARGV[2], ARGV[3], ARGV[4])
if why then return why end
redis.call('HDEL', job .. ':live', ARGV[3])
redis.call('HDEL', job .. ':dead', ARGV[3])
local bits, bit = bitOf(job, kind, file, ARGV[7])
if not bits then return 'unknown' end
if redis.call('SETBIT', bits, bit, 1) == 0 then
  if kind == 'segment' then
    local done, busyMs, lastMs = numbers(job, 'segmentsDone', 'busyMs', 'lastMs')
    redis.call('HINCRBY', job, 'busyMs', busyGapMs(nowMs - lastMs, busyMs, done))
    redis.call('HSET', job, 'lastMs', nowMs)
    redis.call('HINCRBY', job, 'frames', ARGV[9])
    local _, count = fileOf(job, file)
    completion = segmentCompletion(redis.call('HINCRBY', job .. ':files', 'd' .. file, 1), count)
  elseif completion == 'splitOnly' then
    redis.call('SETBIT', job .. ':merged', file, 1)
  end
  raise(job, completion)
end
settle(job, nowMs)
return 'ok'
`),

  /** job, queue, task, token, dead letter -> ok, lost, unknown, cancelled. */
  addDeadLetter: script(`
local job = jobKey(ARGV[1])
local why = refusal(job, ARGV[2], ARGV[3], ARGV[4])
if why then return why end
redis.call('HSET', job .. ':dead', ARGV[3], ARGV[5])
redis.call('HDEL', job .. ':live', ARGV[3])
settle(job, nowMs)
return 'ok'
`),

  /** job, (task, dead letter)...: deletes those that are unchanged, so that a newer failure stays. */
  requeue: script(`
local job = jobKey(ARGV[1])
for i = 2, #ARGV, 2 do
  if redis.call('HGET', job .. ':dead', ARGV[i]) == ARGV[i + 1] then redis.call('HDEL', job .. ':dead', ARGV[i]) end
end
settle(job, nowMs)
`),

  /** job -> ok, missing or done. */
  cancel: script(`
local job = jobKey(ARGV[1])
if numbers(job, 'inputs') == 0 then return 'missing' end
if isDone(job) then return 'done' end
redis.call('HSET', job, 'cancelled', 1)
redis.call('HSETNX', job, 'finishedMs', nowMs)
return 'ok'
`),

  /** (job)... -> `FACT_FIELDS` of each, then frames of its running segments and its number of dead letters; or nil. */
  facts: script(`
local all = {}
for i, id in ipairs(ARGV) do
  local job = jobKey(id)
  local facts = redis.call('HMGET', job, ${FACT_FIELDS.map((name) => `'${name}'`).join(', ')})
  if facts[1] then
    local frames = 0
    for _, count in ipairs(redis.call('HVALS', job .. ':live')) do frames = frames + (tonumber(count) or 0) end
    facts[#facts + 1] = string.format('%.0f', frames)
    facts[#facts + 1] = redis.call('HLEN', job .. ':dead')
    all[i] = facts
  else
    all[i] = false
  end
end
return all
`),

  /** job: deletes all its keys. */
  forget: script(`
for _, suffix in ipairs(SUFFIXES) do redis.call('DEL', jobKey(ARGV[1]) .. suffix) end
redis.call('ZREM', p .. ':jobs', ARGV[1])
`),

  /** queue, lockMs, stalledMs, (job, task, token, frames or -1)... -> number of tasks ready to be taken, then ok, lost or cancelled for each task. */
  tick: script(`
local queue = ARGV[1]
bull.mendClock(queue, tonumber(ARGV[2]), tonumber(ARGV[3]))
local answer = {bull.ready(queue)}
for i = 4, #ARGV, 4 do
  local job, task = jobKey(ARGV[i]), ARGV[i + 1]
  local why = refusal(job, queue, task, ARGV[i + 2])
  if not why and ARGV[i + 3] ~= '-1' then redis.call('HSET', job .. ':live', task, ARGV[i + 3]) end
  answer[#answer + 1] = why == 'unknown' and 'cancelled' or why or 'ok'
end
return answer
`),

  /** (prefix of a queue's keys)... -> waiting, active, age of the oldest in ms. */
  counts: script(`
local waiting, active, oldestMs = 0, 0, nowMs
for _, queue in ipairs(ARGV) do
  waiting = waiting + bull.ready(queue) + bull.delayed(queue)
  active = active + bull.active(queue)
  for _, task in ipairs(bull.heads(queue)) do
    -- A merge is as old as its split, but it is ready only since its last segment was done.
    if not string.find(task, '/merge/', 1, true) then oldestMs = math.min(oldestMs, bull.addedMs(queue, task) or nowMs) end
  end
end
return {waiting, active, nowMs - oldestMs}
`),
} as const;
