import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { packageRoot } from '../src/network/store/package-root.ts';
import type { StreamsReply } from '../src/wire/protocol/rest.ts';
import { BrokerProcess, MOSQUITTO } from '../test/support/broker-process.ts';
import { freePort } from '../test/support/rtsp-server.ts';
import { type BenchContext, SLOW_MODEL } from './support/bench-context.ts';
import { fps } from './support/format.ts';
import type { Section, SectionResult } from './support/section.ts';

const STREAMS = 3;
const ROUNDS = 5;
/** Of the rate and the processor time without rules. */
const LEAST_RATIO = 0.97;
const START_LIMIT_MS = 120_000;
/** Ticks a second of the times in /proc. */
const TICKS = 100;

/** Zones and lines of streams with rules and without: the tracker counts for both. */
const PLACES = {
  track: { newScore: 0.4 },
  zones: [
    {
      id: 'left',
      polygon: [
        [0.05, 0.5],
        [0.6, 0.5],
        [0.6, 1],
        [0.05, 1],
      ],
    },
    {
      id: 'right',
      polygon: [
        [0.5, 0.2],
        [0.95, 0.2],
        [0.95, 0.8],
        [0.5, 0.8],
      ],
    },
  ],
  lines: [
    { id: 'down', from: [0.5, 1], to: [0.5, 0] },
    { id: 'across', from: [0, 0.5], to: [1, 0.5] },
  ],
};
/** Twenty, of each kind at least one. Without `cooldown` each object of a busy picture raises several events. */
const RULES = [
  { kind: 'appears', labels: ['person'] },
  { kind: 'appears', labels: ['person'], minScore: 0.5 },
  { kind: 'leaves', labels: ['person'] },
  ...['left', 'right'].flatMap((zone) => [
    { kind: 'enters', zone },
    { kind: 'exits', zone },
    { kind: 'dwells', zone, for: '5s' },
  ]),
  { kind: 'enters', zone: 'left', when: 'label == "person" && size > 0.1' },
  { kind: 'dwells', for: '10s' },
  { kind: 'crosses', line: 'down' },
  { kind: 'crosses', line: 'across' },
  { kind: 'crosses', line: 'down', direction: 'left-to-right' },
  { kind: 'count', zone: 'left', above: 2, for: '3s' },
  { kind: 'count', above: 4, for: '2s' },
  { kind: 'stationary', for: '5s' },
  { kind: 'speed', above: 0.2 },
  { kind: 'picture', signs: ['frozen'], for: '5s' },
  { kind: 'stream', for: '10s' },
].map((rule, i) => ({ id: `r${i}`, ...rule }));

interface Run {
  readonly fps: number;
  /** Processor time of the process and its children a published frame. */
  readonly cpuMs: number;
  readonly eventsPerFrame: number;
}

interface Pair {
  readonly model: string;
  readonly bare: Run;
  readonly rules: Run;
}

/** Measures `sightline run` without rules, and with twenty a stream, a history on the disk and a broker. Linux. */
export const rules: Section = {
  id: 'rules',
  title: 'Own cost of rules, history and messages',
  async run(context): Promise<SectionResult> {
    const missing = BrokerProcess.missing(MOSQUITTO);
    if (missing !== null) return { tables: [], targets: [], notes: [`skipped: ${missing}`], data: null };
    const broker = await BrokerProcess.open(MOSQUITTO);
    const pairs: Pair[] = [];
    try {
      for (const model of new Set([SLOW_MODEL, context.model]))
        for (let round = 0; round < (context.isQuick ? 1 : ROUNDS); round++) {
          const modes = round % 2 === 0 ? [false, true] : [true, false];
          const runs: [Run, Run] = [null!, null!];
          for (const hasRules of modes)
            runs[hasRules ? 1 : 0] = await runOnce(context, model, hasRules ? broker : null);
          pairs.push({ model, bare: runs[0], rules: runs[1] });
        }
    } finally {
      await broker.close();
    }
    const row = ({ model, bare, rules: busy }: Pair): string[] => [
      ...[model, fps(bare.fps), fps(busy.fps), (busy.fps / bare.fps).toFixed(3)],
      ...[bare.cpuMs.toFixed(2), busy.cpuMs.toFixed(2), (bare.cpuMs / busy.cpuMs).toFixed(3)],
      busy.eventsPerFrame.toFixed(2),
    ];
    const heading = ['detector', 'bare', 'with rules', 'ratio', 'CPU ms', 'with rules', 'ratio', 'events a frame'];
    const medianOf = (model: string, ratio: (pair: Pair) => number): number => {
      const ratios = pairs.filter((pair) => pair.model === model).map(ratio);
      return ratios.toSorted((a, b) => a - b)[ratios.length >> 1]!;
    };
    return {
      tables: [
        {
          caption: `${STREAMS} files as fast as they go, ${RULES.length} rules each`,
          rows: [heading, ...pairs.map(row)],
        },
      ],
      targets: [...new Set(pairs.map(({ model }) => model))].flatMap((model) => [
        {
          what: `frames/s with rules to without, ${model}`,
          target: LEAST_RATIO,
          want: 'at least',
          unit: 'ratio',
          measured: medianOf(model, ({ bare, rules: busy }) => busy.fps / bare.fps),
        } as const,
        {
          what: `CPU without rules to with, ${model}`,
          target: LEAST_RATIO,
          want: 'at least',
          unit: 'ratio',
          measured: medianOf(model, ({ bare, rules: busy }) => bare.cpuMs / busy.cpuMs),
        } as const,
      ]),
      notes: ['Files are read several times as fast as cameras would send them, so that events come as often more.'],
      data: pairs,
    };
  },
};

async function runOnce(context: BenchContext, model: string, broker: BrokerProcess | null): Promise<Run> {
  const folder = await mkdtemp(join(tmpdir(), 'sightline-bench-rules-'));
  const url = `mqtt://127.0.0.1:${broker?.port}`;
  const stream = { source: context.clip.path, loop: true, realtime: false, ...PLACES };
  const pipeline = {
    name: 'rules',
    description: 'Own cost of rules.',
    model: { name: model },
    streams: Array.from({ length: STREAMS }, (_, i) => ({
      id: `s${i}`,
      ...stream,
      ...(broker === null ? {} : { events: RULES }),
    })),
    ...(broker === null
      ? {}
      : {
          history: { path: join(folder, 'history.sqlite') },
          sinks: [{ type: 'mqtt', url }],
        }),
  };
  const path = join(folder, 'pipeline.yaml');
  await writeFile(path, JSON.stringify(pipeline));
  const port = await freePort();
  const program = join(packageRoot(), 'workers/sightline.mjs');
  const child = spawn(process.execPath, [program, 'run', path, '--port', `${port}`], {
    env: { ...process.env, SIGHTLINE_CACHE_DIR: context.environment.cacheDir },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const ended = new Promise((resolve) => child.once('close', resolve));
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => {
    log = `${log}${chunk}`.slice(-1000);
  });
  try {
    await untilPublished(port).catch((error: unknown) => {
      throw new Error(`sightline run did not start: ${log}`, { cause: error });
    });
    await sleep(context.warmUpSeconds * 1000);
    const from = await look(child, port);
    await sleep(context.seconds * 1000);
    const to = await look(child, port);
    const frames = to.frames - from.frames;
    return {
      fps: (frames * 1000) / (to.atMs - from.atMs),
      cpuMs: ((to.cpuS - from.cpuS) * 1000) / frames,
      eventsPerFrame: (to.events - from.events) / frames,
    };
  } finally {
    child.kill();
    await ended;
    await rm(folder, { recursive: true });
  }
}

async function streamsOf(port: number): Promise<StreamsReply['streams']> {
  return ((await (await fetch(`http://127.0.0.1:${port}/api/streams`)).json()) as StreamsReply).streams;
}

async function untilPublished(port: number): Promise<void> {
  for (const from = performance.now(); performance.now() - from < START_LIMIT_MS; await sleep(200)) {
    const streams = await streamsOf(port).catch(() => []);
    if (streams.length === STREAMS && streams.every(({ frames }) => frames.published > 0)) return;
  }
  throw new Error('no frame of each stream was published');
}

async function look({ pid }: ChildProcess, port: number) {
  const streams = await streamsOf(port);
  const sum = (of: (stream: StreamsReply['streams'][number]) => number): number =>
    streams.reduce((total, stream) => total + of(stream), 0);
  return {
    frames: sum(({ frames }) => frames.published),
    events: sum(({ events }) => events?.raised ?? 0),
    cpuS: await cpuSeconds(pid!),
    atMs: performance.now(),
  };
}

/** Of a process and all that it started. */
async function cpuSeconds(root: number): Promise<number> {
  const stats = new Map<number, { readonly parent: number; readonly ticks: number }>();
  for (const name of await readdir('/proc')) {
    const stat = /^\d+$/.test(name) ? await readFile(`/proc/${name}/stat`, 'latin1').catch(() => '') : '';
    if (stat === '') continue;
    const fields = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number);
    // Its own time and that of its children that have ended.
    stats.set(Number(name), { parent: fields[1]!, ticks: fields.slice(11, 15).reduce((sum, each) => sum + each, 0) });
  }
  const below = (pid: number): number =>
    [...stats].reduce(
      (sum, [child, { parent }]) => (parent === pid ? sum + below(child) : sum),
      stats.get(pid)?.ticks ?? 0,
    );
  return below(root) / TICKS;
}
