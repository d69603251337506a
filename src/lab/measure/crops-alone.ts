import { setTimeout as sleep } from 'node:timers/promises';
import { monoNowMs, systemClock } from '../../base/core/clock.ts';
import type { SightlineError } from '../../base/errors/sightline-error.ts';
import { SlotRing } from '../../base/flow/slot-ring.ts';
import { ModelInstances } from '../../frame/runtime/inference/model-instances.ts';
import { SecondStage } from '../../frame/runtime/stages/second-stage.ts';
import type { InFlightFrame } from '../../frame/runtime/stream/in-flight-frame.ts';
import { processesMs } from '../../frame/telemetry/cpu-ledger.ts';
import type { StageConfig } from '../../settings/config/stages.ts';
import type { Crop, EngineRequest } from '../../wire/protocol/threads.ts';
import type { LoopPictures } from './engine-alone.ts';

const NAME = 'crops';
/** As many wait for each thread as fill its next messages. */
const WAITING = 32;
const TIMEOUT_MS = 10_000;
const WARM_RATIO = 0.5;

interface CropsAloneOptions {
  readonly seconds: number;
  /** Each with an engine. */
  readonly threads: number;
}

/**
 * Measures a second stage without a detector: the whole way of a crop, from its queue over the thread that cuts and infers it to what is
 * said of it.
 *
 * @param pictures - full ones.
 * @param crops - parts of them, in turn.
 * @returns CPU milliseconds of one crop. Nothing else may run meanwhile.
 * @throws ENGINE_UNAVAILABLE; ENGINE_FAILED
 */
export async function cropsAlone(
  config: StageConfig,
  engine: EngineRequest,
  pictures: LoopPictures,
  crops: readonly Crop[],
  { seconds, threads }: CropsAloneOptions,
): Promise<number> {
  const nothing = (): void => undefined;
  let failure: SightlineError | null = null;
  const onBatchFailed = (error: SightlineError): void => {
    failure = error;
  };
  const events = {
    onBusy: nothing,
    onBatchFailed,
    onThreadLost: nothing,
    onThreadRestarted: nothing,
    onThreadsFailed: nothing,
  };
  const models = new ModelInstances(
    { ...events, onFileDamaged: nothing, onSettled: nothing },
    systemClock,
    { offer: nothing, streamsOf: () => [] },
    { has: () => false },
  );
  const batching = {
    maxBatch: engine.maxBatch,
    maxDelayMs: 0,
    timeoutMs: TIMEOUT_MS,
    cacheResults: 0,
    readsCrops: true,
  };
  const loaded = models.add(NAME, { engine, batching, threads });
  loaded.model.servesLive = false;
  const stage = new SecondStage(config, loaded, systemClock);
  const frames = framesOf(pictures, stage);
  models.attach({ ringId: 0, buffer: frames[0]!.ring.slots.buffer, shape: frames[0]!.ring.slots.shape });
  let asked = 0;
  let looked = 0;
  let isOver = false;
  const ask = (): void => {
    const crop = crops[asked % crops.length]!;
    stage.look(frames[asked++ % frames.length]!, crop, false, (rows) => {
      if (rows !== null) looked += 1;
      if (!isOver && failure === null) ask();
    });
  };
  const cpuMs = (): number => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000 + processesMs(loaded.model.pool.clients.flatMap(({ enginePid }) => enginePid ?? []));
  };
  try {
    await models.start(NAME);
    for (let i = 0; i < threads * WAITING; i++) ask();
    await sleep(seconds * 1000 * WARM_RATIO);
    const before = { looked, ms: cpuMs() };
    do await sleep(seconds * 1000);
    while (looked === before.looked && failure === null);
    const perCropMs = (cpuMs() - before.ms) / (looked - before.looked);
    if (failure !== null) throw failure;
    return perCropMs;
  } finally {
    isOver = true;
    stage.retire();
    await models.shutdown();
  }
}

/** Returns a frame for each picture, whose slot is never released. */
function framesOf({ buffer, frameBytes }: LoopPictures, owner: SecondStage): InFlightFrame[] {
  const slots = SlotRing.create({
    slots: Math.floor(buffer.byteLength / frameBytes),
    inputBytes: 0,
    pictureBytes: frameBytes,
  });
  const ring = { ringId: 0, slots, keepRatio: 1, onEntered: () => undefined, onReleased: () => undefined };
  return Array.from({ length: slots.shape.slots }, (_, slot) => {
    slots.picture(slot).set(new Uint8Array(buffer, slot * frameBytes, frameBytes));
    const nowMs = monoNowMs();
    return {
      streamId: NAME,
      owner,
      ring,
      slot,
      meta: slots.readMeta(slot),
      capturedMs: nowMs,
      queuedMs: nowMs,
      failures: 0,
      status: 'done',
      batchedMs: nowMs,
      inferredMs: nowMs,
      batch: null,
      rows: null,
      by: 'inferred',
      repeats: null,
      model: null,
      isCached: false,
      slotUsers: { count: 1 },
    };
  });
}
