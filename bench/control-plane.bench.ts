import { planFleet } from '../src/control/plan-fleet.ts';
import { percentilesOf } from '../src/telemetry/sliding-window.ts';
import type { BenchContext } from './support/bench-context.ts';
import { ms, percent } from './support/format.ts';
import { missingRedis, RedisProcess } from './support/redis-process.ts';
import { readRedisUse } from './support/redis-use.ts';
import type { Section, SectionResult } from './support/section.ts';
import { BEAT_MS, LEASE_MS, PLAN, SimulatedFleet } from './support/simulated-fleet.ts';

const SIZES = [
  { hosts: 10, streams: 200 },
  { hosts: 50, streams: 1_000 },
] as const;
const PATIENCE_MS = 60_000;
const PLAN_RUNS = 20;
/** What the figures are carried on to. One Redis is planned up to half of a core. */
const GOAL = { streams: 100_000, streamsPerHost: 20, redisShare: 0.5 } as const;

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
  readonly beatMs: { readonly p50: number; readonly p99: number };
  /** Planning when nothing changes, and when no stream has a host yet. */
  readonly quietPlanMs: number;
  readonly firstPlanMs: number;
  readonly snapshotMs: number;
  /** From the death of the leader until another leads, and until its streams run elsewhere. */
  readonly newLeaderS: number;
  readonly recoveredS: number;
}

/** What a fleet costs where nothing but its control plane runs: agents with a runner that pretends, and a real Redis. */
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
    return resultOf(runs);
  },
};

function resultOf(runs: readonly FleetRun[]): SectionResult {
  const largest = runs.at(-1)!;
  const factor = GOAL.streams / largest.streams;
  const cores = largest.redisCpu * factor;
  return {
    tables: [
      {
        caption: `heartbeats each ${BEAT_MS} ms, leases of ${LEASE_MS} ms; all hosts in one process, CPU in cores`,
        rows: [
          ['', ...runs.map(({ hosts, streams }) => `${streams} streams, ${hosts} hosts`)],
          ...ROWS.map(([name, cell]) => [name, ...runs.map(cell)]),
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
      `${GOAL.streams} streams on ${GOAL.streams / GOAL.streamsPerHost} hosts, carried on in proportion: ${cores.toFixed(1)} cores of Redis, which has one thread: ${Math.ceil(cores / GOAL.redisShare)} fleets (prefixes on Redis servers of their own) at half of a core each.`,
    ],
    data: runs,
  };
}

const ROWS: readonly (readonly [string, (run: FleetRun) => string])[] = [
  ['leases renewed', ({ renewalsPerS }) => `${renewalsPerS.toFixed(0)}/s`],
  ['Redis CPU', ({ redisCpu }) => percent(redisCpu)],
  ['clients CPU, all hosts', ({ clientCpu }) => percent(clientCpu)],
  ['scripts called', ({ scriptsPerS }) => `${scriptsPerS.toFixed(0)}/s`],
  ['commands, those in scripts included', ({ commandsPerS }) => `${commandsPerS.toFixed(0)}/s`],
  ['Redis sends', ({ outputBytesPerS }) => `${(outputBytesPerS / 1000).toFixed(0)} kB/s`],
  ['heartbeat p50', ({ beatMs }) => ms(beatMs.p50)],
  ['heartbeat p99', ({ beatMs }) => ms(beatMs.p99)],
  ['snapshot', ({ snapshotMs }) => ms(snapshotMs)],
  ['plan, nothing to do', ({ quietPlanMs }) => ms(quietPlanMs)],
  ['plan, all to place', ({ firstPlanMs }) => ms(firstPlanMs)],
  ['all streams run after', ({ placedS }) => `${placedS.toFixed(1)} s`],
  ['new leader after', ({ newLeaderS }) => `${newLeaderS.toFixed(1)} s`],
  ['its streams run again after', ({ recoveredS }) => `${recoveredS.toFixed(1)} s`],
];

async function measureFleet(context: BenchContext, size: { hosts: number; streams: number }): Promise<FleetRun> {
  const redis = await RedisProcess.start();
  try {
    const fleet = await SimulatedFleet.open(redis.url, size.hosts, size.streams);
    try {
      const placedS = await until('all streams run', () => fleet.running === size.streams);
      await sleep(context.warmUpSeconds * 1000);
      const steady = await measureSteady(context, redis.url, fleet);
      const planning = await measurePlanning(fleet);
      fleet.leader!.isDead = true;
      const diedMs = performance.now();
      const newLeaderS = await until('another host leads', () => fleet.leader !== null);
      await until('its streams run elsewhere', () => fleet.running === size.streams);
      return { ...size, placedS, ...steady, ...planning, newLeaderS, recoveredS: (performance.now() - diedMs) / 1000 };
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
  };
}

async function measurePlanning(fleet: SimulatedFleet) {
  const asked = performance.now();
  const snapshot = await fleet.snapshot();
  const snapshotMs = performance.now() - asked;
  const { memory } = planFleet(snapshot, null, PLAN);
  const later = { ...snapshot, nowMs: snapshot.nowMs + 60_000 };
  return {
    snapshotMs,
    quietPlanMs: meanMs(() => planFleet(later, memory, PLAN)),
    firstPlanMs: meanMs(() => planFleet({ ...snapshot, assignments: new Map() }, null, PLAN)),
  };
}

function meanMs(run: () => unknown): number {
  const before = performance.now();
  for (let i = 0; i < PLAN_RUNS; i++) run();
  return (performance.now() - before) / PLAN_RUNS;
}

/** @returns seconds until it was so. */
async function until(what: string, condition: () => boolean): Promise<number> {
  const before = performance.now();
  while (!condition()) {
    if (performance.now() - before > PATIENCE_MS) throw new Error(`waited ${PATIENCE_MS} ms in vain until ${what}`);
    await sleep(20);
  }
  return (performance.now() - before) / 1000;
}

function sleep(forMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, forMs));
}
