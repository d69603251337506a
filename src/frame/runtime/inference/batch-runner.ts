import { monoNowMs } from '../../../base/core/clock.ts';
import { inputKey, isReader, type ModelSpec, type OutputTensor } from '../../../base/core/model.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { SlotRing, viewsFor } from '../../../base/flow/slot-ring.ts';
import type { FromInference, RingHandle, ToInference } from '../../../wire/protocol/threads.ts';
import { type InferenceEngine, ROWS_OUTPUT } from '../../infer/inference-engine.ts';
import { finishRows } from '../../postprocess/finish-rows.ts';
import type { MaskInput } from '../../postprocess/finish-task.ts';
import { mergeViews, type ViewRows } from '../../postprocess/merge-views.ts';
import { cropPlacement, cutCrop } from '../../preprocess/cut-crop.ts';

/** A family's decode function: converts raw outputs of a batch to packed rows per input, in model pixels. */
export type DecodeOutputs = (
  outputs: ReadonlyMap<string, OutputTensor>,
  batchSize: number,
  spec: ModelSpec,
  scoreThreshold: number,
) => Float32Array[];

type Batch = Extract<ToInference, { type: 'batch' }>;
/** Model inputs to run: the slot of each, and which of the slot's views it is. */
interface Inputs extends Pick<Batch, 'ringIds' | 'slots' | 'callSize' | 'scoreThreshold' | 'masks' | 'crops'> {
  /** Absent if each slot has one input, which shows the picture as a whole. */
  readonly views?: readonly number[];
}
type Outputs = ReadonlyMap<string, OutputTensor>;
type Result = Extract<FromInference, { type: 'result' }>;

/** The input of a ring without views. */
const WHOLE = -1;

/** Runs batches on an inference thread: reads slots, returns boxes in source pixels. */
export class BatchRunner {
  readonly #engine: InferenceEngine;
  readonly #spec: ModelSpec;
  readonly #decode: DecodeOutputs;
  readonly #key: string;
  readonly #inputBytes: number;
  readonly #rings = new Map<number, SlotRing>();
  #lastEndedMs = 0;

  constructor(engine: InferenceEngine, spec: ModelSpec, decode: DecodeOutputs) {
    this.#engine = engine;
    this.#spec = spec;
    this.#decode = decode;
    this.#key = inputKey(spec);
    this.#inputBytes = spec.input.width * spec.input.height * 3;
  }

  attach(handle: RingHandle): void {
    this.#rings.set(handle.ringId, SlotRing.attach(handle.buffer, handle.shape));
  }

  detach(ringId: number): void {
    this.#rings.delete(ringId);
  }

  /**
   * Reads the outputs of an empty picture, so that a model which does not fit its manifest fails when it is loaded, and not at each picture.
   *
   * @throws MODEL_INVALID with what was expected and what came; ENGINE_FAILED
   */
  async tryOutputs(): Promise<void> {
    const { name, scoreThreshold } = this.#spec;
    const size = this.#engine.info.batchSizes[0]!;
    this.#engine.inputBuffer(size).fill(0);
    const outputs = await this.#engine.infer(size, scoreThreshold);
    try {
      this.#rowsOf(outputs, size, 1, scoreThreshold);
    } catch (error) {
      throw new SightlineError(
        'MODEL_INVALID',
        `model ${name}: ${(error as Error).message}`,
        { model: name },
        { cause: error },
      );
    }
  }

  /** @throws ENGINE_FAILED; RangeError if the batch names a ring that was never attached. */
  async run(batch: Batch): Promise<Result> {
    const inputs = this.#inputsOf(batch);
    const found: Float32Array[] = [];
    let busyMs = 0;
    let postprocessMs = 0;
    let firstBeganMs = 0;
    for (let from = 0; from < inputs.slots.length; from += batch.callSize) {
      const calledMs = monoNowMs();
      const outputs = await this.#infer(inputs, from);
      // A queued call begins when the call before it ends.
      const beganMs = Math.max(calledMs, this.#lastEndedMs);
      this.#lastEndedMs = monoNowMs();
      found.push(...this.#finish(outputs, inputs, from));
      const finishedMs = monoNowMs();
      busyMs += finishedMs - beganMs;
      postprocessMs += finishedMs - this.#lastEndedMs;
      if (from === 0) firstBeganMs = beganMs;
    }
    let finished = found;
    if (inputs !== batch) {
      const joiningMs = monoNowMs();
      finished = this.#joined(batch, found);
      const joinMs = monoNowMs() - joiningMs;
      busyMs += joinMs;
      postprocessMs += joinMs;
    }
    const rows = new Float32Array(finished.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of finished) {
      rows.set(part, at);
      at += part.length;
    }
    const lengths = finished.map((part) => part.length);
    const enginePid = this.#engine.pid ?? null;
    const times = { beganMs: firstBeganMs, busyMs, postprocessMs, endedMs: monoNowMs() };
    return { type: 'result', batchId: batch.batchId, rows, lengths, ...times, enginePid };
  }

  /** Returns the batch itself if each of its slots has one input that shows the picture as a whole. */
  #inputsOf(batch: Batch): Inputs {
    const { ringIds, slots, crops } = batch;
    if (crops !== undefined || ringIds.every((ringId) => this.#ring(ringId).shape.views === undefined)) return batch;
    const all = slots.flatMap((slot, i) => {
      const ringId = ringIds[i]!;
      const { shape } = this.#ring(ringId);
      const { from, count } = viewsFor(shape, this.#key);
      return Array.from({ length: count }, (_, view) => ({
        ringId,
        slot,
        view: shape.views === undefined ? WHOLE : from + view,
      }));
    });
    return {
      ...batch,
      ringIds: all.map(({ ringId }) => ringId),
      slots: all.map(({ slot }) => slot),
      views: all.map(({ view }) => view),
    };
  }

  /** Runs one call with `callSize` inputs, or the remaining ones if fewer. */
  #infer({ slots, ringIds, views, callSize, scoreThreshold, crops }: Inputs, from: number): Promise<Outputs> {
    // The only copy on this thread; the library does not accept shared memory.
    const memory = this.#engine.inputBuffer(callSize);
    if (crops !== undefined) {
      for (const [i, crop] of crops.slice(from, from + callSize).entries()) {
        const input = memory.subarray(i * this.#inputBytes, (i + 1) * this.#inputBytes);
        const picture = this.#ring(ringIds[from + i]!).picture(slots[from + i]!);
        cutCrop(picture, crop.pictureWidth, crop, this.#spec, input);
      }
      return this.#engine.infer(callSize, scoreThreshold);
    }
    slots.slice(from, from + callSize).forEach((slot, i) => {
      const view = views?.[from + i] ?? WHOLE;
      const ring = this.#ring(ringIds[from + i]!);
      const input = view === WHOLE ? ring.input(slot) : ring.input(slot, view).subarray(0, this.#inputBytes);
      memory.set(input, i * input.length);
    });
    return this.#engine.infer(callSize, scoreThreshold);
  }

  /** @returns packed rows of each input of one call, in source pixels. */
  #finish(outputs: Outputs, inputs: Inputs, from: number): Float32Array[] {
    const { slots, ringIds, views, callSize, scoreThreshold, crops } = inputs;
    const filled = slots.slice(from, from + callSize);
    const rows = this.#rowsOf(outputs, callSize, filled.length, scoreThreshold);
    if (isReader(this.#spec.family)) return [...rows];
    if (crops !== undefined)
      return filled.map((_, i) => {
        const crop = crops[from + i]!;
        return finishRows(rows[i]!, this.#spec, cropPlacement(crop, this.#spec), crop);
      });
    const prototypes = this.#spec.task === 'masks' ? outputs.get('prototypes') : undefined;
    const masksOf = (image: number, picture: MaskInput['picture']): MaskInput | undefined =>
      prototypes && { prototypes, image, picture, isWanted: inputs.masks === true };
    return filled.map((slot, i) => {
      const view = views?.[from + i] ?? WHOLE;
      const ring = this.#ring(ringIds[from + i]!);
      if (view === WHOLE) {
        const meta = ring.readMeta(slot);
        return finishRows(rows[i]!, this.#spec, meta.placement, meta, masksOf(i, meta));
      }
      const { placement, bounds } = ring.readView(slot, view);
      return finishRows(rows[i]!, this.#spec, placement, bounds, prototypes && masksOf(i, ring.readMeta(slot)));
    });
  }

  /** @returns the rows of each frame, joined from those of its inputs. */
  #joined({ ringIds, slots }: Batch, found: readonly Float32Array[]): Float32Array[] {
    let at = 0;
    return slots.map((slot, i) => {
      const ring = this.#ring(ringIds[i]!);
      if (ring.shape.views === undefined) return found[at++]!;
      const { from, count } = viewsFor(ring.shape, this.#key);
      const parts: ViewRows[] = Array.from({ length: count }, (_, view) => ({
        rows: found[at++]!,
        bounds: ring.readView(slot, from + view).bounds,
      }));
      return mergeViews(parts, this.#spec.maxDetections, this.#spec);
    });
  }

  /** @param filled - inputs of the call; the others are padding and are not decoded. */
  #rowsOf(outputs: Outputs, callSize: number, filled: number, scoreThreshold: number): readonly Float32Array[] {
    const ready = outputs.get(ROWS_OUTPUT);
    if (ready === undefined) return this.#decode(outputs, filled, this.#spec, scoreThreshold);
    const rows = ready.data as Float32Array;
    const length = rows.length / callSize;
    return Array.from({ length: filled }, (_, i) => rows.slice(i * length, (i + 1) * length));
  }

  #ring(ringId: number): SlotRing {
    const ring = this.#rings.get(ringId);
    if (ring === undefined) throw new RangeError(`no ring ${ringId} on this thread`);
    return ring;
  }
}
