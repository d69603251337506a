import { describe, expect, it } from 'vitest';
import { FairShare, STAGE_RATIO } from '../../../../../src/frame/runtime/inference/fair-share.ts';
import type { Batch } from '../../../../../src/frame/runtime/inference/inference-client.ts';
import { ManualClock } from '../../../../support/manual-clock.ts';

/** A detector with frames that wait, and a second stage with crops that wait: one thread each, batches of one. */
class Rig {
  readonly clock = new ManualClock();
  readonly detector = this.#sharer(false);
  readonly stage = this.#sharer(true);
  readonly share = new FairShare(() => [this.detector, this.stage], this.clock);
  readonly usedMs = { frames: 0, crops: 0 };

  #sharer(readsCrops: boolean) {
    const own = {
      streams: new Map(readsCrops ? [] : [['s', null]]),
      waiting: 1,
      isFree: true,
      model: {
        isNamed: false,
        readsCrops,
        servesLive: true,
        callsInFlight: 1,
        pool: { threadCount: 1 },
        freeThread: () => (own.isFree ? {} : null),
        batcher: {
          get waitingInputs() {
            return own.waiting;
          },
        },
      },
      run: () => {},
    };
    return own as never as { waiting: number; isFree: boolean } & Parameters<FairShare['mayRun']>[0];
  }

  /** Starts what may start; each batch takes its time. */
  work(ms: number, took: { readonly frames: number; readonly crops: number }): void {
    const ends: { readonly atMs: number; readonly end: () => void }[] = [];
    const until = this.clock.now() + ms;
    const start = (sharer: typeof this.detector, what: 'frames' | 'crops'): void => {
      if (!sharer.isFree || sharer.waiting === 0 || !this.share.mayRun(sharer)) return;
      const batch = { frames: [{}] } as unknown as Batch;
      sharer.isFree = false;
      this.share.began(sharer, batch);
      ends.push({
        atMs: this.clock.now() + took[what],
        end: () => {
          sharer.isFree = true;
          this.usedMs[what] += took[what];
          this.share.ended(batch);
        },
      });
    };
    while (this.clock.now() < until) {
      for (const due of ends.filter(({ atMs }) => atMs <= this.clock.now())) {
        ends.splice(ends.indexOf(due), 1);
        due.end();
      }
      start(this.detector, 'frames');
      start(this.stage, 'crops');
      this.clock.jump(1);
    }
  }
}

describe('the share of second stages', () => {
  it.each([
    [10, 10],
    [10, 2],
    [5, 40],
  ])('while frames wait is at most a fifth of the time: frames of %d ms, crops of %d ms', (frames, crops) => {
    const rig = new Rig();
    rig.work(20_000, { frames, crops });
    const share = rig.usedMs.crops / (rig.usedMs.crops + rig.usedMs.frames);
    expect(share).toBeLessThan(STAGE_RATIO + 0.02);
    // They do not starve, either.
    expect(share).toBeGreaterThan(STAGE_RATIO / 2);
  });

  it('is all that is left while no frame waits', () => {
    const rig = new Rig();
    rig.detector.waiting = 0;
    rig.work(1000, { frames: 10, crops: 10 });
    expect(rig.usedMs).toEqual({ frames: 0, crops: expect.any(Number) });
    expect(rig.usedMs.crops).toBeGreaterThan(900);
  });

  it('is all that they need beside files, whose frames wait for their own crops', () => {
    const rig = new Rig();
    rig.detector.model.servesLive = false;
    rig.work(1000, { frames: 10, crops: 10 });
    expect(rig.usedMs.crops).toBeGreaterThan(900);
    expect(rig.usedMs.frames).toBeGreaterThan(900);
  });

  it('is never taken from the detector: it may always run', () => {
    const rig = new Rig();
    rig.work(500, { frames: 10, crops: 40 });
    for (let i = 0; i < 10; i++) expect(rig.share.mayRun(rig.detector)).toBe(true);
  });
});
