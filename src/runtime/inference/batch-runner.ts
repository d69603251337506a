import { monoNowMs } from '../../core/clock.ts';
import { DETECTION_COLUMNS } from '../../core/detection.ts';
import type { ModelSpec, OutputTensor } from '../../core/model.ts';
import { SlotRing } from '../../flow/slot-ring.ts';
import { type InferenceEngine, ROWS_OUTPUT } from '../../infer/inference-engine.ts';
import { finishRows } from '../../postprocess/finish-rows.ts';
import type { FromInference, RingHandle, ToInference } from '../../protocol/threads.ts';

/** A family's decode function: converts raw outputs of a batch to packed rows per frame, in model pixels. */
export type DecodeOutputs = (
  outputs: ReadonlyMap<string, OutputTensor>,
  batchSize: number,
  spec: ModelSpec,
  scoreThreshold: number,
) => Float32Array[];

type Batch = Extract<ToInference, { type: 'batch' }>;
type Outputs = ReadonlyMap<string, OutputTensor>;
type Result = Extract<FromInference, { type: 'result' }>;

/** Runs batches on an inference thread: reads slots, returns boxes in source pixels. */
export class BatchRunner {
  readonly #engine: InferenceEngine;
  readonly #spec: ModelSpec;
  readonly #decode: DecodeOutputs;
  readonly #rings = new Map<number, SlotRing>();
  #lastEndedMs = 0;

  constructor(engine: InferenceEngine, spec: ModelSpec, decode: DecodeOutputs) {
    this.#engine = engine;
    this.#spec = spec;
    this.#decode = decode;
  }

  attach(handle: RingHandle): void {
    this.#rings.set(handle.ringId, SlotRing.attach(handle.buffer, handle.shape));
  }

  detach(ringId: number): void {
    this.#rings.delete(ringId);
  }

  /** @throws ENGINE_FAILED; RangeError if the batch names a ring that was never attached. */
  async run(batch: Batch): Promise<Result> {
    const finished: Float32Array[] = [];
    let busyMs = 0;
    let postprocessMs = 0;
    let firstBeganMs = 0;
    for (let from = 0; from < batch.slots.length; from += batch.callSize) {
      const calledMs = monoNowMs();
      const outputs = await this.#infer(batch, from);
      // A call that was queued behind another begins when that one ends.
      const beganMs = Math.max(calledMs, this.#lastEndedMs);
      this.#lastEndedMs = monoNowMs();
      finished.push(...this.#finish(outputs, batch, from));
      const finishedMs = monoNowMs();
      busyMs += finishedMs - beganMs;
      postprocessMs += finishedMs - this.#lastEndedMs;
      if (from === 0) firstBeganMs = beganMs;
    }
    const rows = new Float32Array(finished.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of finished) {
      rows.set(part, at);
      at += part.length;
    }
    const counts = finished.map((part) => part.length / DETECTION_COLUMNS);
    const enginePid = this.#engine.pid ?? null;
    const times = { beganMs: firstBeganMs, busyMs, postprocessMs, endedMs: monoNowMs() };
    return { type: 'result', batchId: batch.batchId, rows, counts, ...times, enginePid };
  }

  /** Runs one call with `callSize` frames of the batch, or the remaining ones if fewer. */
  #infer({ slots, ringIds, callSize, scoreThreshold }: Batch, from: number): Promise<Outputs> {
    // The only copy on this thread; the library does not accept shared memory.
    const memory = this.#engine.inputBuffer(callSize);
    slots.slice(from, from + callSize).forEach((slot, i) => {
      const input = this.#ring(ringIds[from + i]!).input(slot);
      memory.set(input, i * input.length);
    });
    return this.#engine.infer(callSize, scoreThreshold);
  }

  /** @returns packed rows of each frame of one call, in source pixels. */
  #finish(outputs: Outputs, { slots, ringIds, callSize, scoreThreshold }: Batch, from: number): Float32Array[] {
    const rows = this.#rowsOf(outputs, callSize, scoreThreshold);
    return slots.slice(from, from + callSize).map((slot, i) => {
      const meta = this.#ring(ringIds[from + i]!).readMeta(slot);
      return finishRows(rows[i]!, this.#spec, meta.placement, meta);
    });
  }

  #rowsOf(outputs: Outputs, callSize: number, scoreThreshold: number): readonly Float32Array[] {
    const ready = outputs.get(ROWS_OUTPUT);
    if (ready === undefined) return this.#decode(outputs, callSize, this.#spec, scoreThreshold);
    const rows = ready.data as Float32Array;
    const length = rows.length / callSize;
    return Array.from({ length: callSize }, (_, i) => rows.slice(i * length, (i + 1) * length));
  }

  #ring(ringId: number): SlotRing {
    const ring = this.#rings.get(ringId);
    if (ring === undefined) throw new RangeError(`no ring ${ringId} on this thread`);
    return ring;
  }
}
