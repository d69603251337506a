import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findOpenvino } from '../src/network/store/openvino/openvino-place.ts';
import { packageRoot } from '../src/network/store/package-root.ts';
import { type BenchContext, SLOW_MODEL } from './support/bench-context.ts';
import { megabytes } from './support/format.ts';
import type { Section, SectionResult } from './support/section.ts';

/** Largest memory for one camera that leaves room for other programs on a small machine. */
const MOST_BYTES = 300e6;
const SECONDS = 60;
const QUICK_SECONDS = 10;
const START_LIMIT_MS = 180_000;

interface ServiceRun {
  readonly engine: string;
  readonly start: 'first' | 'later';
  readonly rssBytes: number;
  readonly peakBytes: number;
}

/** Memory of `sightline run` with one stream of the default detector: at a first start, with an empty cache, and later. Linux. */
export const serviceMemory: Section = {
  id: 'service-memory',
  title: 'Memory of a service',
  async run(context): Promise<SectionResult> {
    const runs: ServiceRun[] = [];
    const engines = findOpenvino(context.environment) === null ? ['onnx'] : ['onnx', 'openvino'];
    for (const engine of engines) {
      const cacheDir = await mkdtemp(join(tmpdir(), 'sightline-bench-memory-'));
      try {
        for (const start of ['first', 'later'] as const) runs.push(await run(context, engine, start, cacheDir));
      } finally {
        await rm(cacheDir, { recursive: true });
      }
    }
    return {
      tables: [
        {
          caption: `sightline run, one stream of ${SLOW_MODEL}, without ffmpeg`,
          rows: [
            ['engine', 'start', 'process', 'peak'],
            ...runs.map((r) => [r.engine, r.start, megabytes(r.rssBytes), megabytes(r.peakBytes)]),
          ],
        },
      ],
      targets: runs.map((r) => ({
        what: `resident memory, ${r.engine}, ${r.start} start`,
        measured: r.rssBytes / 1e6,
        target: MOST_BYTES / 1e6,
        want: 'at most',
        unit: 'MB',
      })),
      notes: ['The model and the clip are fetched from npm at each first start.'],
      data: runs,
    };
  },
};

async function run(
  { isQuick, environment }: BenchContext,
  engine: string,
  start: ServiceRun['start'],
  cacheDir: string,
): Promise<ServiceRun> {
  const path = join(cacheDir, 'memory.yaml');
  const stream = '{ id: demo, source: demo, maxFps: 12, track: true }';
  await writeFile(
    path,
    `name: memory\ndescription: One camera.\nmodel: { name: ${SLOW_MODEL}, engine: ${engine} }\nbatch: { maxBatch: 1 }\nstreams: [${stream}]\n`,
  );
  const program = join(packageRoot(), 'workers/sightline.mjs');
  // The new cache has no OpenVINO.
  const openvino = findOpenvino(environment);
  const env = {
    ...process.env,
    SIGHTLINE_CACHE_DIR: cacheDir,
    ...(openvino === null ? {} : { OPENVINO_DIR: dirname(openvino.libraryPath) }),
  };
  const child = spawn(process.execPath, [program, 'run', path, '--port', '0'], {
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  try {
    await started(child.stderr, ended);
    await sleep((isQuick ? QUICK_SECONDS : SECONDS) * 1000);
    const status = await readFile(`/proc/${child.pid}/status`, 'utf8');
    const bytesOf = (name: string): number =>
      1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]);
    return { engine, start, rssBytes: bytesOf('VmRSS'), peakBytes: bytesOf('VmHWM') };
  } finally {
    child.kill();
    await ended;
  }
}

/** Resolves when the service says that its stream runs. */
async function started(log: NodeJS.ReadableStream, ended: Promise<void>): Promise<void> {
  let text = '';
  const isRunning = new Promise<void>((resolve) => {
    log.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (text.includes('demo is running')) resolve();
    });
  });
  const fail = async (): Promise<never> => {
    await Promise.race([ended, sleep(START_LIMIT_MS, undefined, { ref: false })]);
    throw new Error(`sightline run did not start: ${text.slice(-500)}`);
  };
  await Promise.race([isRunning, fail()]);
}
