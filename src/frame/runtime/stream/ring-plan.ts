import { inputKey, type ModelSpec } from '../../../base/core/model.ts';
import type { SlotRingShape } from '../../../base/flow/slot-ring.ts';
import { type ViewSettings, viewsOf } from '../../../base/geometry/views.ts';
import type { StreamConfig } from '../../../settings/config/stream.ts';
import type { StreamInput, StreamModel } from './stream-port.ts';

/**
 * Slots in addition to the queue and the inference threads: one being filled, one ready, one for a message in transit.
 */
const SPARE_SLOTS = 3;
/** Frames of a live stream whose full pictures second stages hold at once, in slots of their own. */
export const LOOKED_FRAMES = 4;
/** Size limit of a file's ring; the minimum number of slots may exceed it. */
const FILE_RING_BYTES = 64 * 2 ** 20;

type RingDemand = Pick<StreamModel, 'spec' | 'inferenceCalls' | 'inferenceInputs' | 'handOverInputs'>;

export interface RingPlan {
  readonly shape: SlotRingShape;
  /** A lane that waits for a slot is woken when at most this many frames are in flight. */
  readonly refillAt: number;
}

/**
 * Plans how many frames of a stream can be in flight. Live: its queue plus what inference threads hold. File: four
 * hand-overs per thread; a third of the ring is refilled at a time, so that the decoder runs in long stretches, and
 * refilling starts while more frames are left than the threads hold. With three hand-overs, half of the ring refilled
 * at a time, each thread of YOLOX-nano was idle for 5 ms four times a second: 1.7 % fewer frames.
 *
 * @param second - model with another input that shares the frames; null if there is none.
 */
export function planRing(
  {
    queueSize,
    stages = [],
    ...settings
  }: Pick<StreamConfig, 'queueSize'> & Partial<Pick<StreamConfig, 'stages'>> & ViewSettings,
  { policy, picture }: Pick<StreamInput, 'policy' | 'picture'>,
  { spec, inferenceCalls, inferenceInputs, handOverInputs }: RingDemand,
  second: ModelSpec | null = null,
): RingPlan {
  const views = viewsOf(settings);
  const inputs = views?.length ?? 1;
  // A call takes whole frames: at least one, and no more than its inputs allow.
  const inferenceSlots = Math.max(inferenceCalls, Math.floor(inferenceInputs / inputs));
  const shared =
    second === null
      ? views !== null && { views: inputs }
      : { views: 2 * inputs, models: [inputKey(spec), inputKey(second)] as const };
  const bytes = {
    inputBytes: Math.max(inputBytesOf(spec), second === null ? 0 : inputBytesOf(second)),
    ...shared,
    pictureBytes: picture === null ? 0 : picture.width * picture.height * 3,
  };
  if (policy === 'live') {
    const slots = queueSize + inferenceSlots + SPARE_SLOTS + (stages.length === 0 ? 0 : LOOKED_FRAMES);
    return { shape: { slots, ...bytes }, refillAt: slots };
  }
  const affordable = Math.floor(
    FILE_RING_BYTES / ((second === null ? 1 : 2) * inputs * bytes.inputBytes + bytes.pictureBytes),
  );
  const handOverSlots = Math.max(inferenceCalls, Math.floor(handOverInputs / inputs));
  const slots = Math.max(2 * inferenceSlots + SPARE_SLOTS + 1, Math.min(4 * handOverSlots, affordable));
  return { shape: { slots, ...bytes }, refillAt: Math.floor((slots * 2) / 3) };
}

function inputBytesOf({ input }: Pick<ModelSpec, 'input'>): number {
  return input.width * input.height * 3;
}
