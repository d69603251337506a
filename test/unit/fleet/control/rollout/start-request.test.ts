import { describe, expect, it } from 'vitest';
import { readStartRequest } from '../../../../../src/fleet/control/rollout/start-request.ts';
import { modelConfig } from '../../../../../src/settings/config/model-config.ts';
import { version } from '../../../../support/rollout-doubles.ts';

const RUNNING = { lanes: 1, defaults: {}, streams: [{ id: 'gate', every: 2 }] };
const live = {
  ...version('people@1'),
  model: modelConfig.parse({
    name: 'yolox-nano',
    engine: 'onnx',
    scoreThreshold: 0.5,
    inputSize: '320x192',
    threads: 2,
  }),
  streams: { all: { every: 3 }, byId: {} },
};

describe('a request to start a roll-out', () => {
  it('with another model keeps what the user set and does not depend on the model', () => {
    const { model } = readStartRequest({ model: 'picodet-s' }, live, RUNNING);
    expect(model).toMatchObject({ name: 'picodet-s', engine: 'onnx', scoreThreshold: 0.5, threads: 2 });
    expect(model.inputSize).toBeUndefined();
  });

  it('that says nothing about streams keeps what the version in use changes on them', () => {
    const settings = { model: { name: 'picodet-s' } };
    expect(readStartRequest({ settings }, live, RUNNING).streams).toEqual(live.streams);
    expect(readStartRequest({ settings: { ...settings, defaults: {} } }, live, RUNNING).streams).not.toEqual(
      live.streams,
    );
    expect(
      readStartRequest({ settings: { ...settings, streams: [{ id: 'gate', every: 4 }] } }, live, RUNNING).streams,
    ).toMatchObject({
      byId: { gate: { every: 4 } },
    });
  });
});
