import { monoNowMs } from '../core/clock.ts';
import type { MonoMs } from '../core/units.ts';
import type { FrameLine } from './ffmpeg-log.ts';

/** Memory for one picture, and what the owner knows it by. */
export interface PictureTarget<T> {
  readonly bytes: Uint8Array;
  readonly owner: T;
}

export interface AssembledFrame<T> {
  readonly owner: T;
  readonly line: FrameLine;
  readonly captured: MonoMs;
  readonly decoded: MonoMs;
}

/**
 * Puts pictures and their headers together. ffmpeg prints a frame's header line before it writes the picture, on another
 * pipe, so either can reach us first; both come in the same order, and the n-th belongs to the n-th.
 */
export class FrameAssembler<T> {
  readonly #acquire: () => PictureTarget<T> | null;
  readonly #onFrame: (frame: AssembledFrame<T>) => void;
  readonly #lines: FrameLine[] = [];
  readonly #pictures: { owner: T; captured: MonoMs; decoded: MonoMs }[] = [];
  #target: PictureTarget<T> | null = null;
  #filled = 0;
  #captured = 0 as MonoMs;

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
    if (this.#filled === 0) this.#captured = monoNowMs();
    this.#filled += bytes;
    if (this.#filled < target.bytes.length) return;
    this.#pictures.push({ owner: target.owner, captured: this.#captured, decoded: monoNowMs() });
    this.#target = null;
    this.#filled = 0;
    this.#match();
  }

  onLine(line: FrameLine): void {
    this.#lines.push(line);
    this.#match();
  }

  #match(): void {
    while (this.#lines.length > 0 && this.#pictures.length > 0) {
      this.#onFrame({ ...this.#pictures.shift()!, line: this.#lines.shift()! });
    }
  }

  /** Gives up: returns the owners of pictures that are incomplete or have no header. */
  abandon(): T[] {
    const owners = this.#pictures.splice(0).map((picture) => picture.owner);
    if (this.#target !== null) owners.push(this.#target.owner);
    this.#target = null;
    this.#filled = 0;
    this.#lines.length = 0;
    return owners;
  }
}
