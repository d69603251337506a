import type { StreamLease } from '../../src/base/core/stream-lease.ts';
import { SightlineError } from '../../src/base/errors/sightline-error.ts';
import type { ControlPlane, FleetState } from '../../src/fleet/control/control-plane.ts';
import { FleetPublisher, type FleetPublisherOptions } from '../../src/fleet/control/hosting/fleet-publisher.ts';
import { HostAgent } from '../../src/fleet/control/hosting/host-agent.ts';
import type { StreamRunner } from '../../src/fleet/control/hosting/stream-runner.ts';
import { PLAN_DEFAULTS, type PlanOptions } from '../../src/fleet/control/planning/plan-options.ts';
import { openRedisControlPlane } from '../../src/fleet/control/redis/redis-control-plane.ts';
import { emptyReport } from '../../src/fleet/control/view/merge-streams.ts';
import { parseStream } from '../../src/settings/config/parse-stream.ts';
import type { StreamConfig } from '../../src/settings/config/stream.ts';
import { hostReport } from '../../test/support/sample-reports.ts';

const PIPELINE = 'simulated';
const STREAM_FPS = 10;
/** Each host's capacity is 1.5 times the load that it gets. */
const CAPACITY_FACTOR = 1.5;
export const BEAT_MS = 1_000;
export const LEASE_MS = 5_000;
export const PLAN: PlanOptions = { ...PLAN_DEFAULTS, fillRatio: 0.8, movesPerSecond: 1_000 };

/** Reports every started stream as running, without processing any frames. */
class FakeRunner implements StreamRunner {
  readonly leases = new Map<string, StreamLease>();

  readonly configs = new Map<string, StreamConfig>();

  async start(config: StreamConfig, lease: StreamLease): Promise<void> {
    this.leases.set(config.id, lease);
    this.configs.set(config.id, config);
  }

  async standBy(): Promise<boolean> {
    return false;
  }

  hasResult(): boolean {
    return false;
  }

  async change(): Promise<void> {}

  async stop(id: string): Promise<void> {
    this.leases.delete(id);
    this.configs.delete(id);
  }

  failureOf(): null {
    return null;
  }

  report(): ReturnType<StreamRunner['report']> {
    return { liveFps: this.leases.size * STREAM_FPS, bulkFps: 0, segments: 0 };
  }
}

/** Reports the streams of a runner once a second, and no results. */
function portOf(runner: FakeRunner): FleetPublisherOptions['port'] {
  const never = (): (() => void) => () => undefined;
  return {
    onPublished: never,
    onEvent: never,
    onPreview: never,
    watchPreviews: () => undefined,
    onReport: (listener) => {
      const timer = setInterval(() => {
        const streams = [...runner.configs.values()].map((config) => ({
          ...emptyReport({ id: config.id, config }),
          state: 'running' as const,
        }));
        listener({ timeMs: Date.now(), streams, host: hostReport() });
      }, BEAT_MS);
      return () => clearInterval(timer);
    },
  };
}

interface SimulatedHost {
  readonly agent: HostAgent;
  readonly publisher: FleetPublisher;
  readonly runner: FakeRunner;
  readonly control: ControlPlane;
  /** If true, none of its calls reach Redis, as if the machine had lost power. */
  isDead: boolean;
}

/** Host agents in one process, each with its own connections to a real Redis. */
export class SimulatedFleet {
  readonly hosts: SimulatedHost[] = [];
  /** Duration of each heartbeat in milliseconds, from call to answer. */
  readonly beatsMs: number[] = [];
  renewals = 0;

  static async open(url: string, hostCount: number, streamCount: number): Promise<SimulatedFleet> {
    const fleet = new SimulatedFleet();
    for (let i = 0; i < hostCount; i++) await fleet.#join(url, i, streamCount / hostCount);
    const { state } = fleet.hosts[0]!.control;
    for (let i = 0; i < streamCount; i++) {
      const config = parseStream({ id: `s${i}`, source: `rtsp://camera.example/${i}`, maxFps: STREAM_FPS }, {});
      const order = { id: config.id, pipeline: PIPELINE, config, isPaused: false, wantedHost: null };
      await state.addOrder({ ...order, createdMs: 0, revision: 0 });
    }
    return fleet;
  }

  get running(): number {
    const valid = new Set<string>();
    for (const { runner, isDead } of this.hosts)
      if (!isDead) for (const [id, lease] of runner.leases) if (lease.isValid()) valid.add(id);
    return valid.size;
  }

  get leader(): SimulatedHost | null {
    return this.hosts.find(({ agent, isDead }) => agent.isLeader && !isDead) ?? null;
  }

  async close(): Promise<void> {
    for (const host of this.hosts) host.isDead = false;
    for (const { publisher } of this.hosts) publisher.close();
    await Promise.all(this.hosts.map(({ agent }) => agent.stop()));
    await Promise.all(this.hosts.map(({ control }) => control.close()));
  }

  async #join(url: string, index: number, share: number): Promise<void> {
    const control = await openRedisControlPlane({ url, leaseMs: LEASE_MS });
    const runner = new FakeRunner();
    const state = this.#measured(control.state, () => host.isDead);
    const agent = new HostAgent({
      control: { state, bus: control.bus },
      runner,
      card: {
        id: `host-${index}`,
        pipeline: PIPELINE,
        model: 'none',
        url: null,
        capacityFps: (share * STREAM_FPS * CAPACITY_FACTOR) / PLAN.fillRatio,
        startedMs: Date.now(),
        version: '0.0.0',
      },
      beatMs: BEAT_MS,
      leaseMs: LEASE_MS,
      plan: PLAN,
      onDraining: () => {},
      onNotice: () => {},
    });
    const publisher = new FleetPublisher({
      bus: control.bus,
      hostId: `host-${index}`,
      port: portOf(runner),
      leases: agent,
    });
    const host: SimulatedHost = { agent, publisher, runner, control, isDead: false };
    this.hosts.push(host);
    await agent.start();
  }

  #measured(inner: FleetState, isDead: () => boolean): FleetState {
    const unlessDead = <A extends unknown[], R>(call: (...args: A) => Promise<R>) => {
      return async (...args: A): Promise<R> => {
        if (isDead()) throw new SightlineError('CONTROL_UNREACHABLE', 'this host is dead');
        return call(...args);
      };
    };
    return {
      beat: unlessDead(async (beat) => {
        const sentMs = performance.now();
        const reply = await inner.beat(beat);
        this.beatsMs.push(performance.now() - sentMs);
        this.renewals += beat.held.size - reply.lost.length;
        return reply;
      }),
      leave: unlessDead((...args) => inner.leave(...args)),
      claim: unlessDead((...args) => inner.claim(...args)),
      release: unlessDead((...args) => inner.release(...args)),
      snapshot: unlessDead(() => inner.snapshot()),
      leases: unlessDead((...args) => inner.leases(...args)),
      addOrder: unlessDead((...args) => inner.addOrder(...args)),
      replaceOrder: unlessDead((...args) => inner.replaceOrder(...args)),
      removeOrder: unlessDead((...args) => inner.removeOrder(...args)),
      assign: unlessDead((...args) => inner.assign(...args)),
      setDraining: unlessDead((...args) => inner.setDraining(...args)),
    };
  }
}
