import { expect, it } from 'vitest';
import { ModelChoice } from '../../../../src/serve/host/model-choice.ts';
import { checkPipeline } from '../../../../src/serve/pipeline/load-pipeline.ts';
import type { StreamConfig } from '../../../../src/settings/config/stream.ts';

const AT = {
  night: { on: ['daily 22:00-06:00'], timeZone: 'UTC' },
  weekend: { on: ['sat,sun 00:00-24:00'], timeZone: 'UTC' },
};

function stream(settings: object): StreamConfig {
  const base = { id: 'yard', source: 'demo', events: [{ id: 'dark', kind: 'picture', signs: ['black'], for: '5s' }] };
  const models = { night: { name: 'centernet' }, far: { name: 'centernet' } };
  return checkPipeline({ name: 'p', description: 'd', models, streams: [{ ...base, ...settings }] }, 'p').streams[0]!;
}

function choiceOf(ordered: StreamConfig, follow: () => Promise<void>) {
  const state = { nowMs: Date.parse('2026-11-28T12:00:00Z'), open: new Set<string>(), uses: ordered.model };
  const warnings: string[] = [];
  const choice = new ModelChoice({
    runtime: {
      get streams() {
        return [{ config: { ...ordered, model: state.uses } }] as never;
      },
      emitEvent: (_kind, _id, message) => warnings.push(message),
    },
    streams: { orderedConfig: () => ordered, followModel: follow },
    isOpen: (_id, rule) => state.open.has(rule),
    wallMs: () => state.nowMs,
  });
  return { choice, state, warnings };
}

it('takes the first choice whose time and event both apply, else the own model of the stream', () => {
  const ordered = stream({
    model: 'far',
    modelWhen: [
      { model: 'night', times: AT.weekend, event: 'dark' },
      { model: 'night', times: AT.night },
    ],
  });
  const { choice, state } = choiceOf(ordered, () => Promise.resolve());
  expect(choice.modelOf(ordered), 'Saturday at noon').toBe('far');
  state.open.add('dark');
  expect(choice.modelOf(ordered), 'dark on a Saturday').toBe('night');
  state.nowMs = Date.parse('2026-11-30T12:00:00Z');
  expect(choice.modelOf(ordered), 'dark on a Monday').toBe('far');
  state.nowMs = Date.parse('2026-11-30T23:00:00Z');
  expect(choice.modelOf(ordered), 'at night').toBe('night');
});

it('leaves one that cannot be loaded alone for a minute, and says why each time', async () => {
  let isBroken = true;
  let calls = 0;
  const ordered = stream({ modelWhen: [{ model: 'night', times: AT.weekend }] });
  const follow = (): Promise<void> => {
    calls += 1;
    if (isBroken) return Promise.reject(new Error('no weights'));
    state.uses = 'night';
    return Promise.resolve();
  };
  const { choice, state, warnings } = choiceOf(ordered, follow);
  const tick = async (seconds: number): Promise<void> => {
    state.nowMs += seconds * 1000;
    choice.update();
    await new Promise(setImmediate);
  };
  await tick(0);
  await tick(1);
  await tick(58);
  expect([calls, warnings]).toEqual([1, ['modelWhen: no weights; tried again in a minute']]);
  isBroken = false;
  await tick(2);
  await tick(1);
  expect([calls, state.uses]).toEqual([2, 'night']);
});

it('keeps a detector for half a minute: the event that it was chosen for may end with it', async () => {
  const ordered = stream({ modelWhen: [{ model: 'far', event: 'dark' }] });
  let moves = 0;
  const { choice, state } = choiceOf(ordered, async () => {
    moves += 1;
    state.uses = choice.modelOf(ordered);
  });
  for (let second = 0; second < 60; second++) {
    state.nowMs += 1000;
    if (state.uses === 'far') state.open.clear();
    else state.open.add('dark');
    choice.update();
    await new Promise(setImmediate);
  }
  expect(moves).toBe(2);
});

it.each([
  [{ modelWhen: [{ model: 'night' }] }, /modelWhen\[0\]: expected times, event, or both/],
  [{ modelWhen: [{ model: 'night', event: 'rain' }] }, /modelWhen\[0\]\.event: expected a rule of the stream: dark/],
  [
    { modelWhen: [{ model: 'rain', times: AT.night }] },
    /modelWhen\[0\]\.model: expected a name of the section models: night, far; received "rain"/,
  ],
  [
    { modelWhen: [{ model: 'night', times: { on: ['at night'] } }] },
    /modelWhen\[0\]\.times\.on\[0\]: expected days and a span/,
  ],
])('refuses %o', (settings, message) => {
  expect(() => stream(settings)).toThrow(message);
});

it('names unknown detectors beside other mistakes', () => {
  const broken = { modelWhen: [{ model: 'rain', times: AT.night }], maxFps: -1 };
  expect(() => stream(broken)).toThrow(/maxFps: expected[\s\S]*received "rain"/);
});
