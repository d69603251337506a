import type { FrameChange, SceneShift } from '../core/frame.ts';
import type { MonoMs, PtsUs } from '../core/units.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import type { Placement } from '../geometry/placement.ts';
import type { ViewPlacement } from '../geometry/views.ts';
import { releaseRingMemory, takeRingMemory } from './ring-memory.ts';

/** Owner of a slot: the side that may touch it now. */
const FREE = 0;
const LANE = 1;
const HOST = 2;

/** Places of a frame's numbers. */
const META = placesOf([
  ...(['frame', 'ptsUs', 'width', 'height', 'captured', 'decoded', 'preprocessed', 'wallMs', 'change'] as const),
  ...(['hashHigh', 'hashLow', 'scaleX', 'scaleY', 'offsetX', 'offsetY', 'shiftX', 'shiftY'] as const),
]);
const META_FIELDS = Object.keys(META).length;
/** Places of a view's numbers: its placement and its bounds. */
const VIEW = placesOf(['scaleX', 'scaleY', 'offsetX', 'offsetY', 'x', 'y', 'width', 'height'] as const);
const VIEW_FIELDS = Object.keys(VIEW).length;
const STATE_BYTES = 4;

/** Indexes of the flags that both sides share. */
const WAITING = 0;
const COMPLETED = 1;
const LISTENING = 2;
const NEXT_HANDED = 3;
const LOOK = 4;
const DECODED = 5;
const FLAGS = 6;

/** Numbers stored beside a frame's pixels. Times are milliseconds of the monotonic clock. */
export interface SlotMeta {
  frame: number;
  ptsUs: PtsUs;
  width: number;
  height: number;
  captured: MonoMs;
  /** Wall clock of the camera at its capture, in milliseconds since 1970; NaN if it does not say it. */
  wallMs: number;
  decoded: MonoMs;
  preprocessed: MonoMs;
  /** From source pixels to the model's input; to the first one if the frame has several. */
  placement: Placement;
  /** What the change gate found; `changed` if there is no gate. */
  change: FrameChange;
  /** 96 bits of a hash of the model's input, as two whole numbers; zeros if it is not computed. */
  hashHigh: number;
  hashLow: number;
  /** How far the camera has moved; zeros if nobody asks for it. */
  shift: SceneShift;
}

const CHANGES: readonly FrameChange[] = ['changed', 'unchanged', 'without-input'];

export interface SlotRingShape {
  readonly slots: number;
  /** One model input, u8 `[height, width, 3]`. */
  readonly inputBytes: number;
  /** Model inputs of a frame, each with a placement of its own; absent: one, which shows the picture as a whole. */
  readonly views?: number;
  /**
   * Present while two models with different inputs share the frames: `inputKey` of both. The first half of the views is
   * for the first one; an input uses the beginning of `inputBytes`.
   */
  readonly models?: readonly [string, string];
  /** Full picture, u8 `[height, width, 3]`; 0 if no consumer needs it. */
  readonly pictureBytes: number;
}

/**
 * The frames of one stream in shared memory: a fixed number of slots, each with the model's inputs, the full picture if
 * a consumer needs it, and the frame's numbers. Lane threads fill slots; the main thread passes them to inference
 * threads by number and releases them; no message carries pixels. A message is needed only if the other side sleeps:
 * the lane until a slot is free (`setWaiting`), the host until a frame arrives (`listen`).
 *
 * Layout: `[states i32][flags i32 x 6][handed i32][meta f64 x `META` per slot][views f64 x `VIEW` per view and
 * slot][slot pixels ...]`, each part aligned to 64 bytes.
 */
export class SlotRing {
  readonly buffer: SharedArrayBuffer;
  readonly shape: SlotRingShape;
  readonly #states: Int32Array;
  readonly #flags: Int32Array;
  /** Slots handed over and not yet taken, in order: slot + 1, or 0 for none. */
  readonly #handed: Int32Array;
  #nextTaken = 0;
  readonly #meta: Float64Array;
  readonly #views: Float64Array;
  /** Bytes of all model inputs of a slot. */
  readonly #inputsBytes: number;
  readonly #pixelsAt: number;

  private constructor(buffer: SharedArrayBuffer, shape: SlotRingShape) {
    this.buffer = buffer;
    this.shape = shape;
    const flagsAt = align(shape.slots * STATE_BYTES);
    const handedAt = flagsAt + align(FLAGS * STATE_BYTES);
    const metaAt = handedAt + align(shape.slots * STATE_BYTES);
    this.#states = new Int32Array(buffer, 0, shape.slots);
    this.#flags = new Int32Array(buffer, flagsAt, FLAGS);
    this.#handed = new Int32Array(buffer, handedAt, shape.slots);
    this.#meta = new Float64Array(buffer, metaAt, shape.slots * META_FIELDS);
    const viewsAt = metaAt + align(shape.slots * META_FIELDS * 8);
    this.#views = new Float64Array(buffer, viewsAt, shape.slots * viewFields(shape));
    this.#inputsBytes = inputsBytes(shape);
    this.#pixelsAt = viewsAt + align(shape.slots * viewFields(shape) * 8);
  }

  static create(shape: SlotRingShape): SlotRing {
    const head =
      2 * align(shape.slots * STATE_BYTES) +
      align(FLAGS * STATE_BYTES) +
      align(shape.slots * META_FIELDS * 8) +
      align(shape.slots * viewFields(shape) * 8);
    const pixels = shape.slots * (align(inputsBytes(shape)) + align(shape.pictureBytes));
    return new SlotRing(takeRingMemory(head + pixels, head), shape);
  }

  /** Makes the memory available to other rings. Host side, once no thread touches this ring any more. */
  recycle(): void {
    releaseRingMemory(this.buffer);
  }

  /** Opens an existing ring on another thread. */
  static attach(buffer: SharedArrayBuffer, shape: SlotRingShape): SlotRing {
    return new SlotRing(buffer, shape);
  }

  /** Takes a free slot for filling; -1 if none is free. Lane side. */
  acquire(): number {
    for (let slot = 0; slot < this.shape.slots; slot++) {
      if (Atomics.compareExchange(this.#states, slot, FREE, LANE) === FREE) return slot;
    }
    return -1;
  }

  /** Hands a filled slot to the host. Lane side. @returns true if the host listens: send it one message. */
  hand(slot: number): boolean {
    this.#move(slot, LANE, HOST);
    const at = this.#flags[NEXT_HANDED]!;
    this.#flags[NEXT_HANDED] = (at + 1) % this.shape.slots;
    Atomics.store(this.#handed, at, slot + 1);
    return Atomics.exchange(this.#flags, LISTENING, 0) === 1;
  }

  /** Takes the next slot that was handed over, in order; -1 if there is none. Host side. */
  take(): number {
    const slot = Atomics.exchange(this.#handed, this.#nextTaken, 0) - 1;
    if (slot >= 0) this.#nextTaken = (this.#nextTaken + 1) % this.shape.slots;
    return slot;
  }

  /** Requests a message for the next slot that is handed over; earlier ones can already be taken. Host side. */
  listen(): void {
    Atomics.store(this.#flags, LISTENING, 1);
  }

  /** Returns an unfilled slot. Lane side. */
  abandon(slot: number): void {
    this.#move(slot, LANE, FREE);
  }

  /** Releases a slot after its frame was published or dropped. Host side. */
  release(slot: number): void {
    this.#move(slot, HOST, FREE);
  }

  #move(slot: number, from: number, to: number): void {
    const was = Atomics.compareExchange(this.#states, slot, from, to);
    if (was !== from) {
      throw new SightlineError('FRAME_LEAKED', `slot ${slot}: expected owner ${from}, found ${was}`, {
        slot,
        from,
        was,
      });
    }
  }

  /** Slots that are not free, for leak checks. */
  get heldCount(): number {
    let held = 0;
    for (let slot = 0; slot < this.shape.slots; slot++) if (Atomics.load(this.#states, slot) !== FREE) held += 1;
    return held;
  }

  /** Requests a message at the next release. Lane side. */
  setWaiting(isWaiting: boolean): void {
    Atomics.store(this.#flags, WAITING, isWaiting ? 1 : 0);
  }

  /** True while the lane waits for a slot, and so holds its ffmpeg back. */
  get isWaiting(): boolean {
    return Atomics.load(this.#flags, WAITING) === 1;
  }

  /** Returns whether the lane waits, and clears the flag. Host side. */
  takeWaiting(): boolean {
    return Atomics.exchange(this.#flags, WAITING, 0) === 1;
  }

  /** Makes the change gate forget its reference, so that the next picture counts as changed. Host side. */
  requestLook(): void {
    Atomics.store(this.#flags, LOOK, 1);
  }

  /** Returns whether a look was requested, and clears the request. Lane side. */
  takeLookRequest(): boolean {
    return Atomics.exchange(this.#flags, LOOK, 0) === 1;
  }

  /**
   * Counts a complete frame read by the lane. The count survives the lane, so that frames lost with it can be counted.
   */
  countCompleted(): void {
    Atomics.add(this.#flags, COMPLETED, 1);
  }

  get completedCount(): number {
    return Atomics.load(this.#flags, COMPLETED);
  }

  /** Notes when a frame was decoded, whatever becomes of it. Lane side. */
  noteDecoded(nowMs: number): void {
    // 0 stands for never.
    Atomics.store(this.#flags, DECODED, Math.round(nowMs) | 0 || 1);
  }

  /** Returns the time since the last frame was decoded, in milliseconds, right up to 24 days; null before the first. Host side. */
  decodedAgeMs(nowMs: number): number | null {
    const decoded = Atomics.load(this.#flags, DECODED);
    return decoded === 0 ? null : Math.max(0, ((Math.round(nowMs) | 0) - decoded) | 0);
  }

  /**
   * A slot's model inputs, one after the other; shared memory, valid while the slot is held.
   *
   * @param view - number of one of them; absent: all of them.
   */
  input(slot: number, view?: number): Uint8Array {
    if (view === undefined) return new Uint8Array(this.buffer, this.#slotAt(slot), this.#inputsBytes);
    const { inputBytes } = this.shape;
    return new Uint8Array(this.buffer, this.#slotAt(slot) + view * inputBytes, inputBytes);
  }

  /** View of a slot's full picture, `pictureBytes` long. */
  picture(slot: number): Uint8Array {
    return new Uint8Array(this.buffer, this.#slotAt(slot) + align(this.#inputsBytes), this.shape.pictureBytes);
  }

  #slotAt(slot: number): number {
    return this.#pixelsAt + slot * (align(this.#inputsBytes) + align(this.shape.pictureBytes));
  }

  writeMeta(slot: number, meta: SlotMeta): void {
    const at = slot * META_FIELDS;
    const m = this.#meta;
    m[at + META.frame] = meta.frame;
    m[at + META.ptsUs] = meta.ptsUs;
    m[at + META.width] = meta.width;
    m[at + META.height] = meta.height;
    m[at + META.captured] = meta.captured;
    m[at + META.decoded] = meta.decoded;
    m[at + META.preprocessed] = meta.preprocessed;
    m[at + META.scaleX] = meta.placement.scaleX;
    m[at + META.scaleY] = meta.placement.scaleY;
    m[at + META.offsetX] = meta.placement.offsetX;
    m[at + META.offsetY] = meta.placement.offsetY;
    m[at + META.change] = CHANGES.indexOf(meta.change);
    m[at + META.hashHigh] = meta.hashHigh;
    m[at + META.hashLow] = meta.hashLow;
    m[at + META.wallMs] = meta.wallMs;
    m[at + META.shiftX] = meta.shift.x;
    m[at + META.shiftY] = meta.shift.y;
  }

  readMeta(slot: number): SlotMeta {
    const at = slot * META_FIELDS;
    const m = this.#meta;
    return {
      frame: m[at + META.frame]!,
      ptsUs: m[at + META.ptsUs]! as PtsUs,
      width: m[at + META.width]!,
      height: m[at + META.height]!,
      captured: m[at + META.captured]! as MonoMs,
      decoded: m[at + META.decoded]! as MonoMs,
      preprocessed: m[at + META.preprocessed]! as MonoMs,
      placement: {
        scaleX: m[at + META.scaleX]!,
        scaleY: m[at + META.scaleY]!,
        offsetX: m[at + META.offsetX]!,
        offsetY: m[at + META.offsetY]!,
      },
      change: CHANGES[m[at + META.change]!]!,
      hashHigh: m[at + META.hashHigh]!,
      hashLow: m[at + META.hashLow]!,
      wallMs: m[at + META.wallMs]!,
      shift: { x: m[at + META.shiftX]!, y: m[at + META.shiftY]! },
    };
  }

  /** Writes where a view lies. Only for a ring whose shape has views. */
  writeView(slot: number, view: number, { placement, bounds }: ViewPlacement): void {
    const at = this.#viewAt(slot, view);
    const v = this.#views;
    v[at + VIEW.scaleX] = placement.scaleX;
    v[at + VIEW.scaleY] = placement.scaleY;
    v[at + VIEW.offsetX] = placement.offsetX;
    v[at + VIEW.offsetY] = placement.offsetY;
    v[at + VIEW.x] = bounds.x;
    v[at + VIEW.y] = bounds.y;
    v[at + VIEW.width] = bounds.width;
    v[at + VIEW.height] = bounds.height;
  }

  readView(slot: number, view: number): ViewPlacement {
    const at = this.#viewAt(slot, view);
    const v = this.#views;
    return {
      placement: {
        scaleX: v[at + VIEW.scaleX]!,
        scaleY: v[at + VIEW.scaleY]!,
        offsetX: v[at + VIEW.offsetX]!,
        offsetY: v[at + VIEW.offsetY]!,
      },
      bounds: { x: v[at + VIEW.x]!, y: v[at + VIEW.y]!, width: v[at + VIEW.width]!, height: v[at + VIEW.height]! },
    };
  }

  #viewAt(slot: number, view: number): number {
    const { views = 0 } = this.shape;
    if (view >= views) throw new RangeError(`view ${view} of a ring with ${views}`);
    return (slot * views + view) * VIEW_FIELDS;
  }
}

/** Returns which views of a slot one model reads. @throws RangeError if the ring has no inputs of the model. */
export function viewsFor(
  { views = 1, models }: Pick<SlotRingShape, 'views' | 'models'>,
  key: string,
): { readonly from: number; readonly count: number } {
  if (models === undefined) return { from: 0, count: views };
  const at = models.indexOf(key);
  if (at === -1) throw new RangeError(`a ring has no inputs for ${key}`);
  return { from: (at * views) / 2, count: views / 2 };
}

/** Model inputs of a frame that one model infers. */
export function inputsPerModel({ views = 1, models }: Pick<SlotRingShape, 'views' | 'models'>): number {
  return models === undefined ? views : views / 2;
}

function viewFields({ views = 0 }: SlotRingShape): number {
  return views * VIEW_FIELDS;
}

function inputsBytes({ inputBytes, views = 1 }: SlotRingShape): number {
  return inputBytes * views;
}

function align(bytes: number): number {
  return Math.ceil(bytes / 64) * 64;
}

function placesOf<Name extends string>(names: readonly Name[]): Readonly<Record<Name, number>> {
  return Object.fromEntries(names.map((name, place) => [name, place])) as Record<Name, number>;
}
