import type { BusMessage, ControlPlane } from '../../src/fleet/control/control-plane.ts';

interface Seen {
  fence: number;
  hostId: string;
  atMs: number;
  /** Frames accepted under the newest lease. */
  readonly frames: Set<number>;
}

/**
 * A consumer that follows the documentation: for every stream it accepts only results with the highest fence seen, and drops
 * the rest. Records what it received.
 */
export class FenceChecker {
  readonly #streams = new Map<string, Seen>();
  readonly #unsubscribe: () => void;
  /** Accepted twice under one lease, or under one that two hosts claim to hold. */
  readonly violations: string[] = [];
  staleCount = 0;
  acceptedCount = 0;

  constructor(control: ControlPlane) {
    this.#unsubscribe = control.bus.subscribe('detections', null, (message) => this.#take(message));
  }

  close(): void {
    this.#unsubscribe();
  }

  /** Returns the streams from which nothing was accepted since a moment (performance.now()). */
  silentSince(ms: number, streams: readonly string[]): string[] {
    return streams.filter((id) => (this.#streams.get(id)?.atMs ?? Number.NEGATIVE_INFINITY) <= ms);
  }

  hostOf(stream: string): string | null {
    return this.#streams.get(stream)?.hostId ?? null;
  }

  fenceOf(stream: string): number {
    return this.#streams.get(stream)?.fence ?? -1;
  }

  #take({ stream, fence, hostId, body }: BusMessage): void {
    if (stream === null || fence === null) return;
    const { frame } = body as { frame: number };
    const seen = this.#streams.get(stream);
    if (seen !== undefined && fence < seen.fence) {
      this.staleCount += 1;
      return;
    }
    this.acceptedCount += 1;
    if (seen === undefined || fence > seen.fence) {
      this.#streams.set(stream, { fence, hostId, atMs: performance.now(), frames: new Set([frame]) });
      return;
    }
    if (seen.hostId !== hostId) this.violations.push(`${stream}: fence ${fence} of ${seen.hostId} and of ${hostId}`);
    if (seen.frames.has(frame)) this.violations.push(`${stream}: frame ${frame} twice under fence ${fence}`);
    seen.frames.add(frame);
    seen.atMs = performance.now();
  }
}
