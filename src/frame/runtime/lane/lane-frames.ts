import { isDeepStrictEqual } from 'node:util';
import { monoNowMs } from '../../../base/core/clock.ts';
import type { FrameChange } from '../../../base/core/frame.ts';
import type { MonoMs, PtsUs } from '../../../base/core/units.ts';
import { type SlotMeta, SlotRing } from '../../../base/flow/slot-ring.ts';
import { composePlacements, type Placement, placementOf } from '../../../base/geometry/placement.ts';
import { PICTURE } from '../../../base/geometry/views.ts';
import type { FromLane, LaneStream, LaneTuning } from '../../../wire/protocol/threads.ts';
import type { FrameHeader } from '../../decode/ffmpeg-log.ts';
import { FrameAssembler } from '../../decode/frame-assembler.ts';
import { ChangeGate } from '../../preprocess/change-gate.ts';
import { hashInput, type InputHash, NO_HASH } from '../../preprocess/input-hash.ts';
import { PictureMask } from '../../preprocess/picture-mask.ts';
import { SharpPreprocessor } from '../../preprocess/sharp-preprocessor.ts';
import { CameraFollower } from './camera-follower.ts';
import { LaneLooks } from './lane-looks.ts';
import { canvasFit, type DecodedPicture, LanePictures, largestPart, pictureAreas } from './lane-pictures.ts';
import { isSameSize, LaneViews } from './lane-views.ts';
import { MediaTime } from './media-time.ts';

/** Slot number of a picture for which the ring has no room: it is read, counted and discarded. */
const NO_SLOT = -1;

export interface LanePort {
  /** @param transfer - memory in the message that the receiver gets without a copy. */
  post(message: FromLane, transfer?: readonly ArrayBuffer[]): void;
  addPreprocessMs(ms: number): void;
}

/**
 * Carries one stream's frames from ffmpeg's pipe to the model's input in a slot. It is independent of processes and
 * reconnects: it provides buffers to the current ffmpeg and receives its header lines.
 */
export class LaneFrames {
  #stream: LaneStream;
  readonly ring: SlotRing;
  readonly #port: LanePort;
  readonly #onFault: (fault: unknown) => void;
  readonly #sharp: SharpPreprocessor | null;
  /** For pictures of this size; null if the stream has no gate, or no picture was seen yet. */
  #gate: { readonly header: FrameHeader; readonly gate: ChangeGate } | null = null;
  readonly #camera: CameraFollower;
  /** Null if the picture as a whole is the only view. */
  readonly #views: LaneViews | null;
  readonly #scratch: Uint8Array | null;
  #assembler: FrameAssembler<number>;
  #work: Promise<void> = Promise.resolve();
  #pending = 0;
  #frame: number;
  readonly #mediaTime: MediaTime;
  #mask: PictureMask;
  #pictureCount = 0;
  #discard = 0;
  /** Frames shed since the last header. */
  #shedBefore = 0;
  /** Frames shed that the main thread does not know of. */
  #shedUnreported = 0;
  #isClosed = false;
  readonly pictures: LanePictures;
  readonly looks: LaneLooks;

  /** @param onFault - gets an exception of work that nobody waits for. */
  constructor(stream: LaneStream, port: LanePort, onFault: (fault: unknown) => void) {
    this.#stream = stream;
    this.#port = port;
    this.#onFault = onFault;
    this.ring = SlotRing.attach(stream.ring.buffer, stream.ring.shape);
    this.#sharp = stream.picture === null ? null : new SharpPreprocessor(stream.spec, stream.picture);
    this.#views =
      stream.views === undefined && stream.second === undefined
        ? null
        : new LaneViews(stream.views ?? [PICTURE], stream, this.ring);
    const { inputBytes, views = 1, pictureBytes } = this.ring.shape;
    const writtenBytes = stream.picture === null ? views * inputBytes : pictureBytes;
    this.#scratch = stream.policy === 'live' ? new Uint8Array(writtenBytes) : null;
    this.pictures = new LanePictures(stream, port, this.#views);
    this.looks = new LaneLooks(writtenBytes, this.pictures, (pixels, header) => this.#onLook(pixels, header));
    this.#mask = new PictureMask(stream.masks);
    this.#camera = new CameraFollower(stream.shift);
    this.#frame = stream.firstFrame;
    this.#mediaTime = new MediaTime(stream.mediaTime, stream.policy === 'live' || isCamera(stream));
    this.#assembler = this.#newAssembler();
  }

  get stream(): LaneStream {
    return this.#stream;
  }

  /** Applies from the next picture on. */
  tune(tuning: LaneTuning): void {
    if (!isDeepStrictEqual(tuning.changeGate, this.stream.changeGate)) this.#gate = null;
    if (!tuning.findsShift) this.#camera.pause();
    if (!isDeepStrictEqual(tuning.masks, this.stream.masks)) this.#mask = new PictureMask(tuning.masks);
    this.#stream = { ...this.stream, ...tuning };
    this.pictures.tune(tuning);
  }

  /** Complete pictures so far, discarded ones included: a sign of life. */
  get pictureCount(): number {
    return this.#pictureCount;
  }

  /** As `MediaTime.shiftUs`. */
  get shiftUs(): number | null {
    return this.#mediaTime.shiftUs;
  }

  /** Discards that many pictures of the next connection: an earlier one has handed them over. */
  set discard(pictures: number) {
    this.#discard = pictures;
  }

  onHeader(header: FrameHeader): void {
    const shedBefore = this.#shedBefore;
    this.#shedBefore = 0;
    this.#assembler.onHeader(shedBefore === 0 ? header : { ...header, shedBefore });
  }

  /** ffmpeg dropped a frame before it scaled it. It has entered, so it counts, and it has a number. */
  onShed(): void {
    this.looks.onPassed();
    this.#shedBefore += 1;
    this.#shedUnreported += 1;
    this.ring.countCompleted();
  }

  /** Reports the frames that were shed since the last call, in one message. */
  reportShed(): void {
    if (this.#shedUnreported === 0) return;
    const count = this.#shedUnreported;
    this.#shedUnreported = 0;
    this.#port.post({ type: 'dropped', ringId: this.stream.ring.ringId, reason: 'shed', count });
  }

  get assembler(): FrameAssembler<number> {
    return this.#assembler;
  }

  /**
   * Discards the incomplete picture of an ffmpeg that ended. The media time of the next connection continues where this
   * one stopped, plus the time that passed meanwhile.
   */
  startOver(): void {
    for (const slot of this.#assembler.abandon()) if (slot !== NO_SLOT) this.ring.abandon(slot);
    this.#assembler = this.#newAssembler();
    this.looks.startOver();
    this.#frame += this.#shedBefore * this.stream.every;
    this.#shedBefore = 0;
    this.reportShed();
    if (this.#frame > this.stream.firstFrame) this.#mediaTime.reconnect();
  }

  /** Resolves when this lane holds no slot any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.startOver();
    await this.#work;
    await this.pictures.finished();
  }

  /** Resolves when every received picture has been handed over. */
  async drained(): Promise<void> {
    while (this.#pending > 0) await this.#work;
  }

  #newAssembler(): FrameAssembler<number> {
    return new FrameAssembler<number>(
      () => this.#target(),
      (frame) => this.#onPicture(frame.owner, frame.header, frame.captured, frame.decoded),
    );
  }

  #target(): { bytes: Uint8Array; owner: number } | null {
    if (this.#isClosed) return null;
    let slot = this.ring.acquire();
    if (slot === NO_SLOT && this.#scratch === null) {
      // Set the flag, then try again: a slot freed in between is either found here or reported by a message.
      this.ring.setWaiting(true);
      slot = this.ring.acquire();
    }
    if (slot !== NO_SLOT) return { bytes: this.#written(slot), owner: slot };
    return this.#scratch === null ? null : { bytes: this.#scratch, owner: NO_SLOT };
  }

  #onLook(pixels: Uint8Array, header: FrameHeader): void {
    const frame = Math.max(0, this.#frame - this.stream.every);
    const ptsUs = this.#mediaTime.of(header.ptsUs);
    if (!this.#isClosed) this.#see({ pixels, header, ptsUs, frame, kind: 'look' });
  }

  /** Every picture passes here before anybody else gets its pixels. */
  #see(picture: DecodedPicture): void {
    // Signs are of the camera, not of what hides a part of its picture.
    this.pictures.sample(picture);
    const { pixels, header } = picture;
    const { canvas, content } = canvasFit(this.stream, header);
    const whole = {
      placement: placementOf(header, content),
      bounds: { x: 0, y: 0, width: header.width, height: header.height },
    };
    const views = this.stream.picture === null ? this.#views?.placed(header) : undefined;
    this.#mask.hide(pixels, header, canvas, views ?? [whole]);
    this.pictures.show(picture);
  }

  /** The memory of a slot that ffmpeg writes. */
  #written(slot: number): Uint8Array {
    return this.stream.picture === null ? this.ring.input(slot) : this.ring.picture(slot);
  }

  #onPicture(slot: number, header: FrameHeader, captured: MonoMs, decoded: MonoMs): void {
    this.#pictureCount += 1;
    if (this.#discard > 0) {
      this.#discard -= 1;
      if (slot !== NO_SLOT) this.ring.abandon(slot);
      return;
    }
    const { every } = this.stream;
    const frame = this.#frame + (header.shedBefore ?? 0) * every;
    this.#frame = frame + every;
    const ptsUs = this.#mediaTime.next(header.ptsUs, decoded);
    const hasSlot = slot !== NO_SLOT;
    const pixels = hasSlot ? this.#written(slot) : this.#scratch!;
    // Before parts are hidden, which stay where they are.
    if (this.stream.findsShift)
      this.#camera.follow(pixels, header, () => largestPart(this.stream, this.#views, header));
    this.#see({ pixels, header, ptsUs, frame, kind: hasSlot ? 'frame' : 'dropped' });
    this.ring.countCompleted();
    if (!hasSlot) {
      this.#port.post({ type: 'dropped', ringId: this.stream.ring.ringId, reason: 'queue-full', count: 1 });
      return;
    }
    const change = this.#changeOf(slot, header, ptsUs);
    const hash = this.#sharp === null && change === 'changed' ? this.#hash(slot) : NO_HASH;
    const meta: SlotMeta = {
      frame,
      ptsUs,
      width: header.width,
      height: header.height,
      captured,
      wallMs: header.wallMs ?? Number.NaN,
      decoded,
      preprocessed: decoded,
      placement: this.#views === null ? this.#placement(header) : this.#views.place(slot, header),
      change,
      hashHigh: hash.high,
      hashLow: hash.low,
      shift: this.#camera.shift,
    };
    this.ring.writeMeta(slot, meta);
    if (this.#sharp === null) {
      this.#hand(slot);
      return;
    }
    this.#pending += 1;
    this.#work = this.#work.then(() => this.#preprocess(slot, meta, header)).catch(this.#onFault);
  }

  /** Passes the picture as ffmpeg wrote it through the change gate. */
  #changeOf(slot: number, header: FrameHeader, ptsUs: PtsUs): FrameChange {
    const gate = this.#gateFor(header);
    if (gate === null) return 'changed';
    if (this.ring.takeLookRequest()) gate.forget();
    if (gate.isChanged(this.#written(slot), ptsUs)) return 'changed';
    // Any frame of a file can be inferred: which is, must not depend on how far ahead the lane reads.
    const keepsInput = this.#sharp === null || this.stream.keepsInput || this.stream.policy === 'file';
    return keepsInput ? 'unchanged' : 'without-input';
  }

  /** A source that changes its size lies elsewhere in the written picture, so it starts with a new gate. */
  #gateFor(header: FrameHeader): ChangeGate | null {
    const { changeGate, picture, spec } = this.stream;
    if (changeGate === null) return null;
    if (this.#gate === null || !isSameSize(this.#gate.header, header)) {
      const areas = pictureAreas(this.stream, this.#views, header);
      const { width: rowPx } = picture ?? spec.input;
      this.#gate = { header, gate: new ChangeGate(changeGate, { rowPx, areas }) };
    }
    return this.#gate.gate;
  }

  #hash(slot: number): InputHash {
    return this.stream.hashesInput ? hashInput(this.ring.input(slot)) : NO_HASH;
  }

  async #preprocess(slot: number, meta: SlotMeta, header: FrameHeader): Promise<void> {
    const { ringId } = this.stream.ring;
    try {
      if (this.#isClosed) return this.ring.abandon(slot);
      if (meta.change !== 'without-input') {
        const before = monoNowMs();
        if (this.#views === null) await this.#sharp!.run(this.ring.picture(slot), this.ring.input(slot));
        else await this.#views.preprocess(slot, header);
        const preprocessed = monoNowMs();
        this.#port.addPreprocessMs(preprocessed - before);
        const { high: hashHigh, low: hashLow } = this.#hash(slot);
        this.ring.writeMeta(slot, { ...meta, preprocessed, hashHigh, hashLow });
      }
      if (this.#isClosed) this.ring.abandon(slot);
      else this.#hand(slot);
    } catch (error) {
      this.ring.abandon(slot);
      this.#port.post({ type: 'dropped', ringId, reason: 'lane-failed', count: 1 });
      this.#port.post({
        type: 'warning',
        ringId,
        message: `frame ${meta.frame} could not be preprocessed: ${(error as Error).message}`,
      });
    } finally {
      this.#pending -= 1;
    }
  }

  #hand(slot: number): void {
    if (this.ring.hand(slot)) this.#port.post({ type: 'frames', ringId: this.stream.ring.ringId });
  }

  #placement(header: FrameHeader): Placement {
    const onCanvas = placementOf(header, canvasFit(this.stream, header).content);
    return this.#sharp === null ? onCanvas : composePlacements(onCanvas, this.#sharp.placement);
  }
}

/** A connection to a camera begins in the middle of its pictures, also if it is read once (policy `file`). */
function isCamera({ input }: LaneStream): boolean {
  return input?.kind === 'video' && ['rtsp', 'rtmp', 'srt', 'device'].includes(input.source.kind);
}
