import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { agreement } from '../../../../../src/fleet/control/rollout/guards/agreement-guard.ts';
import { boxes } from '../../../../../src/fleet/control/rollout/guards/boxes-guard.ts';
import { drops } from '../../../../../src/fleet/control/rollout/guards/drops-guard.ts';
import { fps } from '../../../../../src/fleet/control/rollout/guards/fps-guard.ts';
import type { Guard, StreamBlock } from '../../../../../src/fleet/control/rollout/guards/guard.ts';
import {
  CLASS_RULES,
  GUARD_NAMES,
  guardOf,
  guardsConfig,
  STREAM_RULES,
} from '../../../../../src/fleet/control/rollout/guards/guards.ts';
import { p99 } from '../../../../../src/fleet/control/rollout/guards/p99-guard.ts';
import { configTable, describeSchema } from '../../../../../src/serve/pipeline/describe.ts';
import { check } from '../../../../../src/settings/config/check.ts';

describe('settings of guards', () => {
  it('have the documented margins where nothing is set', () => {
    const guards = guardsConfig.parse({});
    expect([guards.agreement.margin, guards.p99.margin, guards.fps.margin, guards.drops.margin]).toEqual([
      0.03, 0.1, 0.02, 0.01,
    ]);
    expect([guards.boxes.margin, guards.confidence.margin, guards.deviceTime.margin]).toEqual([0.1, 0.05, 0.5]);
  });

  it('change what is named and nothing else', () => {
    const guards = guardsConfig.parse({ p99: { margin: 0.25 }, boxes: { isOn: false } });
    expect(guards.p99).toEqual({ isOn: true, margin: 0.25, partMargin: 1 });
    expect(guards.boxes).toEqual({ isOn: false, margin: 0.1, partMargin: 0.5 });
    expect(guards.fps).toEqual({ isOn: true, margin: 0.02, partMargin: 0.1 });
  });

  it.each([
    [{ p95: {} }, 'guards: p95: unknown key; did you mean "p99"?'],
    [{ p99: { margin: '10 %' } }, 'guards: p99.margin: expected a number from 0.0001 to 10, received "10 %" (string)'],
    [{ fps: { margin: 0 } }, 'guards: fps.margin: expected a number from 0.0001 to 1, received 0 (number)'],
    [{ hard: { restarts: 0 } }, 'guards: hard.restarts: expected a whole number from 1 to 100, received 0 (number)'],
  ])('%j is refused', (settings, message) => {
    expect(() => check(guardsConfig, settings, 'guards')).toThrow(message);
  });

  it('are documented key by key in docs/guards.md', () => {
    expect(readFileSync('docs/guards.md', 'utf8')).toContain(configTable(describeSchema(guardsConfig)));
  });
});

describe('a guard', () => {
  /** Four seconds of either side: 25 frames a second, none dropped, two of the control above its 99th percentile. */
  const side = { seconds: 4, frames: 100, dropped: 0, arrived: 100, slow: 0, tail: 2 };
  const block = (change: Partial<StreamBlock>): StreamBlock => ({
    candidate: side,
    control: side,
    controlSum: side,
    pace: null,
    isOwnRate: false,
    ...change,
  });
  const classes = { boxes: 0, missed: 0, candidateBoxes: 0, extra: 0 };

  it('gives no verdict without data', () => {
    const idle = { ...side, frames: 0, arrived: 0 };
    const rules = [fps.ofStreams.fps, p99.ofStreams.p99, p99.ofStreams.median];
    for (const { figure } of rules) expect(figure(block({ control: idle }), 1)).toBeNull();
    expect(drops.ofStreams.drops.figure(block({ candidate: idle }), 1)).toBeNull();
    expect(agreement.ofClasses.agreement.figure(classes, 1)).toBeNull();
    expect(boxes.ofClasses.boxesLost.figure(classes, 1)).toBeNull();
  });

  it('fps compares with the rate that the candidate must attain, less a frame and a half', () => {
    const half = { ...side, frames: 50 };
    const { figure } = fps.ofStreams.fps;
    expect(figure(block({ candidate: half }), 0.1)).toEqual({ figure: 1 - 51.5 / 100, limit: 0.1 });
    // At half the rate on purpose nothing is missing.
    expect(figure(block({ candidate: half, pace: { ratio: 0.5, mostFps: null } }), 0.1)?.figure).toBe(0);
    expect(figure(block({ candidate: half, pace: { ratio: 1, mostFps: 20 } }), 0.1)?.figure).toBe(1 - 51.5 / 80);
  });

  it('drops allows what the control drops, now or in the whole step', () => {
    const candidate = { ...side, frames: 70, dropped: 30 };
    const controlSum = { ...side, dropped: 10, frames: 90 };
    expect(drops.ofStreams.drops.figure(block({ candidate, controlSum }), 0.2)).toEqual({
      figure: 0.3,
      limit: expect.closeTo(0.3, 12),
    });
  });

  it('p99 judges the tail by twice the share of the control, and most frames by the usual time', () => {
    const candidate = { ...side, tail: 8, slow: 60 };
    const slowControl = { ...side, slow: 30 };
    expect(p99.ofStreams.p99.figure(block({ candidate }), 1)).toEqual({ figure: 0.08, limit: 0.04 });
    expect(p99.ofStreams.median.figure(block({ candidate }), 1)).toEqual({ figure: 1, limit: 0.25 });
    expect(p99.ofStreams.median.figure(block({ candidate, control: slowControl }), 1)?.figure).toBe(0);
    expect(p99.ofStreams.p99.says('8 %', '3 turns', 0.5)).toContain('more than 1.5 times as long');
  });

  it('agreement and boxes take shares of the boxes of a class', () => {
    expect(
      agreement.ofClasses.agreement.figure({ ...classes, boxes: 5, missed: 1, candidateBoxes: 3, extra: 1 }, 0.3),
    ).toEqual({
      figure: 0.25,
      limit: 0.3,
    });
    const { figure } = boxes.ofClasses.boxesLost;
    expect(figure({ ...classes, boxes: 4, missed: 3, candidateBoxes: 9, extra: 8 }, 0.5)).toEqual({
      figure: 0.75,
      limit: 0.5,
    });
    expect(figure({ ...classes, boxes: 4, candidateBoxes: 9, extra: 5 }, 0.5)?.figure, 'more boxes').toBe(0);
  });

  it('without parts is confidence, and deviceTime, which needs CPU times', () => {
    for (const { ofStreams, ofClasses } of [guardOf('confidence'), guardOf('deviceTime')])
      expect([ofStreams, ofClasses]).toEqual([undefined, undefined]);
    expect(guardOf('deviceTime').needs).toBe('cpu-time');
  });

  it.each(GUARD_NAMES)('%s compares something, and names its evidence as no other does', (name) => {
    const own = guardOf(name);
    expect(own.bySides ?? own.byPairs).toBeDefined();
    const kindsOf = ({ ofStreams, ofClasses }: Guard): string[] => Object.keys({ ...ofStreams, ...ofClasses });
    const others = GUARD_NAMES.filter((other) => other !== name).flatMap((other) => kindsOf(guardOf(other)));
    expect(kindsOf(own).filter((kind) => others.includes(kind))).toEqual([]);
    expect(own.standsInFor?.filter((other) => !(GUARD_NAMES as readonly string[]).includes(other)) ?? []).toEqual([]);
  });

  it.each([
    ['streams', STREAM_RULES, ['seconds', 'frames', 'dropped', 'arrived', 'failed', 'lost', 'boxes', 'othersSeconds']],
    ['classes', CLASS_RULES, ['boxes', 'missed', 'candidateBoxes', 'extra', 'sure']],
  ])('of %s declares sums under names that nothing else has', (_, rules, common) => {
    const names = [...common, ...rules.flatMap(({ sums }) => Object.keys(sums ?? {}))];
    expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
  });
});
