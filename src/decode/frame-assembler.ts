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
  /** When ffmpeg first told of it: its header line or its first bytes, whichever came earlier. */
  readonly captured: MonoMs;
  /** When the last of its bytes had come. */
  readonly decoded: MonoMs;
}

/**
 * Puts pictures and their headers together. ffmpeg prints a frame's header line before it writes the picture, on another
 * pipe, so either can reach us first; both come in the same order, and the n-th belongs to the n-th.
 */
export class FrameAssembler<T> {
  readonly #acquire: () => PictureTarget<T> | null;
  readonly #onFrame: (frame: AssembledFrame<T>) => void;
  readonly #lines: { line: FrameLine; cameAt: MonoMs }[] = [];
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

  onLine(line: FrameLine): void {
    this.#lines.push({ line, cameAt: monoNowMs() });
    this.#match();
  }

  #match(): void {
    while (this.#lines.length > 0 && this.#pictures.length > 0) {
      const { owner, begunAt, decoded } = this.#pictures.shift()!;
      const { line, cameAt } = this.#lines.shift()!;
      this.#onFrame({ owner, line, captured: Math.min(cameAt, begunAt) as MonoMs, decoded });
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
