import { monoNowMs } from '../../../base/core/clock.ts';
import type { FrameHeader } from '../../decode/ffmpeg-log.ts';
import { FrameAssembler } from '../../decode/frame-assembler.ts';
import { LOOK_COMMAND } from '../../decode/look-filters.ts';
import type { LanePictures } from './lane-pictures.ts';

/** ffmpeg reads one command in this time, so a look is asked for this much before it is wanted. */
const COMMAND_MS = 100;

/**
 * Pictures of frames that the rate leaves out or that are shed. It asks ffmpeg for one when no other picture has come for a while, so a
 * stream whose frames come often enough costs nothing.
 */
export class LaneLooks {
  readonly #bytes: number;
  readonly #pictures: LanePictures;
  readonly #onLook: (pixels: Uint8Array, header: FrameHeader) => void;
  #assembler = this.#newAssembler();
  #spare: Uint8Array | null = null;
  #askedMs = Number.NEGATIVE_INFINITY;
  /** Frames were decoded and not passed on since the last picture. */
  #hasPassed = false;

  /** @param bytes - of a picture as ffmpeg writes it. */
  constructor(bytes: number, pictures: LanePictures, onLook: (pixels: Uint8Array, header: FrameHeader) => void) {
    this.#bytes = bytes;
    this.#pictures = pictures;
    this.#onLook = onLook;
  }

  #newAssembler(): FrameAssembler<Uint8Array> {
    return new FrameAssembler<Uint8Array>(
      () => {
        const bytes = this.#spare ?? new Uint8Array(this.#bytes);
        this.#spare = null;
        return { bytes, owner: bytes };
      },
      ({ owner, header }) => {
        this.#onLook(owner, header);
        this.#spare = owner;
      },
    );
  }

  /** Call when a frame was left out or shed. */
  onPassed(): void {
    this.#hasPassed = true;
  }

  onHeader(header: FrameHeader): void {
    this.#assembler.onHeader(header);
  }

  onBytes(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const target = this.#assembler.nextBuffer()!;
      const part = bytes.subarray(at, at + target.length);
      target.set(part);
      this.#assembler.onBytes(part.length);
      at += part.length;
    }
  }

  /** Discards what an ffmpeg that ended has not completed. */
  startOver(): void {
    this.#assembler = this.#newAssembler();
  }

  /** Returns the command that asks for a picture; null while none is needed. */
  command(): string | null {
    const { lookEveryMs, lastMs } = this.#pictures;
    const now = monoNowMs();
    if (!this.#hasPassed || lookEveryMs === null || now - Math.max(lastMs, this.#askedMs) < lookEveryMs - COMMAND_MS)
      return null;
    this.#askedMs = now;
    this.#hasPassed = false;
    return LOOK_COMMAND;
  }
}
