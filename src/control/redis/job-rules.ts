import { OPEN_TASKS, PAUSE_RATIO, RISES, SHORT_GAP_MS } from '../tasks/job-accounting.ts';

/** Counts in a job's hash. Its dead letters are a hash of their own. */
const { deadLetters, ...hashCounts } = OPEN_TASKS;

/**
 * The rules of `tasks/job-accounting.ts` in Lua, made from the same tables. `job` is the key of a job's hash; `numbers` reads
 * fields of it.
 */
export const JOB_RULES_LUA = `
local OPEN_COUNTS = ${luaList(Object.keys(hashCounts).map(luaText))}
local OPEN_CHANGES = ${luaList(Object.values(hashCounts).map(String))}
local RISES = {
${Object.entries(RISES)
  .map(([completion, counts]) => `  ${completion} = ${luaList(counts.map(luaText))},`)
  .join('\n')}
}

local function numbers(key, ...)
  local values = redis.call('HMGET', key, ...)
  for i = 1, #values do values[i] = tonumber(values[i] or '0') or 0 end
  return unpack(values)
end

local function openTasks(job)
  local counts = {numbers(job, unpack(OPEN_COUNTS))}
  local open = ${deadLetters} * redis.call('HLEN', job .. ':dead')
  for i, change in ipairs(OPEN_CHANGES) do open = open + change * counts[i] end
  return open
end

local function isDone(job)
  local inputs, filesDone = numbers(job, 'inputs', 'filesDone')
  return filesDone == inputs
end

local function settle(job, nowMs)
  if openTasks(job) <= 0 then redis.call('HSETNX', job, 'finishedMs', nowMs) else redis.call('HDEL', job, 'finishedMs') end
end

local function raise(job, completion)
  for _, count in ipairs(RISES[completion]) do redis.call('HINCRBY', job, count, 1) end
end

local function segmentCompletion(done, segments)
  return done == segments and 'lastSegment' or 'segment'
end

local function busyGapMs(gapMs, busyMs, segmentsDone)
  local passedMs = math.max(0, gapMs)
  if segmentsDone == 0 then return passedMs end
  return math.floor(math.min(passedMs, math.max(${SHORT_GAP_MS}, ${PAUSE_RATIO} * busyMs / segmentsDone)))
end
`;

function luaText(text: string): string {
  return `'${text}'`;
}

function luaList(items: readonly string[]): string {
  return `{${items.join(', ')}}`;
}
