/** A frame's media time, and when ffmpeg delivered it. */
export interface Arrival {
  readonly ptsUs: number;
  readonly capturedMs: number;
}

/**
 * The clock of one camera: frame k was due at origin + pts_k. The origin is not known; it is estimated by the frame that
 * came earliest by its own media time, which was late the least. So latency counts from the moment a frame was due, and
 * a stall that delays the frames themselves is not hidden ("coordinated omission").
 *
 * A delay that is the same for every frame before it is delivered, such as the decoding of one frame, cannot be seen this way.
 */
export class DueClock {
  #originMs = Number.POSITIVE_INFINITY;

  observe({ ptsUs, capturedMs }: Arrival): void {
    this.#originMs = Math.min(this.#originMs, capturedMs - ptsUs / 1000);
  }

  /** When a frame was due, on the monotonic clock; never after it was captured if it was observed. */
  dueMs(ptsUs: number): number {
    return this.#originMs + ptsUs / 1000;
  }
}
