import { describe, expect, it } from 'vitest';
import { rolloutPanels } from '../../../../../src/fleet/control/rollout/rollout-panels.ts';
import { rolloutRecord, sideObservation } from '../../../../support/rollout-doubles.ts';

describe('the panels of real roll-outs', () => {
  let nowMs = 1_700_000_000_000;
  const panels = rolloutPanels({ scoreThreshold: () => 0.3, judgesDeviceTime: () => true });

  /** Lets the control of a stream run for some seconds at 25 frames/s. */
  function observe(panel: ReturnType<typeof panels.open>, stream: string, seconds: number): void {
    for (let i = 0; i < seconds; i += 1) {
      nowMs += 1000;
      panel.observe(
        sideObservation({ stream, side: 'control', latenciesMs: Array.from({ length: 25 }, (_, j) => 20 + j) }),
      );
    }
  }

  it('complete the settings, and name the key of a wrong one', () => {
    expect(panels.check({ p99: { margin: 0.2 } })).toMatchObject({
      p99: { margin: 0.2, isOn: true },
      boxes: { margin: 0.1 },
    });
    expect(() => panels.check({ p98: {} })).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
    expect(() => panels.check({ p99: { margin: -1 } })).toThrow(/p99\.margin/);
  });

  it('refuse settings under which nothing compares the candidate, so that no step could end', () => {
    const names = ['agreement', 'p99', 'fps', 'drops', 'boxes', 'confidence', 'deviceTime'];
    const off = Object.fromEntries(names.map((guard) => [guard, { isOn: false }]));
    const refused = expect.objectContaining({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('at least one'),
    });
    expect(() => panels.check({ ...off, hard: { isOn: false } })).toThrow(refused);
    expect(() => panels.check(off), 'hard guards compare nothing').toThrow(refused);
    expect(() => panels.check({ ...off, blind: {} }), 'for another detector only').toThrow(refused);
    for (const guard of names) expect(panels.check({ ...off, [guard]: {} })).toHaveProperty(guard);
  });

  it('know which streams have no baseline: 500 frames are needed, and an absent camera is not waited for', () => {
    const panel = panels.open(rolloutRecord({ guards: panels.check({}) }), null, () => nowMs);
    expect(panel.withoutBaseline(['gate', 'yard'])).toEqual(['gate', 'yard']);
    observe(panel, 'gate', 20);
    expect(panel.withoutBaseline(['gate', 'yard'])).toEqual([]);
    observe(panel, 'yard', 1);
    expect(panel.withoutBaseline(['gate', 'yard'])).toEqual(['yard']);
    observe(panel, 'yard', 19);
    expect(panel.withoutBaseline(['gate', 'yard'])).toEqual([]);
  });

  it('continue from a snapshot after JSON, and never pass without data', () => {
    const record = rolloutRecord({ guards: panels.check({}) });
    const first = panels.open(record, null, () => nowMs);
    observe(first, 'gate', 30);
    const second = panels.open(record, JSON.parse(JSON.stringify(first.snapshot())), () => nowMs);
    expect(second.reports()).toEqual(first.reports());
    expect(first.withoutBaseline(['gate'])).toEqual([]);
    expect(second.withoutBaseline(['gate']), 'what the control did lately is collected anew').toEqual(['gate']);
    observe(second, 'gate', 30);
    expect(second.withoutBaseline(['gate'])).toEqual([]);
    const verdicts = first.reports().filter(({ kind }) => kind === 'statistical');
    expect(verdicts.length).toBeGreaterThan(3);
    expect(verdicts.every(({ verdict }) => verdict === 'no-data')).toBe(true);
  });
});
