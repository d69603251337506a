import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { parseStream } from '../src/config/load-pipeline.ts';
import type { Decision, RolloutReport } from '../src/protocol/rollout-records.ts';
import { packageRoot } from '../src/store/package-root.ts';
import { findBindingPlace, readSetupRecord } from '../src/store/tensorflow/binding-place.ts';
import { type BenchContext, childEnvironment } from './support/bench-context.ts';
import { missingRedis } from './support/redis-process.ts';
import { openMemoryPlane, openRedisPlane, type RolloutPlane, type TakeOver } from './support/rollout-planes.ts';
import type { Section, SectionResult, Target } from './support/section.ts';

const STREAMS = 12;
const STREAM_IDS = Array.from({ length: STREAMS }, (_, i) => `camera-${i + 1}`);
const CAMERA_FPS = 6;
const CAMERA_SECONDS = 14;
const INPUT_SIZE = '256x256';
/** Little smaller, so that it detects the same. */
const BEST_SIZE = '224x224';
const SLOW_SIZE = '640x640';
const STEPS = [25, 50, 100];
const HOLD_MS = 15_000;
const MIN_FRAMES = 500;
/** Of a small machine that all processes share: its tail latency differs by tens of per cent from minute to minute. */
const P99_MARGIN = 0.5;
/** A roll-out that is not decided by then counts as held. */
const LIMIT_SECONDS = 1500;
const POLL_MS = 250;
const LEASE_MS = 5_000;

/** A version that is rolled out in place of centernet on onnx. */
interface Candidate {
  readonly name: string;
  readonly wanted: 'promoted' | 'rolled-back';
  readonly model: Readonly<Record<string, unknown>>;
  readonly shadow: boolean;
  /** What it changes on the streams, as a pipeline file writes it. */
  readonly defaults?: Readonly<Record<string, unknown>>;
  /** Called with every report while the roll-out runs. */
  readonly disturb?: (plane: RolloutPlane, report: RolloutReport) => Promise<TakeOver | null>;
}

interface Outcome {
  readonly plane: string;
  readonly candidate: string;
  readonly wanted: string;
  readonly state: string;
  readonly seconds: number;
  /** Largest share of the streams that used the candidate, in per cent. */
  readonly mostShare: number;
  /** Inferred by the candidate in all steps. */
  readonly frames: number;
  readonly reason: string;
  readonly measured: RolloutReport['measured'];
  readonly takeOvers: readonly (TakeOver & { readonly share: number })[];
}

/** Rolls bad, slow, crashing and equal models out to twelve paced streams in real processes, on both control planes. */
export const rollouts: Section = {
  id: 'rollouts',
  title: 'Roll-outs on twelve paced streams',
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
    `${STREAMS} streams of ${CAMERA_FPS} frames/s, centernet ${INPUT_SIZE} on onnx; steps 0, ${STEPS.join(', ')} and 100 % alone, each at least ${HOLD_MS / 1000} s and ${MIN_FRAMES} frames; margin of the p99 guard ${P99_MARGIN}, other guards as they are.`,
    'Seconds: from the start to the decision, the baseline at 0 % included.',
  ];
  const candidates = await candidatesOf(folder, notes);
  const planes = [openMemoryPlane];
  const missing = missingRedis();
  if (missing === null && !context.isQuick) planes.push(openRedisPlane);
  else notes.push(`SKIPPED: the plane on Redis: ${missing ?? 'left out by --quick'}`);
  const outcomes: Outcome[] = [];
  for (const open of planes) {
    const state = await mkdtemp(join(folder, 'state-'));
    const plane = await open(await pipelineFile(context, folder, state), childEnvironment(context));
    try {
      for (const candidate of context.isQuick ? candidates.slice(-1) : candidates) {
        const outcome = await rollOut(plane, candidate);
        outcomes.push(outcome);
        context.note(
          `${plane.name}: ${candidate.name}: ${outcome.state} after ${outcome.seconds.toFixed(0)} s: ${outcome.reason}`,
        );
        if (outcome.state === 'promoted') await plane.ask('POST', '/api/rollouts/undo');
      }
    } finally {
      await plane.stop();
    }
  }
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
    targets: outcomes.map(({ plane, candidate, wanted, state }): Target => {
      const measured = Number(state === wanted);
      return { what: `${plane}: ${candidate}: ${wanted}`, measured, target: 1, want: 'exactly', unit: '' };
    }),
    notes,
    data: outcomes,
  };
}

async function candidatesOf(folder: string, notes: string[]): Promise<Candidate[]> {
  const swapped = await manifest(folder, 'swapped', (text) => text.replace('colours: rgb', 'colours: bgr'));
  const equal = await manifest(folder, 'equal', (text) => text);
  const bad = { name: swapped, engine: 'onnx' };
  const candidates: Candidate[] = [
    { name: 'swapped colours, with --shadow', wanted: 'rolled-back', model: bad, shadow: true },
    { name: 'swapped colours', wanted: 'rolled-back', model: bad, shadow: false },
  ];
  const place = findBindingPlace();
  if (place === null || readSetupRecord(place) === null)
    notes.push('SKIPPED: a slow engine, and one that is killed: tensorflow is not set up (npm run setup:tensorflow)');
  else {
    // On a CPU it takes several times as long as onnx.
    const model = { name: 'centernet', engine: 'tensorflow', precision: 'f32' };
    const tensorflow = { wanted: 'rolled-back', model, shadow: false } as const;
    candidates.push(
      { ...tensorflow, name: 'slow (engine tensorflow)' },
      { ...tensorflow, name: 'engine killed each time it starts', disturb: killEngine },
    );
  }
  candidates.push(
    // A smaller input and skipped frames, as the optimiser finds them: turns and pairs need frames for both inputs.
    {
      ...{ name: 'best.yaml: smaller input, every second frame', wanted: 'promoted' },
      ...{ model: { name: equal, engine: 'onnx', inputSize: BEST_SIZE }, shadow: false },
      defaults: { skip: { trackBetween: 2 } },
    },
    {
      ...{ name: 'slow, with a larger input', wanted: 'rolled-back' },
      ...{ model: { name: equal, engine: 'onnx', inputSize: SLOW_SIZE }, shadow: false },
    },
  );
  candidates.push({
    name: 'equal, controller killed at each step',
    wanted: 'promoted',
    model: { name: equal, engine: 'onnx' },
    shadow: true,
    disturb: killControllerOnce(),
  });
  return candidates;
}

async function manifest(folder: string, name: string, change: (text: string) => string): Promise<string> {
  const text = await readFile(join(packageRoot(), 'models/centernet/centernet.yaml'), 'utf8');
  const path = join(folder, `${name}.yaml`);
  await writeFile(path, change(text.replace('name: centernet', `name: ${name}`)));
  return path;
}

/** Only the candidate runs in a process of its own. */
async function killEngine(_plane: RolloutPlane, { share }: RolloutReport): Promise<null> {
  if (share === 0) return null;
  for (const pid of await readdir('/proc')) {
    const command = await readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '');
    if (command.includes('tensorflow.process')) process.kill(Number(pid), 'SIGKILL');
  }
  return null;
}

/** Kills the controller once in each step, when it has some evidence. */
function killControllerOnce(): NonNullable<Candidate['disturb']> {
  const done = new Set<string>();
  return async (plane, { id, step: at, frames }) => {
    const step = `${plane.name} ${id} ${at}`;
    if (done.has(step) || frames === 0) return null;
    done.add(step);
    return plane.killController();
  };
}

async function rollOut(plane: RolloutPlane, candidate: Candidate): Promise<Outcome> {
  const model = { inputSize: INPUT_SIZE, threads: 1, ...candidate.model };
  const guards = { p99: { margin: P99_MARGIN } };
  const { shadow, defaults } = candidate;
  const startedMs = performance.now();
  const seconds = (): number => (performance.now() - startedMs) / 1000;
  const streams = STREAM_IDS.map((id) => ({
    ...parseStream({ id, source: 'demo' }, defaults ?? {}),
    source: undefined,
  }));
  const rolled = defaults === undefined ? {} : { defaults, streams };
  const body = { settings: { model, ...rolled }, steps: STEPS, holdMs: HOLD_MS, minFrames: MIN_FRAMES, guards, shadow };
  let report = (await plane.ask('POST', '/api/rollouts', body)) as RolloutReport;
  let mostShare = 0;
  const takeOvers: Outcome['takeOvers'][number][] = [];
  while (['running', 'holding'].includes(report.state) && seconds() < LIMIT_SECONDS) {
    await sleep(POLL_MS);
    report = ((await plane.ask('GET', '/api/rollouts')) as { readonly rollout: RolloutReport }).rollout;
    const { state, share } = report;
    mostShare = Math.max(mostShare, share);
    if (state !== 'running' && state !== 'holding') break;
    const takeOver = await candidate.disturb?.(plane, report);
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
  const { state, reason } = report;
  return {
    ...{ plane: plane.name, candidate: candidate.name, wanted: candidate.wanted },
    ...{ state, seconds: took, mostShare, frames, reason, measured: report.measured, takeOvers },
  };
}

const HEADING = ['control plane', 'candidate', 'outcome', 'after', 'at most on', 'frames of it', 'gain', 'because'];

function rowOf({ plane, candidate, state, seconds, mostShare, frames, reason, measured }: Outcome): string[] {
  const gain =
    measured === null
      ? '-'
      : `${measured.ratio.toFixed(2)} (${measured.low.toFixed(2)} to ${measured.high.toFixed(2)}): ${measured.controlMs.toFixed(1)} -> ${measured.candidateMs.toFixed(1)} ms CPU a frame`;
  const because = state === 'promoted' ? 'all guards pass' : reason;
  return [plane, candidate, state, `${seconds.toFixed(0)} s`, `${mostShare} %`, String(frames), gain, because];
}

async function pipelineFile(context: BenchContext, folder: string, state: string): Promise<string> {
  const camera = join(folder, 'camera.mp4');
  // People in colourful clothes. In a grey picture a network with swapped colours finds nearly the same.
  const street = join(context.sharedDir, 'videos', 'vtest_h264.mp4');
  const clip = existsSync(street) ? street : context.clip.path;
  // As a camera sends it, so that decoding leaves the CPU to inference.
  await promisify(execFile)(context.ffmpeg.path, [
    ...['-loglevel', 'error', '-nostdin', '-y', '-i', clip, '-t', String(CAMERA_SECONDS), '-an'],
    ...['-vf', 'scale=640:-2', '-r', String(CAMERA_FPS), '-c:v', 'libx264', '-preset', 'veryfast', '-g', '12', camera],
  ]);
  const streams = STREAM_IDS.map((id) => ({
    ...{ id, source: camera, loop: true, realtime: true, target: { fps: CAMERA_FPS } },
  }));
  const path = `${state}.yaml`;
  const pipeline = {
    ...{ name: 'people', description: 'Twelve paced files in place of cameras.' },
    model: { name: 'centernet', engine: 'onnx', inputSize: INPUT_SIZE, threads: 1 },
    fleet: { leaseMs: LEASE_MS, capacityFps: STREAMS * CAMERA_FPS, schemes: ['file'], roots: [folder] },
    rollout: { folder: state },
    streams,
  };
  await writeFile(path, JSON.stringify(pipeline));
  return path;
}
