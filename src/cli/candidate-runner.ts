import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DECODERS } from '../../models/decoders.ts';
import type { Detection } from '../base/core/detection.ts';
import type { CompiledModel, ComputePrecision, ModelSpec, OutputTensor } from '../base/core/model.ts';
import type { Placement } from '../base/geometry/placement.ts';
import { unpackRows } from '../base/geometry/task-rows.ts';
import { loadEngine } from '../frame/infer/engine-kinds.ts';
import type { InferenceEngine } from '../frame/infer/inference-engine.ts';
import { finishRows } from '../frame/postprocess/finish-rows.ts';
import type { EngineRequest } from '../wire/protocol/threads.ts';

/** An engine on which compiled files are tried in this process, one picture at a time on one thread. */
export type TrialEngine = Pick<EngineRequest, 'engine' | 'provider' | 'openvinoLibrary'>;

/** Calls that are timed; the fastest one counts. */
const TIMED_CALLS = 20;
/** A gated network computes no class scores for weaker boxes. */
const TYPICAL_SCORE = 0.3;

/** Runs a compiled file; closes the engine afterwards. @throws ENGINE_UNAVAILABLE, ENGINE_FAILED */
export async function withEngine<T>(
  model: CompiledModel,
  on: TrialEngine,
  precision: ComputePrecision,
  use: (engine: InferenceEngine) => Promise<T>,
): Promise<T> {
  const batch = model.batch === 'free' ? 1 : model.batch;
  const engine = await loadEngine({
    ...on,
    precision,
    model,
    maxBatch: batch,
    batchSizes: [batch],
    intraThreads: 1,
    fake: { callMs: 0, frameMs: 0, rows: [] },
  });
  try {
    return await use(engine);
  } finally {
    await engine.close();
  }
}

/** As above, for a file that is not in the cache yet. */
export async function withCandidate<T>(
  bytes: Uint8Array,
  model: CompiledModel,
  on: TrialEngine,
  use: (engine: InferenceEngine) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'sightline-int8-'));
  try {
    const path = join(folder, 'candidate.onnx');
    await writeFile(path, bytes);
    return await withEngine({ ...model, path, files: undefined }, on, 'int8', use);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A picture of `width` x `height` pixels, and where it lies in the model's input. */
export interface FittedPicture {
  readonly placement: Placement;
  readonly width: number;
  readonly height: number;
}

/** Detects in one fitted picture. @param frame - its pixels as the model takes them. */
export async function detectIn(
  engine: InferenceEngine,
  { frame, ...picture }: FittedPicture & { readonly frame: Uint8Array },
  { spec, batch }: CompiledModel,
  scoreThreshold: number,
): Promise<Detection[]> {
  const size = batch === 'free' ? 1 : batch;
  engine.inputBuffer(size).set(frame);
  return detectionsIn(await engine.infer(size, scoreThreshold), size, spec, scoreThreshold, picture);
}

/** Decodes the first picture of a batch. @returns all that its task finds, in pixels of the picture, after suppression. */
export function detectionsIn(
  outputs: ReadonlyMap<string, OutputTensor>,
  batchSize: number,
  spec: ModelSpec,
  scoreThreshold: number,
  { placement, ...picture }: FittedPicture,
): Detection[] {
  const rows = DECODERS[spec.family](outputs, batchSize, spec, scoreThreshold)[0]!;
  const prototypes = spec.task === 'masks' ? outputs.get('prototypes') : undefined;
  const masks = prototypes && { prototypes, image: 0, picture, isWanted: true };
  return unpackRows(finishRows(rows, spec, placement, picture, masks), spec.classes, spec);
}

/**
 * Milliseconds of one call for one picture: the fastest of several. On a CPU they are CPU time, since a machine that is busy
 * with something else would decide by chance.
 */
export async function callMs(engine: InferenceEngine, { batch }: CompiledModel): Promise<number> {
  const size = batch === 'free' ? 1 : batch;
  const isCpu = engine.info.provider === 'cpu';
  let best = Number.POSITIVE_INFINITY;
  for (let call = 0; call < TIMED_CALLS; call += 1) {
    const startedMs = performance.now();
    const before = process.cpuUsage();
    await engine.infer(size, TYPICAL_SCORE);
    const { user, system } = process.cpuUsage(before);
    best = Math.min(best, isCpu ? (user + system) / 1000 : performance.now() - startedMs);
  }
  return best / size;
}
