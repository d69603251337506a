import { script } from './state-scripts.ts';

/**
 * Changes of roll-outs that must be atomic. KEYS[1] is the fleet's key prefix, ARGV[1] the pipeline; the keys are
 *
 *     rollout:P             the record, JSON with its fence       rollout-controller:P  {"hostId", "expiresMs"}
 *     rollout-figures:P     what the guards found, JSON           rollout-decisions:P   list of JSON, newest first
 *     rollout-evidence:P    the guards' snapshot, text
 */
const LOCALS = `
local pipeline = ARGV[1]
local function key(name) return p .. ':' .. name .. ':' .. pipeline end
local text = redis.call('GET', key('rollout'))
local current = decode(text)
local fence = current and tonumber(current.fence) or 0
local function controls(host)
  local holder = unexpired(redis.call('GET', key('rollout-controller')))
  return holder ~= nil and holder.hostId == host
end
`;

/** Each script with its arguments and its reply. */
export const rolloutScripts = {
  /** pipeline, hostId, leaseMs, known fence -> nowMs, fence, record or nil, figures or nil, newer decisions, isController. */
  beat: script(`${LOCALS}
local host, leaseMs, known = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local leads = controls(host)
if leads or not unexpired(redis.call('GET', key('rollout-controller'))) then
  leads = true
  redis.call('SET', key('rollout-controller'),
    '{"hostId":' .. cjson.encode(host) .. ',"expiresMs":' .. int(nowMs + leaseMs) .. '}')
end
local newer = {}
if fence ~= known then
  for _, entry in ipairs(redis.call('LRANGE', key('rollout-decisions'), 0, -1)) do
    local made = decode(entry)
    if made and tonumber(made.fence) and tonumber(made.fence) <= known then break end
    newer[#newer + 1] = entry
  end
end
return {nowMs, fence, fence ~= known and current and text or false,
  redis.call('GET', key('rollout-figures')), newer, leads and 1 or 0}
`),

  /** pipeline, hostId */
  leave: script(`${LOCALS}
if controls(ARGV[2]) then redis.call('DEL', key('rollout-controller')) end
`),

  /** pipeline, expected fence, controller or empty, record and decision as JSON without a fence, most decisions -> fence or 0. */
  change: script(`${LOCALS}
if fence ~= tonumber(ARGV[2]) then return 0 end
if ARGV[3] ~= '' and not controls(ARGV[3]) then return 0 end
-- The record may have been put back after a loss of data, with a fence that is ahead of this Redis's clock.
local own = nextNumber(fence + 1)
local function fenced(json) return string.sub(json, 1, -2) .. ',"fence":' .. int(own) .. '}' end
redis.call('SET', key('rollout'), fenced(ARGV[4]))
redis.call('LPUSH', key('rollout-decisions'), fenced(ARGV[5]))
redis.call('LTRIM', key('rollout-decisions'), 0, tonumber(ARGV[6]) - 1)
return own
`),

  /** pipeline, controller, roll-out, step, figures, snapshot or empty -> 1; 0 if it is not the controller or the step is another one. */
  saveEvidence: script(`${LOCALS}
if not controls(ARGV[2]) then return 0 end
if not current or current.id ~= ARGV[3] or tonumber(current.step) ~= tonumber(ARGV[4]) then return 0 end
redis.call('SET', key('rollout-figures'), ARGV[5])
if ARGV[6] ~= '' then redis.call('SET', key('rollout-evidence'), ARGV[6]) end
return 1
`),

  /** pipeline -> figures and snapshot, or nil. */
  evidence: script(`${LOCALS}
return {redis.call('GET', key('rollout-figures')), redis.call('GET', key('rollout-evidence'))}
`),

  /** pipeline, fence, record, decisions newest first... -> 1; 0 if the record is as new or newer. */
  restore: script(`${LOCALS}
if fence >= tonumber(ARGV[2]) then return 0 end
redis.call('SET', key('rollout'), ARGV[3])
if redis.call('EXISTS', key('rollout-decisions')) == 0 then
  for i = 4, #ARGV do redis.call('RPUSH', key('rollout-decisions'), ARGV[i]) end
end
return 1
`),

  /** pipeline -> decisions, newest first. */
  history: script(`${LOCALS}
return redis.call('LRANGE', key('rollout-decisions'), 0, -1)
`),
} as const;
