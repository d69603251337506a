import { systemClock } from '../../src/base/core/clock.ts';
import type { FleetBus, FleetEvents, FleetState } from '../../src/fleet/control/control-plane.ts';
import { MemoryBus } from '../../src/fleet/control/memory/memory-bus.ts';
import { Notices } from '../../src/fleet/control/notices.ts';
import { keyPrefix, RedisConnection } from '../../src/fleet/control/redis/connect.ts';
import { RedisBus } from '../../src/fleet/control/redis/redis-bus.ts';
import { RedisStore } from '../../src/fleet/control/redis/redis-store.ts';
import type { RolloutStore } from '../../src/fleet/control/rollout/rollout-store.ts';
import { StoredEvents } from '../../src/fleet/control/state/stored-events.ts';
import { StoredRollouts } from '../../src/fleet/control/state/stored-rollouts.ts';
import { StoredState } from '../../src/fleet/control/state/stored-state.ts';
import { FleetSigner } from '../../src/fleet/control/store/fleet-signer.ts';
import type { FleetStore } from '../../src/fleet/control/store/fleet-store.ts';
import { MemoryStore } from '../../src/fleet/control/store/memory-store.ts';
import { streamConfig } from '../../src/settings/config/stream.ts';
import type { HostCard, StreamOrder } from '../../src/wire/protocol/fleet.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { RedisServer, redisMissing } from '../support/redis-server.ts';

/** Much longer than a test takes: only `advance` makes a lease expire. */
export const LEASE_MS = 60_000;

/** What members of a signed fleet share, and Redis does not know. */
const FLEET_KEY = 'b3'.repeat(32);

/** State and bus of one empty fleet, whose time the test controls. */
export interface FleetRig {
  readonly state: FleetState;
  readonly events: FleetEvents;
  readonly bus: FleetBus;
  rollouts(pipeline: string): RolloutStore;
  /** Removes all data, as a control plane does that restarts without its disk. */
  loseData(): Promise<void>;
  advance(byMs: number): Promise<void>;
  close(): Promise<void>;
}

/** One implementation. `open` may be called for each test; `close` closes what all rigs share. */
export interface RigMaker {
  readonly name: string;
  readonly isSkipped: boolean;
  open(): Promise<FleetRig>;
  close(): Promise<void>;
}

export function rigMakers(): RigMaker[] {
  return [memoryRigs(), redisRigs(), redisRigs(FLEET_KEY)];
}

function memoryRigs(): RigMaker {
  return {
    name: 'memory',
    isSkipped: false,
    async open() {
      const clock = new ManualClock();
      let store = new MemoryStore(clock);
      const current: FleetStore = {
        read: (commands) => store.read(commands),
        commit: (change) => store.commit(change),
      };
      return {
        state: new StoredState({ store: current, leaseMs: LEASE_MS }),
        events: new StoredEvents({ store: current }),
        bus: new MemoryBus(),
        rollouts: (pipeline) => new StoredRollouts({ store: current, leaseMs: LEASE_MS, pipeline }),
        loseData: async () => {
          store = new MemoryStore(clock);
          // Redis's clock never stands still between two commands.
          clock.jump(1);
        },
        advance: async (byMs) => clock.advance(byMs),
        close: async () => {},
      };
    },
    close: async () => {},
  };
}

/** Redis has its own clock, so time is advanced by moving every stored deadline towards the past. */
const MOVE_DEADLINES = `
local function moved(text)
  return (string.gsub(text, '"expiresMs":(%d+)', function(ms) return '"expiresMs":' .. string.format('%.0f', ms - ARGV[1]) end))
end
for _, name in ipairs({':hosts', ':leases'}) do
  local all = redis.call('HGETALL', KEYS[1] .. name)
  for i = 1, #all, 2 do redis.call('HSET', KEYS[1] .. name, all[i], moved(all[i + 1])) end
end
local leader = redis.call('GET', KEYS[1] .. ':leader')
if leader then redis.call('SET', KEYS[1] .. ':leader', moved(leader)) end
for _, key in ipairs(redis.call('KEYS', KEYS[1] .. ':rollout-controller:*')) do
  redis.call('SET', key, moved(redis.call('GET', key)))
end
`;

/** @param keys - of the fleet; absent: nothing is signed. */
function redisRigs(keys: string | null = null): RigMaker {
  let server: RedisServer | null = null;
  let rigCount = 0;
  return {
    name: `redis${keys === null ? '' : ', signed'}${redisMissing === null ? '' : ` (SKIPPED: ${redisMissing})`}`,
    isSkipped: redisMissing !== null,
    async open() {
      server ??= await RedisServer.open();
      const { admin, url } = server;
      const prefix = keyPrefix(`test:${rigCount++}`);
      const connection = await RedisConnection.open({
        url,
        caFile: null,
        commandTimeoutMs: 10_000,
      });
      const busConnection = await connection.duplicate();
      const notices = new Notices(() => {}, systemClock);
      const signer = keys === null ? null : new FleetSigner(keys, prefix);
      const bus = new RedisBus({ connection: busConnection, prefix, pingMs: 1000, notices, signer });
      return {
        state: new StoredState({ store: new RedisStore(connection, prefix), leaseMs: LEASE_MS, signer }),
        events: new StoredEvents({ store: new RedisStore(connection, prefix), signer }),
        bus,
        rollouts: (pipeline) =>
          new StoredRollouts({ store: new RedisStore(connection, prefix), leaseMs: LEASE_MS, pipeline, signer }),
        loseData: async () => {
          await admin.flushall();
        },
        advance: async (byMs) => {
          await admin.eval(MOVE_DEADLINES, 1, prefix, byMs);
        },
        close: async () => {
          bus.close();
          await Promise.all([connection.close(), busConnection.close()]);
        },
      };
    },
    close: async () => {
      await server?.close();
    },
  };
}

export function card(id: string, more: Partial<HostCard> = {}): HostCard {
  return {
    id,
    pipeline: 'live-detect',
    model: 'fake 64x64',
    url: 'http://127.0.0.1:8080',
    capacityFps: 100,
    liveFps: 12.5,
    bulkFps: 0,
    streams: 0,
    segments: 0,
    startedMs: 1_700_000_000_000,
    version: '0.1.0',
    ...more,
  };
}

export function order(id: string, more: Partial<StreamOrder> = {}): StreamOrder {
  return {
    id,
    pipeline: 'live-detect',
    config: streamConfig.parse({ id, source: `rtsp://user:secret@camera/${id}` }),
    isPaused: false,
    wantedHost: null,
    createdMs: 1_700_000_000_000,
    revision: 0,
    ...more,
  };
}
