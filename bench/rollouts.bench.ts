import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { findBindingPlace, readSetupRecord } from '../src/network/store/tensorflow/binding-place.ts';
import type { Decision, RolloutReport } from '../src/wire/protocol/rollout-records.ts';
import { type BenchContext, childEnvironment, chosenCases, FAST_MODEL } from './support/bench-context.ts';
import { missingRedis } from './support/redis-process.ts';
import { optimisedPipeline, sightline } from './support/rollout-best.ts';
import { type Damage, damagedModel, modelOf } from './support/rollout-models.ts';
import { openMemoryPlane, openRedisPlane, type RolloutPlane, type TakeOver } from './support/rollout-planes.ts';
import type { Section, SectionResult, Target } from './support/section.ts';

/** Small pictures and many frames: every guard has its data soon. */
const CAMERA_FPS = 20;
const INPUT_SIZE = '320x192';
const CAMERA_SECONDS = 14;
/** COCO's number of the class car: only the street shows some. */
const CAR = 2;
/** Cameras by what they show. One is a street with cars, one sends grey pictures, as at night. */
const CAMERAS = ['hall', 'hall', 'shelf', 'hall', 'street', 'shelf', 'night', 'hall'].map((shows, i) => ({
  id: `camera-${i + 1}`,
  shows,
}));
const VIEWS: Readonly<Record<string, { readonly clip: string; readonly filter: string }>> = {
  hall: { clip: 'one-by-one-person-detection.mp4', filter: '' },
  shelf: { clip: 'bottle-detection.mp4', filter: '' },
  street: { clip: 'vtest_h264.mp4', filter: '' },
  night: { clip: 'one-by-one-person-detection.mp4', filter: ',hue=s=0' },
};
/** Six times the pixels. */
const SLOW_SIZE = '832x480';
/** The shortest ones: all streams at once. */
const STEPS = [100];
const HOLD_MS = 10_000;
const MIN_FRAMES = 300;
/** Margin for a small machine that all processes share: its tail latency differs by tens of per cent from minute to minute. */
const P99_MARGIN = 1;
/** Guards of detections are off: another input size detects other objects, and these cases are about speed. */
const SPEED_ONLY = { agreement: { isOn: false }, boxes: { isOn: false }, confidence: { isOn: false } };
/** A roll-out that is not decided by then counts as held. */
const LIMIT_SECONDS = 420;
const POLL_MS = 250;
const START_SECONDS = 60;
const LEASE_MS = 5_000;

/** A version that is rolled out in place of yolox-nano on onnx. */
interface Case {
  readonly name: string;
  readonly wanted: 'promoted' | 'rolled-back';
  /** Guards that may roll it back. */
  readonly by?: readonly string[];
  /** `memory` is one `sightline run`; `both`: two hosts with a Redis as well. */
  readonly planes: 'memory' | 'both';
  readonly model?: Readonly<Record<string, unknown>>;
  readonly damage?: Damage;
  readonly guards?: Readonly<Record<string, unknown>>;
  readonly shadow?: boolean;
  /** The result of `sightline optimize` is rolled out. */
  readonly isBest?: boolean;
  readonly needsTensorflow?: boolean;
  /** Called with every report while the roll-out runs. */
  readonly disturb?: (plane: RolloutPlane, report: RolloutReport) => Promise<TakeOver | null>;
}

const CASES: readonly Case[] = [
  {
    name: 'swapped colours, with --shadow',
    wanted: 'rolled-back',
    by: ['agreement', 'boxes', 'confidence'],
    planes: 'memory',
    model: { colours: 'rgb' },
    shadow: true,
  },
  {
    name: 'the class car lost, on one camera of eight',
    wanted: 'rolled-back',
    by: ['agreement', 'boxes'],
    planes: 'both',
    damage: { lostClass: CAR },
  },
  {
    name: 'one blind camera of eight',
    wanted: 'rolled-back',
    by: ['agreement', 'boxes'],
    planes: 'memory',
    damage: 'blind on grey pictures',
  },
  {
    name: 'a slow engine',
    wanted: 'rolled-back',
    by: ['deviceTime', 'p99', 'fps', 'drops', 'target'],
    planes: 'memory',
    model: { engine: 'tensorflow' },
    guards: SPEED_ONLY,
    needsTensorflow: true,
  },
  {
    name: 'an engine that is killed each time it starts',
    wanted: 'rolled-back',
    by: ['results', 'crashes', 'errors'],
    planes: 'memory',
    model: { engine: 'tensorflow' },
    guards: SPEED_ONLY,
    needsTensorflow: true,
    disturb: killEngine,
  },
  {
    name: 'a slow candidate of another input size',
    wanted: 'rolled-back',
    planes: 'memory',
    by: ['deviceTime', 'p99', 'fps', 'drops', 'target'],
    model: { inputSize: SLOW_SIZE },
    guards: SPEED_ONLY,
  },
  { name: 'best.yaml of optimize', wanted: 'promoted', planes: 'memory', isBest: true },
  {
    name: 'equal, its controller killed at each step',
    wanted: 'promoted',
    planes: 'both',
    shadow: true,
    disturb: killControllerOnce(),
  },
];

interface Outcome {
  readonly plane: string;
  readonly candidate: string;
  readonly wanted: string;
  readonly state: string;
  /** The guard that rolled it back is one of those that should; true if it was promoted. */
  readonly isRightGuard: boolean;
  readonly seconds: number;
  /** Largest share of the streams that used the candidate, in per cent. */
  readonly mostShare: number;
  /** Inferred by the candidate in all steps. */
  readonly frames: number;
  readonly reason: string;
  readonly predicted: RolloutReport['predicted'];
  readonly measured: RolloutReport['measured'];
  readonly takeOvers: readonly (TakeOver & { readonly share: number })[];
}

/** Rolls bad, slow, crashing and equal models out to eight paced streams in real processes, on both control planes. */
export const rollouts: Section = {
  id: 'rollouts',
  title: 'Roll-outs on eight paced streams',
  async run(context): Promise<SectionResult> {
    const folder = await mkdtemp(join(tmpdir(), 'sightline-bench-rollouts-'));
    try {
      return await measure(context, folder);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};

async function measure(context: BenchContext, folder: string): Promise<SectionResult> {
  const notes = [
    `${CAMERAS.length} streams of ${CAMERA_FPS} frames/s, ${FAST_MODEL} at ${INPUT_SIZE} on onnx; steps 0, ${STEPS.join(', ')} and 100 % alone, each at least ${HOLD_MS / 1000} s and ${MIN_FRAMES} frames; margin of the p99 guard ${P99_MARGIN}. Cases about speed have the guards of detections off; all else is as it is by default.`,
    'Seconds: from the start to the decision, the baseline at 0 % included.',
  ];
  const cases = possible(chosenCases(CASES, context), context, notes);
  const outcomes: Outcome[] = [];
  const planes = [{ name: 'memory', open: openMemoryPlane }];
  const missing = missingRedis();
  if (missing === null && !context.isQuick) planes.push({ name: 'redis', open: openRedisPlane });
  else notes.push(`SKIPPED: the plane on Redis: ${missing ?? 'left out by --quick'}`);
  for (const { name, open } of planes) {
    const own = cases.filter((one) => name === 'memory' || one.planes === 'both');
    if (own.length === 0) continue;
    const state = await mkdtemp(join(folder, 'state-'));
    const pipeline = await pipelineFile(context, folder, state);
    const plane = await open(pipeline, childEnvironment(context));
    try {
      await allRunning(plane);
      for (const one of own) {
        const outcome = await rollOut(plane, one, context, folder, notes);
        outcomes.push(outcome);
        const { seconds, reason } = outcome;
        context.note(
          `${plane.name}: ${one.name}: expected ${one.wanted}, got ${outcome.state} after ${seconds.toFixed(0)} s: ${reason}`,
        );
        if (outcome.state === 'promoted') await plane.ask('POST', '/api/rollouts/undo');
      }
    } finally {
      await plane.stop();
    }
  }
  return resultOf(outcomes, notes);
}

/** Hosts of a fleet share the streams out after their start. */
async function allRunning(plane: RolloutPlane): Promise<void> {
  for (let asked = 0; asked < START_SECONDS; asked += 1) {
    const { streams } = (await plane.ask('GET', '/api/streams')) as { readonly streams: readonly { state: string }[] };
    if (streams.length === CAMERAS.length && streams.every(({ state }) => state === 'running')) return;
    await sleep(1000);
  }
  throw new Error(`${plane.name}: not all streams run after ${START_SECONDS} s`);
}

function resultOf(outcomes: readonly Outcome[], notes: readonly string[]): SectionResult {
  const takeOvers = outcomes.flatMap(({ plane, takeOvers: each }) => each.map((one) => ({ plane, ...one })));
  return {
    tables: [
      { caption: 'roll-outs', rows: [HEADING, ...outcomes.map(rowOf)] },
      {
        caption: 'the controller is killed at each step of the equal model',
        rows: [
          ['control plane', 'share', 'killed', 'goes on at', 'after'],
          ...takeOvers.map(({ plane, share, killed, wentOnAt, seconds }) => [
            ...[plane, `${share} %`, killed, wentOnAt, `${seconds.toFixed(1)} s`],
          ]),
        ],
      },
    ],
    targets: outcomes.map(({ plane, candidate, wanted, state, isRightGuard }): Target => {
      const measured = Number(state === wanted && isRightGuard);
      return { what: `${plane}: ${candidate}: ${wanted}`, measured, target: 1, want: 'exactly', unit: '' };
    }),
    notes,
    data: outcomes,
  };
}

/** Leaves out what this machine lacks; with `--quick` all but the last case. */
function possible(cases: readonly Case[], { isQuick, sharedDir, environment }: BenchContext, notes: string[]): Case[] {
  const lacking = Object.values(VIEWS).find(({ clip }) => !existsSync(join(sharedDir, 'videos', clip)));
  if (lacking !== undefined) {
    notes.push(`SKIPPED: all: the clip ${lacking.clip} is not on this machine`);
    return [];
  }
  const place = findBindingPlace(environment.cacheDir);
  const hasTensorflow = place !== null && readSetupRecord(place) !== null;
  if (!hasTensorflow) notes.push('SKIPPED: cases with tensorflow, which is not set up (npm run setup:tensorflow)');
  return cases.slice(isQuick ? -1 : 0).filter(({ needsTensorflow = false }) => hasTensorflow || !needsTensorflow);
}

/** Only the candidate runs in a process of its own. */
async function killEngine(plane: RolloutPlane, { share }: RolloutReport): Promise<null> {
  if (share === 0) return null;
  const own = new Set(plane.processIds);
  for (const pid of await readdir('/proc')) {
    const status = await readFile(`/proc/${pid}/status`, 'latin1').catch(() => '');
    const command = await readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '');
    const parent = Number(/^PPid:\s*(\d+)/m.exec(status)?.[1] ?? 0);
    if (own.has(parent) && command.includes('tensorflow.process')) process.kill(Number(pid), 'SIGKILL');
  }
  return null;
}

/** Kills the controller once in each step, when it has some evidence. */
function killControllerOnce(): NonNullable<Case['disturb']> {
  const done = new Set<string>();
  return async (plane, { id, step: at, frames }) => {
    const step = `${plane.name} ${id} ${at}`;
    if (done.has(step) || frames === 0) return null;
    done.add(step);
    return plane.killController();
  };
}

async function rollOut(
  plane: RolloutPlane,
  rolled: Case,
  context: BenchContext,
  folder: string,
  notes: string[],
): Promise<Outcome> {
  const { by = [] } = rolled;
  const begin = await prepare(plane, rolled, context, folder, notes);
  const startedMs = performance.now();
  const seconds = (): number => (performance.now() - startedMs) / 1000;
  let report = await begin();
  let mostShare = 0;
  const takeOvers: Outcome['takeOvers'][number][] = [];
  while (['running', 'holding'].includes(report.state) && seconds() < LIMIT_SECONDS) {
    await sleep(POLL_MS);
    report = ((await plane.ask('GET', '/api/rollouts')) as { readonly rollout: RolloutReport }).rollout;
    const { state, share } = report;
    mostShare = Math.max(mostShare, share);
    if (state !== 'running' && state !== 'holding') break;
    const takeOver = await rolled.disturb?.(plane, report);
    if (takeOver !== null && takeOver !== undefined) takeOvers.push({ ...takeOver, share });
  }
  const took = seconds();
  const { decisions } = (await plane.ask('GET', '/api/rollouts/history')) as {
    readonly decisions: readonly Decision[];
  };
  const ends = decisions.filter(
    ({ rollout, kind }) => rollout === report.id && !['started', 'held', 'resumed'].includes(kind),
  );
  const frames = ends.reduce((sum, decision) => sum + decision.frames, 0);
  if (['running', 'holding'].includes(report.state)) await plane.ask('POST', '/api/rollouts/abort');
  if (rolled.isBest === true) {
    const status = await sightline(['rollout', 'status', '--url', plane.url], process.env);
    const lines = status.split('\n').filter((line) => /^(rollout|state|steps|gain)/.test(line));
    notes.push(`sightline rollout status: ${lines.join(' | ')}`);
  }
  const { state, reason, predicted, measured } = report;
  return {
    plane: plane.name,
    candidate: rolled.name,
    wanted: rolled.wanted,
    state,
    seconds: took,
    mostShare,
    frames,
    reason,
    predicted,
    measured,
    takeOvers,
    isRightGuard: state !== 'rolled-back' || by.some((guard) => reason.startsWith(`${guard}:`)),
  };
}

/** Makes what is rolled out. @returns what starts it. */
async function prepare(
  plane: RolloutPlane,
  { name, isBest = false, damage = 'none', model = {}, guards: more, shadow = false }: Case,
  context: BenchContext,
  folder: string,
  notes: string[],
): Promise<() => Promise<RolloutReport>> {
  const guards = { p99: { margin: P99_MARGIN }, ...more };
  if (isBest) {
    const control = { ...modelOf(join(folder, 'people.onnx')), inputSize: INPUT_SIZE };
    const best = await optimisedPipeline(context, folder, join(folder, 'street.mp4'), control, notes);
    const file = join(folder, 'guards.yaml');
    await writeFile(file, JSON.stringify(guards));
    const steps = ['--steps', STEPS.join(), '--hold', `${HOLD_MS / 1000}s`, '--min-frames', String(MIN_FRAMES)];
    const flags = [...steps, '--guards', file, '--url', plane.url, '--json'];
    const start = (): Promise<string> => sightline(['rollout', 'start', best, ...flags], process.env);
    return async () => JSON.parse(await start()) as RolloutReport;
  }
  const file = join(folder, `${name.replaceAll(/\W+/g, '-')}.onnx`);
  await damagedModel(context, FAST_MODEL, damage, file);
  const settings = { model: { ...modelOf(file), inputSize: INPUT_SIZE, ...model } };
  const body = {
    settings: { ...settings, lanes: 1 },
    steps: STEPS,
    holdMs: HOLD_MS,
    minFrames: MIN_FRAMES,
    guards,
    shadow,
  };
  return async () => (await plane.ask('POST', '/api/rollouts', body)) as RolloutReport;
}

const HEADING = [
  'control plane',
  'candidate',
  'expected',
  'got',
  'after',
  'at most on',
  'frames of it',
  'gain',
  'because',
];

function rowOf({ plane, candidate, wanted, state, isRightGuard, seconds, ...outcome }: Outcome): string[] {
  const { mostShare, frames, reason, predicted, measured } = outcome;
  const times = ({ ratio, low, high }: { ratio: number; low: number; high: number }): string =>
    `${ratio.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`;
  const gains = [
    predicted === null ? '' : `predicted ${times(predicted)}`,
    measured === null
      ? ''
      : `measured ${times(measured)}: ${measured.controlMs.toFixed(1)} -> ${measured.candidateMs.toFixed(1)} ms CPU a frame`,
  ].filter((text) => text !== '');
  const because = state === 'promoted' ? 'all guards pass' : `${isRightGuard ? '' : 'WRONG GUARD: '}${reason}`;
  return [
    ...[plane, candidate, wanted, state, `${seconds.toFixed(0)} s`, `${mostShare} %`, String(frames)],
    ...[gains.join(', ') || '-', because],
  ];
}

async function pipelineFile(context: BenchContext, folder: string, state: string): Promise<string> {
  for (const [name, { clip, filter }] of Object.entries(VIEWS)) {
    // As a camera sends it, so that decoding leaves the CPU to inference.
    await promisify(execFile)(context.ffmpeg.path, [
      ...['-loglevel', 'error', '-nostdin', '-y', '-i', join(context.sharedDir, 'videos', clip), '-an'],
      ...['-t', String(CAMERA_SECONDS), '-vf', `scale=640:-2${filter}`, '-r', String(CAMERA_FPS), '-c:v', 'libx264'],
      ...['-preset', 'veryfast', '-g', '12', join(folder, `${name}.mp4`)],
    ]);
  }
  const streams = CAMERAS.map(({ id, shows }) => ({
    id,
    source: join(folder, `${shows}.mp4`),
    loop: true,
    realtime: true,
    target: { fps: CAMERA_FPS },
  }));
  const model = await damagedModel(context, FAST_MODEL, 'none', join(folder, 'people.onnx'));
  const path = `${state}.yaml`;
  const pipeline = {
    name: 'people',
    description: 'Eight paced files in place of cameras.',
    model: { ...modelOf(model), inputSize: INPUT_SIZE },
    lanes: 1,
    fleet: { leaseMs: LEASE_MS, capacityFps: CAMERAS.length * CAMERA_FPS, schemes: ['file'], roots: [folder] },
    rollout: { folder: state },
    streams,
  };
  await writeFile(path, JSON.stringify(pipeline));
  return path;
}
