import { systemClock } from '../src/base/core/clock.ts';
import { FleetInbox } from '../src/fleet/control/view/fleet-inbox.ts';
import { allReported } from '../src/fleet/control/view/fleet-summary.ts';
import { percentilesOf } from '../src/frame/telemetry/sliding-window.ts';
import type { BenchContext } from './support/bench-context.ts';
import { ms, percent } from './support/format.ts';
import { type PlanCost, planAlone } from './support/plan-alone.ts';
import { missingRedis, RedisProcess } from './support/redis-process.ts';
import { readRedisUse } from './support/redis-use.ts';
import type { Section, SectionResult } from './support/section.ts';
import { BEAT_MS, LEASE_MS, PLAN, SimulatedFleet } from './support/simulated-fleet.ts';

const SIZES = [
  { hosts: 10, streams: 200 },
  { hosts: 50, streams: 1_000 },
] as const;
const TIMEOUT_MS = 60_000;
const SNAPSHOTS = 20;
const PLANNED = [
  { streams: 1_000, hosts: 50 },
  { streams: 10_000, hosts: 500 },
  { streams: 100_000, hosts: 2_000 },
  { streams: 100_000, hosts: 5_000 },
];
/** Size that the figures are extrapolated to. One Redis may use half of a core, one leader a twentieth of its thread. */
const GOAL = { streams: 100_000, streamsPerHost: 20, redisShare: 0.5, leaderMs: 50 } as const;

interface FleetRun {
  readonly hosts: number;
  readonly streams: number;
  readonly placedS: number;
  readonly renewalsPerS: number;
  readonly redisCpu: number;
  readonly clientCpu: number;
  readonly scriptsPerS: number;
  readonly commandsPerS: number;
  readonly outputBytesPerS: number;
  /** What comes on top while one gateway is looked at. */
  readonly watched: { readonly outputBytesPerS: number; readonly cpu: number };
  readonly redisBytesPerStream: number;
  readonly beatMs: { readonly p50: number; readonly p99: number };
  readonly snapshotMs: number;
  /** From the death of the leader until another host leads, and until its streams run on other hosts. */
  readonly newLeaderS: number;
  readonly recoveredS: number;
}

/** Measures the cost of a fleet's control plane alone: host agents with a fake stream runner, and a real Redis. */
export const controlPlane: Section = {
  id: 'control-plane',
  title: 'Control plane of a fleet',
  async run(context): Promise<SectionResult> {
    const missing = missingRedis();
    if (missing !== null) {
      const why = `SKIPPED: ${missing}`;
      context.note(why);
      return { tables: [], targets: [], notes: [why], data: null };
    }
    const runs: FleetRun[] = [];
    for (const size of context.isQuick ? SIZES.slice(0, 1) : SIZES) runs.push(await measureFleet(context, size));
    const plans = (context.isQuick ? PLANNED.slice(0, 2) : PLANNED).map(({ streams, hosts }) =>
      planAlone(streams, hosts, PLAN),
    );
    return resultOf(runs, plans);
  },
};

function resultOf(runs: readonly FleetRun[], plans: readonly PlanCost[]): SectionResult {
  const largest = runs.at(-1)!;
  const cores = (largest.redisCpu * GOAL.streams) / largest.streams;
  const planned = plans.findLast(({ quietMs }) => quietMs <= GOAL.leaderMs) ?? plans[0]!;
  return {
    tables: [
      {
        caption: `heartbeats every ${BEAT_MS} ms, leases of ${LEASE_MS} ms; all hosts in one process, CPU in cores`,
        rows: [
          ['', ...runs.map(({ hosts, streams }) => `${streams} streams, ${hosts} hosts`)],
          ...ROWS.map(([name, cell]) => [name, ...runs.map(cell)]),
        ],
      },
      {
        caption: 'planning alone, CPU of one round; a leader plans with each heartbeat',
        rows: [
          ['streams', 'hosts', 'nothing to do', 'a host was lost'],
          ...plans.map(({ streams, hosts, quietMs, lostHostMs }) => [
            String(streams),
            String(hosts),
            ms(quietMs),
            ms(lostHostMs),
          ]),
        ],
      },
    ],
    targets: [
      { what: 'heartbeat p99', measured: largest.beatMs.p99, target: BEAT_MS / 10, want: 'at most', unit: 'ms' },
      {
        what: 'streams of a dead leader run again',
        measured: largest.recoveredS,
        target: (LEASE_MS + 3 * BEAT_MS) / 1000,
        want: 'at most',
        unit: 's',
      },
    ],
    notes: [
      `${GOAL.streams} streams on ${GOAL.streams / GOAL.streamsPerHost} hosts, extrapolated in proportion: ${cores.toFixed(1)} cores of Redis, which has one thread, so ${Math.ceil(cores / GOAL.redisShare)} servers at half of a core; ${GOAL.streams / planned.streams} fleets of ${planned.streams} streams, so that a leader plans in less than ${GOAL.leaderMs} ms.`,
    ],
    data: { runs, plans },
  };
}

const ROWS: readonly (readonly [string, (run: FleetRun) => string])[] = [
  ['leases renewed', ({ renewalsPerS }) => `${renewalsPerS.toFixed(0)}/s`],
  ['Redis CPU', ({ redisCpu }) => percent(redisCpu)],
  ['clients CPU, all hosts', ({ clientCpu }) => percent(clientCpu)],
  ['scripts called', ({ scriptsPerS }) => `${scriptsPerS.toFixed(0)}/s`],
  ['commands, including those in scripts', ({ commandsPerS }) => `${commandsPerS.toFixed(0)}/s`],
  ['Redis sends', ({ outputBytesPerS }) => `${(outputBytesPerS / 1000).toFixed(0)} kB/s`],
  ['more while one gateway is looked at', ({ watched }) => `${(watched.outputBytesPerS / 1000).toFixed(0)} kB/s`],
  [
    'CPU of that, all hosts, a stream each second',
    ({ watched, streams }) => `${((watched.cpu * 1e6) / streams).toFixed(0)} us`,
  ],
  ['Redis memory a stream', ({ redisBytesPerStream }) => `${(redisBytesPerStream / 1000).toFixed(1)} kB`],
  ['heartbeat p50', ({ beatMs }) => ms(beatMs.p50)],
  ['heartbeat p99', ({ beatMs }) => ms(beatMs.p99)],
  ['snapshot', ({ snapshotMs }) => ms(snapshotMs)],
  ['all streams run after', ({ placedS }) => `${placedS.toFixed(1)} s`],
  ['new leader after', ({ newLeaderS }) => `${newLeaderS.toFixed(1)} s`],
  ['its streams run again after', ({ recoveredS }) => `${recoveredS.toFixed(1)} s`],
];

async function measureFleet(context: BenchContext, size: { hosts: number; streams: number }): Promise<FleetRun> {
  const redis = await RedisProcess.start();
  try {
    const { memoryBytes: emptyBytes } = await readRedisUse(redis.url);
    const fleet = await SimulatedFleet.open(redis.url, size.hosts, size.streams);
    try {
      const placedS = await until('all streams run', () => fleet.running === size.streams);
      await sleep(context.warmUpSeconds * 1000);
      const { memoryBytes, ...steady } = await measureSteady(context, redis.url, fleet);
      const redisBytesPerStream = (memoryBytes - emptyBytes) / size.streams;
      const watched = await measureWatched(context, redis.url, fleet, steady);
      const snapshotMs = await measureSnapshot(fleet);
      fleet.leader!.isDead = true;
      const diedMs = performance.now();
      const newLeaderS = await until('another host leads', () => fleet.leader !== null);
      await until('its streams run elsewhere', () => fleet.running === size.streams);
      return {
        ...size,
        placedS,
        ...steady,
        watched,
        redisBytesPerStream,
        snapshotMs,
        newLeaderS,
        recoveredS: (performance.now() - diedMs) / 1000,
      };
    } finally {
      await fleet.close();
    }
  } finally {
    await redis.stop();
  }
}

async function measureSteady({ seconds }: BenchContext, url: string, fleet: SimulatedFleet) {
  fleet.beatsMs.length = 0;
  fleet.renewals = 0;
  const [before, cpuBefore, beganMs] = [await readRedisUse(url), process.cpuUsage(), performance.now()];
  await sleep(seconds * 1000);
  const [after, cpu, spanS] = [
    await readRedisUse(url),
    process.cpuUsage(cpuBefore),
    (performance.now() - beganMs) / 1000,
  ];
  const { p50, p99 } = percentilesOf(Float64Array.from(fleet.beatsMs));
  return {
    renewalsPerS: fleet.renewals / spanS,
    redisCpu: (after.cpuMs - before.cpuMs) / 1000 / spanS,
    clientCpu: (cpu.user + cpu.system) / 1e6 / spanS,
    scriptsPerS: (after.scripts - before.scripts) / spanS,
    commandsPerS: (after.commands - before.commands) / spanS,
    outputBytesPerS: (after.outputBytes - before.outputBytes) / spanS,
    beatMs: { p50, p99 },
    memoryBytes: after.memoryBytes,
  };
}

/** As while a page of one gateway is open: it receives the statistics of all streams. */
async function measureWatched(
  context: BenchContext,
  url: string,
  fleet: SimulatedFleet,
  unwatched: { readonly outputBytesPerS: number; readonly clientCpu: number },
): Promise<FleetRun['watched']> {
  const { state, bus } = fleet.leader!.control;
  const inbox = new FleetInbox({ bus, state, clock: systemClock });
  inbox.follow(true);
  const snapshot = await state.snapshot();
  inbox.update(snapshot);
  await allReported(inbox, snapshot, systemClock);
  const { outputBytesPerS, clientCpu } = await measureSteady(context, url, fleet);
  const received = [...inbox.hosts.fresh(systemClock.now()).values()].reduce(
    (sum, { streams }) => sum + streams.length,
    0,
  );
  inbox.close();
  if (received !== fleet.running) throw new Error(`expected ${fleet.running} streams, received ${received}`);
  return { outputBytesPerS: outputBytesPerS - unwatched.outputBytesPerS, cpu: clientCpu - unwatched.clientCpu };
}

/** Mean duration of a leader's snapshots. Only the first one reads everything. */
async function measureSnapshot(fleet: SimulatedFleet): Promise<number> {
  const { state } = fleet.leader!.control;
  const before = performance.now();
  for (let i = 0; i < SNAPSHOTS; i++) await state.snapshot();
  return (performance.now() - before) / SNAPSHOTS;
}

/** @returns seconds until the condition was true. */
async function until(what: string, condition: () => boolean): Promise<number> {
  const before = performance.now();
  while (!condition()) {
    if (performance.now() - before > TIMEOUT_MS) throw new Error(`timed out after ${TIMEOUT_MS} ms: ${what}`);
    await sleep(20);
  }
  return (performance.now() - before) / 1000;
}

function sleep(forMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, forMs));
}
