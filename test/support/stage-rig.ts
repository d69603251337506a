import type { Detection } from '../../src/base/core/detection.ts';
import type { ModelSpec } from '../../src/base/core/model.ts';
import type { MonoMs } from '../../src/base/core/units.ts';
import { SlotRing } from '../../src/base/flow/slot-ring.ts';
import { MicroBatcher } from '../../src/frame/batch/micro-batcher.ts';
import type { StageModel } from '../../src/frame/runtime/stages/second-stage.ts';
import { SecondStage } from '../../src/frame/runtime/stages/second-stage.ts';
import { StreamStages } from '../../src/frame/runtime/stages/stream-stages.ts';
import type { InFlightFrame } from '../../src/frame/runtime/stream/in-flight-frame.ts';
import type { Looks, StagedSettings } from '../../src/frame/runtime/stream/stream-port.ts';
import { type StageConfig, stageConfig } from '../../src/settings/config/stages.ts';
import { lookGap } from '../../src/wire/protocol/second-stage-report.ts';
import { ManualClock } from './manual-clock.ts';
import { slotMeta } from './slot-meta.ts';

const PICTURE = { width: 640, height: 480 } as const;

const READER = {
  input: { width: 8, height: 8, resize: { mode: 'stretch' as const } },
  nmsIou: null,
  scoreThreshold: 0.3,
  maxDetections: 10,
  classesPerBox: 'best' as const,
} as const;

export const COLOURS: ModelSpec = {
  ...READER,
  name: 'colours',
  family: 'heads',
  heads: ['colour'],
  classes: ['red', 'green', 'blue'],
};
export const PLATES: ModelSpec = { ...READER, name: 'plates', family: 'yolox', classes: ['plate'] };
export const TEXT: ModelSpec = { ...READER, name: 'text', family: 'slots', classes: [...'AB1_'] };

/** One head says this class. */
export function says(index: number, score = 0.9): Float32Array {
  return Float32Array.of(0, 0, 0, 0, score, index);
}

export function car(trackId: number, box: Detection['box'] = [100, 100, 80, 60], score = 0.9): Detection {
  return { classId: 2, label: 'car', score, box, trackId };
}

/** Second stages of one stream on models that answer when a test says so. */
export class StageRig {
  readonly clock = new ManualClock();
  readonly all: SecondStage[] = [];
  readonly slots = SlotRing.create({ slots: 64, inputBytes: 3, pictureBytes: 3 });
  readonly stream: StreamStages;
  /** Another list after each change. */
  list: readonly SecondStage[] = [];
  isLive = false;
  #frame = 0;

  constructor(settings: Partial<StagedSettings> = {}) {
    const own = { stages: undefined, zones: [], track: true, maxFps: undefined, ...settings };
    const names = ['a', 'b', 'c'];
    this.stream = new StreamStages(
      () => this.list,
      { ...own, stages: settings.stages ?? names },
      80,
      () => this.clock.now(),
    );
  }

  add(config: object, spec: ModelSpec = COLOURS): SecondStage {
    const parsed: StageConfig = stageConfig.parse({ name: 'a', model: {}, ...config });
    const stage = new SecondStage(parsed, modelOf(spec), this.clock);
    this.all.push(stage);
    this.list = [...this.all];
    return stage;
  }

  frame(atMs = this.#frame * 100): InFlightFrame {
    const slot = this.slots.acquire();
    if (slot === -1) throw new RangeError('no slot is free');
    this.slots.hand(slot);
    this.slots.take();
    const meta = slotMeta({ frame: this.#frame++, ...PICTURE, ptsUs: atMs * 1000, captured: this.clock.now() });
    return {
      streamId: 's',
      owner: { retriesFrames: false, complete: () => {}, drop: () => {} },
      ring: { ringId: 1, slots: this.slots, keepRatio: 1, onEntered: () => {}, onReleased: () => {} },
      slot,
      meta,
      capturedMs: this.clock.now(),
      queuedMs: 0,
      failures: 0,
      status: 'done',
      batchedMs: 0 as MonoMs,
      inferredMs: 0 as MonoMs,
      batch: null,
      rows: null,
      by: 'inferred',
      repeats: null,
      model: null,
      isCached: false,
      slotUsers: { count: 1 },
    };
  }

  /** Looks at the objects of the next frame. */
  look(detections: readonly Detection[], frame = this.frame()): { frame: InFlightFrame; looks: Looks | null } {
    return { frame, looks: this.stream.look({ frame, picture: PICTURE, isLive: this.isLive }, detections) };
  }

  /** The next frame, from its look to its record: crops are answered in between. */
  pass(
    detections: readonly Detection[],
    answer: (crop: InFlightFrame) => Float32Array | null,
    atMs?: number,
  ): readonly Detection[] {
    const { frame, looks } = this.look(detections, this.frame(atMs));
    this.answer(answer);
    const dressed = this.stream.dress(detections, frame.meta.ptsUs, looks as never);
    this.release(frame);
    return dressed;
  }

  release(frame: InFlightFrame): void {
    frame.slotUsers.count -= 1;
    if (frame.slotUsers.count === 0) this.slots.release(frame.slot);
  }

  /** Answers all crops that wait, and those that these lead to. @returns how many. */
  answer(rowsOf: (crop: InFlightFrame, stage: SecondStage) => Float32Array | null): number {
    let count = 0;
    for (let isAny = true; isAny; ) {
      isAny = false;
      for (const stage of this.all) {
        const next = stage.model.scheduler.model.batcher.next(this.clock.now(), 1);
        for (const stale of next.stale) stage.drop(stale, 'stale');
        if (next.kind !== 'batch') continue;
        isAny = true;
        for (const crop of next.items) {
          count += 1;
          const rows = rowsOf(crop, stage);
          if (rows === null) stage.drop(crop, 'engine-failed');
          else stage.complete(crop, rows, this.clock.now());
        }
      }
    }
    return count;
  }

  /** Sums that must be 0: of the ledgers, and of slots that are held. */
  get leaks(): { gap: number; held: number } {
    const gaps = this.all.map((stage) => Math.abs(lookGap(stage.report(this.clock.now()))));
    return { gap: gaps.reduce((sum, gap) => sum + gap, 0), held: this.slots.heldCount };
  }
}

function modelOf(spec: ModelSpec): StageModel {
  const batcher = new MicroBatcher<InFlightFrame>({ maxDelayMs: 0 });
  const report = () => ({ histogram: {}, maxBatch: 1, settledSize: 1, reason: '' });
  const info = {
    engine: 'fake',
    provider: 'none',
    device: 'none',
    precision: 'none',
    batchSizes: [1],
    warmMs: [1],
    callsInFlight: 1,
  };
  return {
    spec,
    hash: 'f'.repeat(64),
    scoreThreshold: spec.scoreThreshold,
    info,
    scheduler: { model: { batcher, report, name: spec.name }, run: () => {} },
  };
}
