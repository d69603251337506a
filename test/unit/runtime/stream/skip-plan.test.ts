import { describe, expect, it } from 'vitest';
import { skipConfig } from '../../../../src/config/skip.ts';
import type { FrameChange } from '../../../../src/core/frame.ts';
import type { InFlightFrame } from '../../../../src/runtime/stream/frame-ledger.ts';
import { SkipPlan } from '../../../../src/runtime/stream/skip-plan.ts';
import { slotMeta } from '../../../support/slot-meta.ts';

class Rig {
  looks = 0;
  readonly plan: SkipPlan;
  #frame = 0;

  constructor(config: object) {
    this.plan = SkipPlan.of(skipConfig.parse(config), () => {
      this.looks += 1;
    })!;
  }

  next(change: FrameChange = 'changed'): { frame: InFlightFrame; isInferred: boolean } {
    const number = this.#frame++;
    const meta = slotMeta({ frame: number, width: 4, height: 4, ptsUs: number * 40_000, change });
    const frame = { meta, status: 'waiting', by: 'inferred', repeats: null } as unknown as InFlightFrame;
    return { isInferred: this.plan.mustInfer(frame), frame };
  }

  run(changes: readonly FrameChange[]): string[] {
    return changes.map((change) => {
      const { frame, isInferred } = this.next(change);
      return isInferred ? 'infer' : frame.by;
    });
  }
}

describe('SkipPlan', () => {
  it('is absent if a stream skips nothing', () => {
    expect(SkipPlan.of(skipConfig.parse({}), () => undefined)).toBeNull();
  });

  it('repeats the newest inferred frame, and no older one', () => {
    const rig = new Rig({ unchanged: true });
    const first = rig.next('changed').frame;
    expect(rig.next('unchanged').frame).toMatchObject({ by: 'unchanged', repeats: first });
    const second = rig.next('changed').frame;
    expect(rig.next('unchanged').frame).toMatchObject({ by: 'unchanged', repeats: second });
  });

  it('infers an unchanged frame if the frame that it equals was dropped', () => {
    const rig = new Rig({ unchanged: true });
    const { frame } = rig.next('changed');
    frame.status = 'dropped';
    rig.plan.onDropped();
    expect(rig.looks, 'and the gate looks again').toBe(1);
    expect(rig.run(['unchanged', 'unchanged'])).toEqual(['infer', 'unchanged']);
  });

  it('gives up an unchanged frame that has neither a reference nor an input', () => {
    const rig = new Rig({ unchanged: true });
    rig.next('changed').frame.status = 'dropped';
    const { frame, isInferred } = rig.next('without-input');
    expect(isInferred).toBe(false);
    expect(frame.repeats, 'it repeats itself, that is nothing').toBe(frame);
    expect(rig.looks).toBe(1);
  });

  it('infers every n-th frame and leaves the others to the tracker', () => {
    expect(new Rig({ trackBetween: 3 }).run(Array(7).fill('changed'))).toEqual([
      'infer',
      'tracked',
      'tracked',
      'infer',
      'tracked',
      'tracked',
      'infer',
    ]);
  });

  it('does not repeat an inferred frame once a changed one came between them', () => {
    const rig = new Rig({ unchanged: true, trackBetween: 4 });
    // Frame 2 equals frame 1, which was predicted, and not frame 0.
    expect(rig.run(['changed', 'changed', 'unchanged', 'unchanged', 'unchanged', 'unchanged'])).toEqual([
      'infer',
      'tracked',
      'tracked',
      'tracked',
      'infer',
      'unchanged',
    ]);
    expect(rig.looks, 'the gate is asked for a new reference').toBeGreaterThan(0);
  });

  it('predicts a frame that is due but has no input, and infers the next one', () => {
    const rig = new Rig({ unchanged: true, trackBetween: 2 });
    rig.next('changed');
    rig.next('changed');
    expect(rig.run(['without-input', 'changed'])).toEqual(['tracked', 'infer']);
  });
});
