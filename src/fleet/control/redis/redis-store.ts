import type { Change, FleetStore, Read, RepliesTo, Write } from '../store/fleet-store.ts';
import { NUMBER } from '../store/fleet-store.ts';
import type { RedisConnection } from './connect.ts';
import { RedisScript } from './redis-script.ts';

/**
 * Reads or commits. KEYS[1] is the prefix of the fleet; the arguments are: the time at which the change comes too late or empty,
 * the lower bound of its number or empty if it has none, then the guards, the writes and the reads, each list with its length in
 * front. A command is its number of words and the words; a guard also its replies, each after a colon, or empty for none. Time is that
 * of Redis. The reply: microseconds, the number, then the replies; or nothing if the change was refused.
 */
const EXCHANGE = new RedisScript(`
local p = KEYS[1] .. ':'
local time = redis.call('TIME')
local nowUs = time[1] * 1000000 + time[2]
local at, number = 0, 0

local function nextWord()
  at = at + 1
  return ARGV[at]
end

local function nextCommand()
  local words = {}
  for i = 1, tonumber(nextWord()) do words[i] = nextWord() end
  words[2] = p .. words[2]
  return words
end

local function execute(words)
  if words[1] == 'HMGET' and not words[3] then return {} end
  return redis.call(unpack(words))
end

-- Lua's tostring keeps 14 digits of a number; fences have 16.
local function int(n) return string.format('%.0f', n) end

local beforeMs, least = nextWord(), nextWord()
if beforeMs ~= '' and math.floor(nowUs / 1000) >= tonumber(beforeMs) then return false end
for _ = 1, tonumber(nextWord()) do
  local replies = execute(nextCommand())
  if type(replies) ~= 'table' then replies = {replies} end
  for i = 1, #replies do
    if (replies[i] and ':' .. replies[i] or '') ~= nextWord() then return false end
  end
end

-- The counter makes the number higher than all before. The time makes it higher than those given out before Redis lost its data: the
-- counter cannot outrun it, since a script takes several microseconds. A new master whose clock is behind the old one's gives lower
-- numbers until its clock has caught up, though none below the least.
if least ~= '' then
  number = math.max((tonumber(redis.call('GET', p .. 'counter') or '0') or 0) + 1, nowUs, tonumber(least))
  redis.call('SET', p .. 'counter', int(number))
end
for _ = 1, tonumber(nextWord()) do
  local words = nextCommand()
  if least ~= '' then
    for i = 3, #words do words[i] = string.gsub(words[i], '%z', int(number)) end
  end
  redis.call(unpack(words))
end
local replies = {nowUs, number}
for i = 1, tonumber(nextWord()) do replies[i + 2] = execute(nextCommand()) end
return replies
`);

/** The store of a fleet in Redis. Every call is one script: one round trip, and atomic. */
export class RedisStore implements FleetStore {
  readonly #connection: RedisConnection;
  readonly #prefix: string;

  /** @param prefix - of every key, with its hash tag. */
  constructor(connection: RedisConnection, prefix: string) {
    this.#connection = connection;
    this.#prefix = prefix;
  }

  async read<const R extends readonly Read[]>(commands: R): Promise<{ nowMs: number; replies: RepliesTo<R> }> {
    const answer = await this.#exchange(['', '', 0, 0, commands.length, ...commands.flatMap(commandWords)]);
    const [nowUs, _, ...replies] = answer as unknown as [number, number, ...unknown[]];
    return { nowMs: Math.floor(nowUs / 1000), replies: replies as unknown as RepliesTo<R> };
  }

  async commit({ guards, writes, beforeMs, least }: Change): Promise<number | null> {
    const isNumbered = writes.some((words) => words.some((word) => typeof word === 'string' && word.includes(NUMBER)));
    const guardWords = guards.flatMap(({ command, replies }) => [
      ...commandWords(command),
      ...replies.map((reply) => (reply === null ? '' : `:${reply}`)),
    ]);
    const answer = await this.#exchange([
      ...[beforeMs ?? '', isNumbered ? least : ''],
      ...[guards.length, ...guardWords],
      ...[writes.length, ...writes.flatMap(commandWords), 0],
    ]);
    return answer === null ? null : answer[1]!;
  }

  #exchange(args: readonly (string | number)[]): Promise<readonly number[] | null> {
    return this.#connection.call((client) => EXCHANGE.run(client, this.#prefix, args)) as Promise<number[] | null>;
  }
}

function commandWords(command: Read | Write): (string | number)[] {
  return [command.length, ...command];
}
