import { monoNowMs } from '../core/clock.ts';
import type { MonoMs } from '../core/units.ts';
import type { FrameHeader } from './ffmpeg-log.ts';

/** Memory for one picture, and what the owner knows it by. */
export interface PictureTarget<T> {
  readonly bytes: Uint8Array;
  readonly owner: T;
}

export interface AssembledFrame<T> {
  readonly owner: T;
  readonly header: FrameHeader;
  /** When ffmpeg first reported it: its header line or its first bytes, whichever came earlier. */
  readonly captured: MonoMs;
  /** When the last of its bytes had come. */
  readonly decoded: MonoMs;
}

/**
 * Joins pictures with their headers. ffmpeg prints a frame's header line before it writes the picture, on another pipe, so
 * either can reach us first; both come in the same order, and the n-th belongs to the n-th.
 */
export class FrameAssembler<T> {
  readonly #acquire: () => PictureTarget<T> | null;
  readonly #onFrame: (frame: AssembledFrame<T>) => void;
  readonly #headers: { header: FrameHeader; cameAt: MonoMs }[] = [];
  readonly #pictures: { owner: T; begunAt: MonoMs; decoded: MonoMs }[] = [];
  #target: PictureTarget<T> | null = null;
  #filled = 0;
  #begunAt = 0 as MonoMs;

  /** @param acquire - memory for the next picture; null where there is none now (it will be asked again). */
  constructor(acquire: () => PictureTarget<T> | null, onFrame: (frame: AssembledFrame<T>) => void) {
    this.#acquire = acquire;
    this.#onFrame = onFrame;
  }

  /** The rest of the picture that is being read. */
  nextBuffer(): Uint8Array | null {
    this.#target ??= this.#acquire();
    return this.#target?.bytes.subarray(this.#filled) ?? null;
  }

  onBytes(bytes: number): void {
    const target = this.#target;
    if (target === null) throw new RangeError('bytes came without memory for them');
    if (this.#filled === 0) this.#begunAt = monoNowMs();
    this.#filled += bytes;
    if (this.#filled < target.bytes.length) return;
    this.#pictures.push({ owner: target.owner, begunAt: this.#begunAt, decoded: monoNowMs() });
    this.#target = null;
    this.#filled = 0;
    this.#match();
  }

  onHeader(header: FrameHeader): void {
    this.#headers.push({ header, cameAt: monoNowMs() });
    this.#match();
  }

  #match(): void {
    while (this.#headers.length > 0 && this.#pictures.length > 0) {
      const { owner, begunAt, decoded } = this.#pictures.shift()!;
      const { header, cameAt } = this.#headers.shift()!;
      this.#onFrame({ owner, header, captured: Math.min(cameAt, begunAt) as MonoMs, decoded });
    }
  }

  /**
   * Says how headers and pictures differ once both pipes are read to their ends; null if they agree. Frames were given wrong
   * times or sizes where they do not.
   */
  get mismatch(): string | null {
    const { length: headers } = this.#headers;
    const { length: pictures } = this.#pictures;
    if (this.#filled > 0) return `the last picture has ${this.#filled} of ${this.#target!.bytes.length} bytes`;
    if (headers > 0) return `${headers} more frame headers than pictures`;
    return pictures > 0 ? `${pictures} more pictures than frame headers` : null;
  }

  /** Gives up: returns the owners of pictures that are incomplete or have no header. */
  abandon(): T[] {
    const owners = this.#pictures.splice(0).map((picture) => picture.owner);
    if (this.#target !== null) owners.push(this.#target.owner);
    this.#target = null;
    this.#filled = 0;
    this.#headers.length = 0;
    return owners;
  }
}
