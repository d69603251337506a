import { describe, expect, it } from 'vitest';
import type { CameraSpec } from '../../../../src/lab/loadtest/cameras/camera-plan.ts';
import type { CodedFrame } from '../../../../src/lab/loadtest/cameras/flv-reader.ts';
import {
  type CameraClock,
  type CameraReader,
  VirtualCamera,
} from '../../../../src/lab/loadtest/cameras/virtual-camera.ts';

/** A key frame every ten pictures. */
const KEY_EVERY = 10;
const SPEC: CameraSpec = {
  id: 'gate',
  width: 64,
  height: 48,
  fps: 10,
  jitterMs: 0,
  burst: null,
  events: [],
  seed: 1,
  pictures: { kind: 'test' },
};

class ManualCameraClock implements CameraClock {
  #now = 0;
  #timers: { atMs: number; run: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = { atMs: this.#now + delayMs, run };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((each) => each !== timer);
    };
  }

  advance(toMs: number): void {
    for (;;) {
      const next = this.#timers.sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined || next.atMs > toMs) break;
      this.#timers.shift();
      this.#now = next.atMs;
      next.run();
    }
    this.#now = toMs;
  }
}

class RecordingReader implements CameraReader {
  readonly taken: { atMs: number; ptsMs: number; isKey: boolean }[] = [];
  isStalled = false;
  hasEnded = false;
  readonly #clock: CameraClock;

  constructor(clock: CameraClock) {
    this.#clock = clock;
  }

  take({ isKey }: CodedFrame, pts: number): boolean {
    if (this.isStalled) return false;
    this.taken.push({ atMs: this.#clock.now(), ptsMs: pts / 90, isKey });
    return true;
  }

  end(): void {
    this.hasEnded = true;
  }
}

function open(changes: Partial<CameraSpec> = {}) {
  const clock = new ManualCameraClock();
  const source = {
    next: (index: number, onFrame: (frame: CodedFrame) => void) =>
      onFrame({ isKey: index % KEY_EVERY === 0, units: [] }),
    close: () => undefined,
  };
  const camera = new VirtualCamera({ ...SPEC, ...changes }, source, clock);
  const reader = new RecordingReader(clock);
  camera.addReader(reader);
  return { clock, camera, reader };
}

describe('a virtual camera', () => {
  it('sends frame k at k / fps, with the time of sending as its media time', () => {
    const { clock, reader } = open();
    clock.advance(950);
    expect(reader.taken.map(({ atMs }) => Math.round(atMs))).toEqual([0, 100, 200, 300, 400, 500, 600, 700, 800, 900]);
    for (const { atMs, ptsMs } of reader.taken.slice(1)) expect(ptsMs).toBeCloseTo(atMs, 1);
  });

  it('is not slowed by a reader that stalls: every frame is made, and counted as lost for it', () => {
    const { clock, camera, reader } = open();
    const other = new RecordingReader(clock);
    camera.addReader(other);
    clock.advance(450);
    reader.isStalled = true;
    clock.advance(2_050);
    // Frames 0 to 20; the stalled one took 0 to 4.
    expect(other.taken).toHaveLength(21);
    expect(reader.taken).toHaveLength(5);
    expect(camera.counts).toMatchObject({ offered: 42, sent: 26, lost: 16, unread: 0, readers: 2 });
  });

  it('goes on with the next key frame for a reader that lost some', () => {
    const { clock, camera, reader } = open();
    clock.advance(450);
    reader.isStalled = true;
    clock.advance(550);
    reader.isStalled = false;
    clock.advance(1_150);
    expect(reader.taken.map(({ isKey }) => isKey)).toEqual([true, false, false, false, false, true, false]);
    // Frames 5 to 9.
    expect(camera.counts.lost).toBe(5);
  });

  it('begins with a key frame for a reader that joins', () => {
    const { clock, camera } = open();
    clock.advance(350);
    const late = new RecordingReader(clock);
    camera.addReader(late);
    clock.advance(1_050);
    expect(late.taken).toHaveLength(1);
    expect(late.taken[0]!.isKey).toBe(true);
  });

  it('makes nothing while it is frozen, and its media time has moved on', () => {
    const events = [{ atS: 1.05, kind: 'freeze' } as const, { atS: 2.05, kind: 'thaw' } as const];
    const { clock, reader, camera } = open({ events });
    clock.advance(2_250);
    const times = reader.taken.map(({ atMs }) => Math.round(atMs));
    expect(times.slice(-3)).toEqual([1000, 2100, 2200]);
    expect(camera.counts.lost).toBe(0);
    expect(reader.hasEnded).toBe(false);
  });

  it('ends its readers when it leaves, and serves others after its return', () => {
    const { clock, camera, reader } = open({
      events: [
        { atS: 0.55, kind: 'leave' },
        { atS: 1.95, kind: 'return' },
      ],
    });
    clock.advance(1_000);
    expect(reader.hasEnded).toBe(true);
    expect(camera.isAway).toBe(true);
    clock.advance(1_960);
    expect(camera.isAway).toBe(false);
    const next = new RecordingReader(clock);
    camera.addReader(next);
    clock.advance(2_050);
    expect(next.taken).toHaveLength(1);
  });

  it('holds frames for a burst and sends them at once, in order, with rising media times', () => {
    const { clock, reader } = open({ burst: { everyS: 1, holdS: 0.35 } });
    clock.advance(1_050);
    const sent = reader.taken.map(({ atMs }) => Math.round(atMs));
    expect(sent).toEqual([0, 100, 200, 300, 400, 500, 600, 1000, 1000, 1000, 1000]);
    const media = reader.taken.map(({ ptsMs }) => ptsMs);
    for (let i = 1; i < media.length; i++) expect(media[i]! - media[i - 1]!).toBeGreaterThanOrEqual(1 - 1e-9);
  });
});
