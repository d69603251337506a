import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { ControlPlane } from '../src/fleet/control/control-plane.ts';
import { openRedisControlPlane } from '../src/fleet/control/redis/redis-control-plane.ts';
import { packageRoot } from '../src/network/store/package-root.ts';
import type { JobOrder } from '../src/wire/protocol/fleet.ts';
import { DEFAULT_SEGMENT_S } from '../src/wire/protocol/rest.ts';
import { median } from './peers/agreement.ts';
import { type BenchContext, childEnvironment } from './support/bench-context.ts';
import { fps } from './support/format.ts';
import { missingRedis, RedisProcess } from './support/redis-process.ts';
import type { Section, SectionResult } from './support/section.ts';

const ROUNDS = 3;
/** Length of the recording, made by looping the clip. */
const FOOTAGE_S = 300;
const QUICK_FOOTAGE_S = 120;
/** Every process infers a short recording first, to find its batch size and to let V8 compile its code. */
const WARM_UP_S = 20;
/** The job's record has its exact end time, so polling can be slow and take little CPU from the job. */
const POLL_MS = 500;
/** Re-encodes the clip: its time stamps contradict its pictures, and such a file is not split. */
const H264 = ['-c:v', 'libx264', '-preset', 'veryfast', '-crf', '23', '-g', '60'] as const;
const ENTRY = join(packageRoot(), 'dist/workers/sightline.process.js');
const DETECT = '1 process: sightline detect';

interface Round {
  readonly side: string;
  readonly frames: number;
  readonly fps: number;
}

/** Measures the overhead of a recording that is inferred as a job, in segments, compared with a single `detect`. */
export const bulk: Section = {
  id: 'bulk',
  title: 'Bulk reprocessing: a fleet compared with sightline detect',
  async run(context): Promise<SectionResult> {
    const missing = missingRedis();
    if (missing !== null) return { tables: [], targets: [], notes: [`SKIPPED: ${missing}`], data: null };
    const folder = await mkdtemp(join(tmpdir(), 'sightline-bench-bulk-'));
    const redis = await RedisProcess.start();
    try {
      return resultOf(await measure(context, folder, redis.url));
    } finally {
      await redis.stop();
      await rm(folder, { recursive: true, force: true });
    }
  },
};

function resultOf(rounds: readonly Round[]): SectionResult {
  const sides = [...new Set(rounds.map(({ side }) => side))];
  const rate = (side: string): number =>
    median(rounds.filter((round) => round.side === side).map((round) => round.fps));
  const baseline = rate(DETECT);
  return {
    tables: [
      {
        caption: `the same ${rounds[0]!.frames} frames, medians of ${rounds.length / sides.length}, after each process has inferred ${WARM_UP_S} s of video`,
        rows: [
          ['side', 'rate', 'of detect'],
          ...sides.map((side) => [side, fps(rate(side)), (rate(side) / baseline).toFixed(3)]),
        ],
      },
    ],
    targets: sides
      .filter((side) => side !== DETECT)
      .map((side) => ({
        what: `rate of ${side} / detect`,
        measured: rate(side) / baseline,
        target: 0.95,
        want: 'at least',
        unit: '',
      })),
    notes: [
      `Every side has ${availableParallelism()} inference threads in total. A job's time is from its submission to its merged result: splitting, segments of ${DEFAULT_SEGMENT_S} s, merging.`,
      'The results are byte-identical; if one differs, the section fails.',
    ],
    data: rounds,
  };
}

async function measure(context: BenchContext, folder: string, url: string): Promise<Round[]> {
  const footage = await record(context, join(folder, 'footage.mp4'), context.isQuick ? QUICK_FOOTAGE_S : FOOTAGE_S);
  const warmUp = await record(context, join(folder, 'warm-up.mp4'), WARM_UP_S);
  const rounds: Round[] = [];
  for (let round = 0; round < (context.isQuick ? 1 : ROUNDS); round++) {
    context.note(`bulk: round ${round + 1}`);
    const written = join(folder, 'detect.jsonl');
    rounds.push(await detect(context, [warmUp, footage], written));
    const want = await linesOf(written, footage);
    for (const hosts of [1, 2]) {
      const outDir = join(folder, `round-${round}-hosts-${hosts}`);
      rounds.push(await jobs(context, { warmUp, footage, outDir, folder, url, hosts, id: `r${round}-h${hosts}` }));
      const got = await readFile(join(outDir, 'footage.mp4.jsonl'));
      if (!got.equals(want)) throw new Error(`the result of ${hosts} host(s) differs from that of sightline detect`);
    }
  }
  return rounds;
}

/** Returns the lines that `detect` wrote for its last input. */
async function linesOf(path: string, input: string): Promise<Buffer> {
  const all = await readFile(path);
  const start = all.indexOf(`{"source":${JSON.stringify(input)},`);
  return all.subarray(start);
}

async function record(context: BenchContext, path: string, seconds: number): Promise<string> {
  const loop = ['-loglevel', 'error', '-nostdin', '-stream_loop', '-1', '-i', context.clip.path];
  await promisify(execFile)(context.ffmpeg.path, [...loop, '-map', '0:v:0', ...H264, '-t', `${seconds}`, path]);
  return path;
}

async function detect(context: BenchContext, inputs: readonly string[], out: string): Promise<Round> {
  const args = [ENTRY, 'detect', ...inputs, '--model', context.model, '--out', out, '--json'];
  const { stdout } = await promisify(execFile)(process.execPath, args, { env: childEnvironment(context) });
  const { frames, fps } = (JSON.parse(stdout) as { inputs: { frames: number; fps: number }[] }).inputs.at(-1)!;
  return { side: DETECT, frames, fps };
}

interface JobRun {
  readonly warmUp: string;
  readonly footage: string;
  readonly outDir: string;
  readonly folder: string;
  readonly url: string;
  readonly hosts: number;
  readonly id: string;
}

/** Runs a job that warms up the hosts, then the measured one. */
async function jobs(context: BenchContext, run: JobRun): Promise<Round> {
  const { warmUp, footage, outDir, folder, url, hosts, id } = run;
  const pipeline = join(folder, `${id}.yaml`);
  const threads = Math.max(1, Math.floor(availableParallelism() / hosts));
  const model = `{ name: ${context.model}, engine: onnx, threads: ${threads} }`;
  const fleet = `{ capacityFps: 100, roots: ["${folder}"] }`;
  await writeFile(pipeline, `name: ${id}\ndescription: A bench.\nmodel: ${model}\nfleet: ${fleet}\n`);
  const control = await openRedisControlPlane({ url });
  const processes = Array.from({ length: hosts }, (_, i) => {
    const args = [ENTRY, 'host', pipeline, '--redis', url, '--id', `${id}-${i}`, '--port', '0'];
    return spawn(process.execPath, args, { env: childEnvironment(context), stdio: 'ignore' });
  });
  try {
    await until(
      async () => (await control.state.snapshot()).hosts.filter(({ pipeline: p }) => p === id).length === hosts,
    );
    const order = { pipeline: id, outDir, track: false, every: 1, priority: 0 };
    const done = async (part: Pick<JobOrder, 'id' | 'inputs' | 'segmentSeconds'>): ReturnType<typeof report> => {
      await control.tasks.submit({ ...order, ...part, createdMs: Date.now() });
      return finished(control, part.id);
    };
    await done({ id: `${id}-warm-up`, inputs: [warmUp], segmentSeconds: WARM_UP_S / 5 });
    const segmentSeconds = DEFAULT_SEGMENT_S;
    const { frames, createdMs, finishedMs } = await done({ id, inputs: [footage], segmentSeconds });
    const side = `${hosts} host${hosts === 1 ? '' : 's'}`;
    return { side, frames, fps: (frames * 1000) / (finishedMs! - createdMs) };
  } finally {
    for (const child of processes) {
      child.kill('SIGTERM');
      if (child.exitCode === null) await once(child, 'exit');
    }
    await control.close();
  }
}

async function finished(control: ControlPlane, id: string): ReturnType<typeof report> {
  await until(async () => {
    const { state, deadLetters } = await report(control, id);
    if (state === 'failed') throw new Error(`the job failed: ${deadLetters} dead letters`);
    return state === 'done';
  });
  return report(control, id);
}

async function report(
  control: ControlPlane,
  id: string,
): Promise<Awaited<ReturnType<ControlPlane['tasks']['job']>>['report']> {
  return (await control.tasks.job(id)).report;
}

async function until(isTrue: () => Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await sleep(POLL_MS);
}
