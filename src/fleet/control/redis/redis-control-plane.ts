import { systemClock } from '../../../base/core/clock.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { Incidents } from '../../../base/flow/incidents.ts';
import { Listeners } from '../../../base/flow/listeners.ts';
import type { ControlPlane, FleetAlarm } from '../control-plane.ts';
import { Notices } from '../notices.ts';
import { StoredEvents } from '../state/stored-events.ts';
import { StoredRollouts } from '../state/stored-rollouts.ts';
import { StoredState } from '../state/stored-state.ts';
import { FleetSigner } from '../store/fleet-signer.ts';
import { StoredTasks } from '../tasks/stored-tasks.ts';
import { DEFAULT_TASK_POLICY, type TaskPolicy } from '../tasks/task-policy.ts';
import { BullBroker } from './bull-broker.ts';
import { keyPrefix, RedisConnection } from './connect.ts';
import { RedisBus } from './redis-bus.ts';
import { RedisStore } from './redis-store.ts';
import { adviceFor, checkSuitability } from './redis-suitability.ts';

const DEFAULT_PREFIX = 'sightline';
const DEFAULT_LEASE_MS = 5_000;
const DEFAULT_COMMAND_TIMEOUT_MS = 2_000;

export interface RedisControlPlaneOptions {
  /** `redis://[USER[:PASSWORD]@]HOST[:PORT][/DB]`, or `rediss://` for TLS. */
  readonly url: string;
  /** PEM file of the CAs that the server's certificate is checked against; Node's own if null or absent. */
  readonly caFile?: string | null;
  /** Prefix of all keys. Fleets that share a Redis need different ones. */
  readonly prefix?: string;
  /** A host without a heartbeat for this long loses its streams. Only hosts need it. */
  readonly leaseMs?: number;
  readonly commandTimeoutMs?: number;
  /** Keys that sign messages and records, see `FleetSigner`; null, absent or empty: nothing is signed. */
  readonly fleetKeys?: string | null | undefined;
  readonly taskPolicy?: Partial<TaskPolicy>;
  /** Receives notices of recoverable trouble, at most once a second. */
  readonly onNotice?: (text: string) => void;
  /** Receives advice on the configuration of this Redis, once, at the start. */
  readonly onAdvice?: (text: string) => void;
  /** Counts refused messages and records, and exceptions in listeners; without it they become notices. */
  readonly incidents?: Incidents;
}

/**
 * Connects to the control plane of a fleet. The first attempt must succeed; later, connections reconnect by themselves.
 *
 * @throws CONFIG_INVALID, CONTROL_UNREACHABLE, CONTROL_UNSUITABLE
 */
export async function openRedisControlPlane({
  url,
  caFile = null,
  fleetKeys,
  prefix = DEFAULT_PREFIX,
  leaseMs = DEFAULT_LEASE_MS,
  commandTimeoutMs = DEFAULT_COMMAND_TIMEOUT_MS,
  taskPolicy = {},
  onNotice = () => {},
  onAdvice = () => {},
  incidents: given,
}: RedisControlPlaneOptions): Promise<ControlPlane> {
  const keys = keyPrefix(prefix);
  const signer = fleetKeys === '' || fleetKeys == null ? null : new FleetSigner(fleetKeys, keys);
  const notices = new Notices(onNotice, systemClock);
  const incidents = given ?? new Incidents((text) => notices.add(text));
  const connection = await RedisConnection.open({ url, caFile, commandTimeoutMs, onNotice: onAdvice });
  const busConnection = await connection.duplicate().catch(async (error: unknown) => {
    await connection.close();
    throw error;
  });
  const shared = { prefix: keys, notices, incidents, signer };
  const bus = new RedisBus({ ...shared, connection: busConnection, pingMs: commandTimeoutMs });
  const alarms = new Listeners<FleetAlarm>('alarms of the fleet', incidents);
  const watch = new SuitabilityWatch(connection, onAdvice, (alarm) => alarms.emit(alarm));
  const store = new RedisStore(connection, keys);
  const state = new StoredState({ store, leaseMs, incidents, signer, onAlarm: (alarm) => alarms.emit(alarm) });
  const policy = { ...DEFAULT_TASK_POLICY, ...taskPolicy };
  const broker = new BullBroker({ ...shared, connection, policy });
  const tasks = new StoredTasks({ store, broker, policy, notices, incidents, signer });
  return {
    kind: 'redis',
    state,
    events: new StoredEvents({ store, incidents, signer }),
    get trouble() {
      return state.trouble ?? watch.trouble;
    },
    onAlarm: (listener) => alarms.add(listener),
    bus,
    tasks,
    rollouts: (pipeline) => new StoredRollouts({ store, leaseMs, pipeline, incidents, signer }),
    async close() {
      watch.close();
      await tasks.close();
      bus.close();
      await Promise.all([connection.close(), busConnection.close()]);
    },
  };
}

const DEFAULT_CHECK_MS = 60_000;

/** Checks once a minute that Redis still suits a fleet: its settings may change, or a fail-over may lead to another server. */
export class SuitabilityWatch {
  readonly #connection: RedisConnection;
  readonly #onAdvice: (text: string) => void;
  readonly #onAlarm: (alarm: FleetAlarm) => void;
  readonly #timer: NodeJS.Timeout;
  /** Advice that was given; `undefined` before the first check, because it was given when the connection was opened. */
  #advice: string | null | undefined;
  #trouble: string | null = null;

  constructor(
    connection: RedisConnection,
    onAdvice: (text: string) => void,
    onAlarm: (alarm: FleetAlarm) => void,
    checkMs = DEFAULT_CHECK_MS,
  ) {
    this.#connection = connection;
    this.#onAdvice = onAdvice;
    this.#onAlarm = onAlarm;
    this.#timer = setInterval(() => void this.check(), checkMs);
    this.#timer.unref();
  }

  /** Why hosts should not count as ready; null if nothing is wrong. */
  get trouble(): string | null {
    return this.#trouble;
  }

  /** Never rejects: a Redis that does not answer is reported by the calls that need it. */
  async check(): Promise<void> {
    const { label } = this.#connection.address;
    const info = await this.#connection.call((client) => client.info()).catch(() => null);
    if (info === null) return;
    const trouble = troubleOf(info, label);
    if (trouble !== null && this.#trouble === null)
      this.#onAlarm({ kind: 'control-unsuitable', message: trouble, details: { address: label } });
    if (trouble === null && this.#trouble !== null)
      this.#onAlarm({
        kind: 'control-suitable',
        message: `${label}: Redis is suitable again`,
        details: { address: label },
      });
    this.#trouble = trouble;
    const advice = adviceFor(info, label);
    if (advice !== null && this.#advice !== undefined && advice !== this.#advice) this.#onAdvice(advice);
    this.#advice = advice;
  }

  close(): void {
    clearInterval(this.#timer);
  }
}

function troubleOf(info: string, label: string): string | null {
  try {
    checkSuitability(info, label);
    return null;
  } catch (error) {
    return SightlineError.from(error, 'INTERNAL_ERROR').message;
  }
}
