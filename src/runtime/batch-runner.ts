import { monoNowMs } from '../core/clock.ts';
import { DETECTION_COLUMNS } from '../core/detection.ts';
import type { ModelSpec, OutputTensor } from '../core/model.ts';
import { SlotRing } from '../flow/slot-ring.ts';
import { type InferenceEngine, ROWS_OUTPUT } from '../infer/inference-engine.ts';
import { finishRows } from '../postprocess/finish-rows.ts';
import type { FromInference, RingHandle, ToInference } from '../protocol/threads.ts';

/** A family's decode function: raw outputs of a batch to packed rows for each frame, in model pixels. */
export type DecodeOutputs = (
  outputs: ReadonlyMap<string, OutputTensor>,
  batchSize: number,
  spec: ModelSpec,
  scoreThreshold: number,
) => Float32Array[];

type Batch = Extract<ToInference, { type: 'batch' }>;
type Result = Extract<FromInference, { type: 'result' }>;

/** What happens on an inference thread: slots in, boxes in source pixels out. */
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

  /** @throws ENGINE_FAILED; RangeError where the batch names a ring that was never attached. */
  async run(batch: Batch): Promise<Result> {
    const calledMs = monoNowMs();
    this.#fill(batch);
    const outputs = await this.#engine.infer(batch.padTo, batch.scoreThreshold);
    // A batch that was taken while another was computed began when that one was done.
    const startedMs = Math.max(calledMs, this.#lastEndedMs);
    this.#lastEndedMs = monoNowMs();
    const perFrame = this.#rowsOf(outputs, batch);
    const finished = batch.slots.map((slot, i) => {
      const meta = this.#ring(batch.ringIds[i]!).readMeta(slot);
      return finishRows(perFrame[i]!, this.#spec, meta.placement, meta);
    });
    const rows = new Float32Array(finished.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of finished) {
      rows.set(part, at);
      at += part.length;
    }
    const counts = finished.map((part) => part.length / DETECTION_COLUMNS);
    const enginePid = this.#engine.pid ?? null;
    return { type: 'result', batchId: batch.batchId, rows, counts, startedMs, endedMs: monoNowMs(), enginePid };
  }

  /** The one copy on this thread: the library takes no shared memory. */
  #fill(batch: Batch): void {
    const memory = this.#engine.inputBuffer(batch.padTo);
    batch.slots.forEach((slot, i) => {
      const input = this.#ring(batch.ringIds[i]!).input(slot);
      memory.set(input, i * input.length);
    });
  }

  #rowsOf(outputs: ReadonlyMap<string, OutputTensor>, batch: Batch): readonly Float32Array[] {
    const ready = outputs.get(ROWS_OUTPUT);
    if (ready === undefined) return this.#decode(outputs, batch.padTo, this.#spec, batch.scoreThreshold);
    const length = ready.data.length / batch.padTo;
    return batch.slots.map((_, i) => (ready.data as Float32Array).slice(i * length, (i + 1) * length));
  }

  #ring(ringId: number): SlotRing {
    const ring = this.#rings.get(ringId);
    if (ring === undefined) throw new RangeError(`no ring ${ringId} on this thread`);
    return ring;
  }
}
