import type { Clock } from '../../base/core/clock.ts';
import type { FileState } from './sink-files.ts';

export interface RotationPlan {
  /** A plain file never grows beyond this, unless one line alone is larger; a compressed one by one member at most. */
  readonly maxBytes?: number | undefined;
  /** A file holds results of one period: hours begin at full hours of UTC, days at midnight. */
  readonly periodMs?: number | undefined;
  /** Size of a file without results. */
  readonly emptyBytes: number;
  readonly isCompressed: boolean;
  /** Puts a full file aside, under another name. Called again if it failed. */
  readonly keep: (path: string) => Promise<unknown>;
  /** Milliseconds since 1970. */
  readonly wallNowMs?: (() => number) | undefined;
}

/** Decides when a file of lines is complete. A file that an earlier run left belongs to the period of its last write. */
export class Rotation {
  readonly #plan: RotationPlan;
  readonly #clock: Clock;
  readonly #onPeriodEnd: () => void;
  #period: number | null = null;
  #roomBytes = Number.POSITIVE_INFINITY;
  #isDue = false;
  #cancelTimer: (() => void) | null = null;

  /** @param onPeriodEnd - called when the period of written results is over, so that a file does not wait for the next result. */
  constructor(plan: RotationPlan, clock: Clock, onPeriodEnd: () => void) {
    this.#plan = plan;
    this.#clock = clock;
    this.#onPeriodEnd = onPeriodEnd;
  }

  /** The period of the file is over, and it has not been rotated yet. */
  get isDue(): boolean {
    return this.#isDue;
  }

  /** Bytes of lines that fit into the file. */
  get roomBytes(): number {
    return this.#roomBytes;
  }

  opened({ size, mtimeMs }: Pick<FileState, 'size' | 'mtimeMs'>): void {
    this.#period = size > this.#plan.emptyBytes ? this.#periodOf(mtimeMs) : null;
  }

  /**
   * Returns whether the file is complete.
   *
   * @param lines - to be written next; may be empty.
   */
  isOver({ size }: Pick<FileState, 'size'>, lines: Uint8Array): boolean {
    this.#isDue = false;
    const { maxBytes, emptyBytes, isCompressed } = this.#plan;
    this.#roomBytes = maxBytes === undefined || isCompressed ? Number.POSITIVE_INFINITY : maxBytes - size;
    if (size <= emptyBytes) return false;
    if (this.#period !== null && this.#period !== this.#periodOf(this.#wallNowMs())) return true;
    if (maxBytes === undefined || lines.length === 0) return false;
    return isCompressed ? size >= maxBytes : firstLine(lines) > this.#roomBytes;
  }

  wrote(): void {
    const { periodMs } = this.#plan;
    if (periodMs === undefined) return;
    const nowMs = this.#wallNowMs();
    this.#period = this.#periodOf(nowMs);
    this.#cancelTimer ??= this.#clock.setTimer(
      () => {
        this.#cancelTimer = null;
        this.#isDue = true;
        this.#onPeriodEnd();
      },
      periodMs - (nowMs % periodMs),
    );
  }

  keep(path: string): Promise<unknown> {
    return this.#plan.keep(path);
  }

  /** The next file begins. */
  rotated(): void {
    this.#isDue = false;
    this.#period = null;
  }

  stop(): void {
    this.#cancelTimer?.();
    this.#isDue = false;
  }

  #wallNowMs(): number {
    return (this.#plan.wallNowMs ?? Date.now)();
  }

  #periodOf(wallMs: number): number | null {
    const { periodMs } = this.#plan;
    return periodMs === undefined ? null : Math.floor(wallMs / periodMs);
  }
}

/** Returns as many whole lines as fit, but at least one. */
export function wholeLines(lines: Uint8Array, maxBytes: number): Uint8Array {
  if (lines.length <= maxBytes) return lines;
  const end = maxBytes < 1 ? 0 : lines.lastIndexOf(0x0a, maxBytes - 1) + 1;
  return lines.subarray(0, end > 0 ? end : firstLine(lines));
}

/** Returns the length of the first line with its line break. */
function firstLine(lines: Uint8Array): number {
  return lines.indexOf(0x0a) + 1;
}

/** Returns the number of line breaks. */
export function countLines(bytes: Uint8Array): number {
  let lines = 0;
  for (const byte of bytes) if (byte === 0x0a) lines += 1;
  return lines;
}
