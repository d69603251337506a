import { monoNowMs } from '../../base/core/clock.ts';
import type { MonoMs } from '../../base/core/units.ts';
import type { FrameHeader } from './ffmpeg-log.ts';

/** Memory for one picture, and the owner's handle for it. */
export interface PictureTarget<T> {
  readonly bytes: Uint8Array;
  readonly owner: T;
}

export interface AssembledFrame<T> {
  readonly owner: T;
  readonly header: FrameHeader;
  /** When its header line or its first bytes arrived, whichever came first. */
  readonly captured: MonoMs;
  /** When its last bytes arrived. */
  readonly decoded: MonoMs;
}

/**
 * Pairs pictures with their headers. ffmpeg prints a frame's header line before it writes the picture, but to another pipe,
 * so either can arrive first. Both arrive in order: the n-th header belongs to the n-th picture.
 */
export class FrameAssembler<T> {
  readonly #acquire: () => PictureTarget<T> | null;
  readonly #onFrame: (frame: AssembledFrame<T>) => void;
  readonly #headers: { header: FrameHeader; arrivedAt: MonoMs }[] = [];
  readonly #pictures: { owner: T; startedAt: MonoMs; decoded: MonoMs }[] = [];
  #target: PictureTarget<T> | null = null;
  #filled = 0;
  #startedAt = 0 as MonoMs;

  /** @param acquire - returns memory for the next picture; null if there is none now (it is called again later). */
  constructor(acquire: () => PictureTarget<T> | null, onFrame: (frame: AssembledFrame<T>) => void) {
    this.#acquire = acquire;
    this.#onFrame = onFrame;
  }

  /** Returns the unfilled rest of the picture that is being read. */
  nextBuffer(): Uint8Array | null {
    this.#target ??= this.#acquire();
    return this.#target?.bytes.subarray(this.#filled) ?? null;
  }

  onBytes(bytes: number): void {
    const target = this.#target;
    if (target === null) throw new RangeError('bytes arrived without memory for them');
    if (this.#filled === 0) this.#startedAt = monoNowMs();
    this.#filled += bytes;
    if (this.#filled < target.bytes.length) return;
    this.#pictures.push({ owner: target.owner, startedAt: this.#startedAt, decoded: monoNowMs() });
    this.#target = null;
    this.#filled = 0;
    this.#match();
  }

  onHeader(header: FrameHeader): void {
    this.#headers.push({ header, arrivedAt: monoNowMs() });
    this.#match();
  }

  #match(): void {
    while (this.#headers.length > 0 && this.#pictures.length > 0) {
      const { owner, startedAt, decoded } = this.#pictures.shift()!;
      const { header, arrivedAt } = this.#headers.shift()!;
      this.#onFrame({ owner, header, captured: Math.min(arrivedAt, startedAt) as MonoMs, decoded });
    }
  }

  /**
   * Describes how headers and pictures differ once both pipes are read to their ends; null if they match. On a mismatch
   * some frames got a wrong time or size.
   */
  get mismatch(): string | null {
    const { length: headers } = this.#headers;
    const { length: pictures } = this.#pictures;
    if (this.#filled > 0) return `the last picture has ${this.#filled} of ${this.#target!.bytes.length} bytes`;
    if (headers > 0) return `${headers} more frame headers than pictures`;
    return pictures > 0 ? `${pictures} more pictures than frame headers` : null;
  }

  /** Discards all pictures that are incomplete or have no header, and returns their owners. */
  abandon(): T[] {
    const owners = this.#pictures.splice(0).map((picture) => picture.owner);
    if (this.#target !== null) owners.push(this.#target.owner);
    this.#target = null;
    this.#filled = 0;
    this.#headers.length = 0;
    return owners;
  }
}
