import type { StreamConfig } from '../../config/stream.ts';
import type { SlotRingShape } from '../../flow/slot-ring.ts';
import type { StreamInput, StreamPort } from './stream-port.ts';

/**
 * Slots in addition to the queue and the inference threads: one being filled, one ready, one for a message in transit.
 */
const SPARE_SLOTS = 3;
/** Size limit of a file's ring; the minimum number of slots may exceed it. */
const FILE_RING_BYTES = 64 * 2 ** 20;

export interface RingPlan {
  readonly shape: SlotRingShape;
  /** A lane that waits for a slot is woken once at most this many frames are in flight. */
  readonly refillAt: number;
}

/**
 * Plans how many frames of a stream can be in flight. Live: its queue plus what inference threads hold. File: four
 * hand-overs per thread; a third of the ring is refilled at a time, so that the decoder runs in long stretches, and
 * refilling starts while more frames are left than the threads hold. With three hand-overs, half of the ring refilled
 * at a time, each thread of YOLOX-nano was idle for 5 ms four times a second: 1.7 % fewer frames.
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
