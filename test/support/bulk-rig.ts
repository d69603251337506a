import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { JsonlSink } from '../../src/after/sinks/jsonl-sink.ts';
import { ResultSinks, type SinkBinding } from '../../src/after/sinks/result-sinks.ts';
import type { SightlineError } from '../../src/base/errors/sightline-error.ts';
import type { TaskContext, TaskHandler, TaskOutcome } from '../../src/fleet/control/control-plane.ts';
import { jobHandler } from '../../src/fleet/control/jobs/job-handler.ts';
import { Admission } from '../../src/fleet/control/orders/admission.ts';
import type { FfmpegBinary } from '../../src/frame/decode/ffmpeg-binary.ts';
import { openRuntime } from '../../src/frame/runtime/open-runtime.ts';
import type { Runtime } from '../../src/frame/runtime/runtime.ts';
import { resolveStreamInput } from '../../src/frame/runtime/stream/stream-input.ts';
import { segmentRunner } from '../../src/serve/host/bulk-runner.ts';
import { JobStages } from '../../src/serve/host/job-stages.ts';
import { parsePipeline } from '../../src/serve/pipeline/load-pipeline.ts';
import { batchConfig } from '../../src/settings/config/batch.ts';
import type { Environment } from '../../src/settings/config/environment.ts';
import { parseStream } from '../../src/settings/config/parse-stream.ts';
import type { JobOrder, Task } from '../../src/wire/protocol/fleet.ts';
import { testFfmpeg } from './made-videos.ts';
import { within } from './wait-for.ts';

export interface BulkRigSettings {
  /** Folder of the inputs, and of the outputs unless an order names another. */
  readonly root: string;
  /** Further folders that may be read and written. */
  readonly roots?: readonly string[];
  readonly ffmpeg?: FfmpegBinary;
  /** As in a pipeline file; by default a fake engine that finds two boxes in every frame. */
  readonly model?: Readonly<Record<string, unknown>>;
  readonly modelPath?: readonly string[];
}

const FAKE_MODEL = {
  engine: 'fake',
  inputSize: '160x96',
  threads: 1,
  // One is reported, the other is only for the tracker.
  fake: { rows: [20, 20, 40, 40, 0.9, 0, 60, 30, 20, 20, 0.15, 2] },
};

/** Runs the tasks of jobs in one process, one call at a time, as a queue would; and computes the expected result. */
export class BulkRig {
  readonly runtime: Runtime;
  readonly notices: string[] = [];
  /** What loading second stages failed with. */
  readonly unfit: SightlineError[] = [];
  readonly root: string;
  readonly #ffmpeg: FfmpegBinary;
  readonly #handler: TaskHandler;
  readonly #bindings: SinkBinding[];
  #jobs = 0;

  private constructor(
    runtime: Runtime,
    bindings: SinkBinding[],
    { root, roots = [] }: BulkRigSettings,
    ffmpeg: FfmpegBinary,
    environment: Environment,
  ) {
    this.runtime = runtime;
    this.root = root;
    this.#bindings = bindings;
    this.#ffmpeg = ffmpeg;
    this.#handler = jobHandler({
      admission: new Admission({ roots: [root, ...roots], schemes: [], networks: [] }),
      ffmpeg,
      runner: segmentRunner(runtime, ffmpeg),
      lendStages: new JobStages({
        runtime,
        batch: batchConfig.parse({}),
        environment,
        onNotice: () => undefined,
        modelRoots: { roots: [root, ...roots], files: [] },
        onUnfit: async (error) => {
          this.unfit.push(error);
          return error;
        },
      }).lend,
      onNotice: (text) => this.notices.push(text),
    });
  }

  static async open(settings: BulkRigSettings): Promise<BulkRig> {
    const { root, ffmpeg = testFfmpeg, model = FAKE_MODEL, modelPath = [] } = settings;
    const config = parsePipeline(JSON.stringify({ name: 'bulk', description: 'Bulk.', model, lanes: 1 }), 'test');
    const environment = {
      ffmpegPath: ffmpeg.path,
      searchPath: '',
      modelPath,
      cacheDir: process.env.SIGHTLINE_CACHE_DIR ?? join(root, 'cache'),
      token: undefined,
    };
    const bindings: SinkBinding[] = [];
    const sinks = new ResultSinks(bindings);
    const runtime = await openRuntime({ ...config, sinks, environment, onNotice: () => undefined });
    return new BulkRig(runtime, bindings, settings, ffmpeg, environment);
  }

  order(input: string, settings: Partial<JobOrder> = {}): JobOrder {
    return {
      id: `job-${this.#jobs++}`,
      pipeline: 'bulk',
      inputs: [input],
      outDir: join(this.root, 'out'),
      track: false,
      every: 1,
      segmentSeconds: 2,
      priority: 0,
      createdMs: Date.now(),
      ...settings,
    };
  }

  split(order: JobOrder, file = 0): Promise<{ segments: readonly Task[]; merge: Task }> {
    return this.do({ kind: 'split', jobId: order.id, pipeline: 'bulk', file }, order).then(({ next }) => ({
      segments: next!.children,
      merge: next!.parent,
    }));
  }

  do(task: Task, order: JobOrder, context: Partial<TaskContext> = {}): Promise<TaskOutcome> {
    const all = { signal: new AbortController().signal, progress: () => undefined, ...context };
    return within(`${task.kind} of ${order.inputs[0]}`, 50_000, this.#handler(task, order, all));
  }

  /** Runs all tasks of a job's first file, two segments at once. @returns the number of segments. */
  async run(order: JobOrder): Promise<number> {
    const { segments, merge } = await this.split(order);
    const waiting = [...segments];
    const work = async (): Promise<void> => {
      for (let task = waiting.shift(); task !== undefined; task = waiting.shift()) await this.do(task, order);
    };
    await Promise.all([work(), work()]);
    await this.do(merge, order);
    return segments.length;
  }

  result(order: JobOrder): string {
    return readFileSync(join(order.outDir, `${basename(order.inputs[0]!)}.jsonl`), 'utf8');
  }

  /** Returns what `sightline detect` writes for the same input: with its stream and its sink, without segments. */
  async detect({ inputs, track, every }: JobOrder): Promise<string> {
    const path = join(this.root, `detect-${this.#jobs++}.jsonl`);
    const config = parseStream({ id: 'detect', source: inputs[0], policy: 'file', every, track }, {});
    const failures: Error[] = [];
    const sink = new JsonlSink({ id: 'detect', path, namesInputs: true, onFailure: (error) => failures.push(error) });
    this.#bindings.push({ sink, streams: new Set(['detect']) });
    const stream = this.runtime.add(config, await resolveStreamInput(config, this.#ffmpeg, null, this.runtime.spec));
    await within(`the end of ${inputs[0]}`, 50_000, stream.settled());
    await this.runtime.remove('detect');
    await sink.close();
    this.#bindings.length = 0;
    if (stream.failure !== null) throw stream.failure;
    if (failures.length > 0) throw failures[0]!;
    return readFileSync(path, 'utf8');
  }

  async close(): Promise<void> {
    await within('stop()', 20_000, this.runtime.stop());
  }
}
