import type { StreamConfig } from '../../config/stream.ts';
import type { SlotRingShape } from '../../flow/slot-ring.ts';
import type { StreamInput, StreamPort } from './stream-port.ts';

/** Slots beside the queue and the inference threads: one being filled, one ready, one for the message on its way. */
const SPARE_SLOTS = 3;
/** A file's ring grows for the sake of speed up to here. */
const FILE_RING_BYTES = 64 * 2 ** 20;

export interface RingPlan {
  readonly shape: SlotRingShape;
  /** A lane that waits for a slot is woken once no more frames than this are on their way. */
  readonly refillAt: number;
}

/**
 * How many frames of a stream may be on their way. Live: its queue and what inference threads hold. File: twice what they
 * hold, and as much again; a third of the ring is read at a time, so that the decoder runs in long stretches, and begun while more
 * is left than the threads hold. With a ring of three hand-overs, half of it read at a time, each thread of YOLOX-nano had
 * nothing to do for 5 ms four times a second: 1.7 % fewer frames.
 */
export function planRing(
  { queueSize }: Pick<StreamConfig, 'queueSize'>,
  { policy, picture }: Pick<StreamInput, 'policy' | 'picture'>,
  { spec, inferenceSlots, handOverSlots }: Pick<StreamPort, 'spec' | 'inferenceSlots' | 'handOverSlots'>,
): RingPlan {
  const inputBytes = spec.input.width * spec.input.height * 3;
  const pictureBytes = picture === null ? 0 : picture.width * picture.height * 3;
  if (policy === 'live') {
    const slots = queueSize + inferenceSlots + SPARE_SLOTS;
    return { shape: { slots, inputBytes, pictureBytes }, refillAt: slots };
  }
  const affordable = Math.floor(FILE_RING_BYTES / (inputBytes + pictureBytes));
  const slots = Math.max(2 * inferenceSlots + SPARE_SLOTS + 1, Math.min(4 * handOverSlots, affordable));
  return { shape: { slots, inputBytes, pictureBytes }, refillAt: Math.floor((slots * 2) / 3) };
}
