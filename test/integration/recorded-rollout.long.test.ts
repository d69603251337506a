import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { Incidents } from '../../src/base/flow/incidents.ts';
import { startGateway } from '../../src/serve/gateway/server.ts';
import { HostRollouts } from '../../src/serve/host/host-rollouts.ts';
import { PipelineHost } from '../../src/serve/host/pipeline-host.ts';
import { checkPipeline } from '../../src/serve/pipeline/load-pipeline.ts';
import { modelConfig } from '../../src/settings/config/model-config.ts';
import { SightlineClient } from '../../src/wire/client/sightline-client.ts';
import { EndlessPackets, packetsOf } from '../support/made-packets.ts';
import { testFfmpeg } from '../support/made-videos.ts';
import { childrenWith } from '../support/processes.ts';
import { play, recorderRig, T0_MS } from '../support/recorder-rig.ts';
import { sharedDir } from '../support/shared.ts';
import { waitFor } from '../support/wait-for.ts';

const rig = recorderRig();
const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

const MODEL = { name: 'yolox-nano', engine: 'onnx', threads: 1 };
const SECONDS = 40;
/** People come and go on this clip, so that it has events without end. */
const RULES = {
  track: true,
  every: 5,
  events: ['1s', '2s', '3s'].map((time) => ({ id: `seen-${time}`, kind: 'appears', for: time, labels: ['person'] })),
};

/** A host whose stream `cam` was recorded; `bare` has no rules and `new` no recordings. */
async function open() {
  const clip = join(sharedDir!, 'videos/vtest_h264.mp4');
  const { recorder, folder } = rig.recorderOf({ record: 'continuous' });
  const camera = new EndlessPackets(await packetsOf(clip));
  recorder.onPackets(camera.open('start'));
  play(recorder, camera, SECONDS);
  await recorder.close();
  const source = 'synthetic:testsrc2=size=64x64:rate=2';
  const streams = [
    { id: 'cam', source, realtime: true, ...RULES },
    { id: 'bare', source, realtime: true },
    { id: 'new', source, realtime: true, ...RULES },
  ];
  const more = { recording: { folder }, rollout: { folder: `${folder}-rollouts` } };
  const config = checkPipeline({ name: 'street', description: 'x', model: MODEL, streams, ...more }, 'test');
  const environment = {
    ffmpegPath: testFfmpeg.path,
    searchPath: '',
    modelPath: [join(sharedDir!, 'models')],
    token: undefined,
    cacheDir: join(rig.root, 'cache'),
  };
  const [onNotice, incidents] = [(): void => undefined, new Incidents()];
  const admit = async (): Promise<void> => undefined;
  const host = await PipelineHost.open(config, { environment, stdout: process.stdout, onNotice, admit });
  closing.push(() => host.stop());
  const rollouts = (await HostRollouts.tryOpen(host, config, {
    environment,
    onNotice,
    incidents,
    fleet: null,
    streams: () => host.runtime.streams.map((stream) => stream.config),
  }))!;
  closing.push(() => rollouts.close());
  const gateway = await startGateway(host, { port: 0, rollouts: rollouts.own.agent });
  closing.push(() => gateway.close());
  await host.start();
  await rollouts.start();
  return { host, api: new SightlineClient({ url: gateway.url }).rollouts };
}

const request = (model: object, more: object = {}) => ({
  settings: { model: modelConfig.parse({ ...MODEL, ...model }) },
  steps: [100],
  holdMs: 0,
  shadow: true,
  recorded: { fromMs: T0_MS, toMs: T0_MS + SECONDS * 1000 },
  ...more,
});

describe.skipIf(sharedDir === null)('a roll-out over real recordings (needs the shared clips)', () => {
  it('refuses a candidate that finds nothing before it gets a frame', async () => {
    const { host, api } = await open();
    const shadowed: string[] = [];
    host.runtime.shadowed.add(({ frame }) => void shadowed.push(frame.streamId));
    const models = host.runtime.models;
    await api.start(request({ scoreThreshold: 0.99 }));
    await waitFor('the end', async () => (await api.newest())!.endedMs !== null, { deadlineMs: 240_000 });
    const refused = (await api.newest())!;
    expect(refused).toMatchObject({
      state: 'rolled-back',
      step: 0,
      reason: expect.stringMatching(/^recorded: Events/),
    });
    expect(refused.guards).toMatchObject([{ guard: 'recorded', verdict: 'fail', estimate: 1 }]);
    const { frames, streams } = refused.guards[0]!;
    expect(frames).toBeGreaterThan(SECONDS * 1.5);
    expect(streams!.map(({ stream, verdict }) => [stream, verdict])).toEqual([
      ['cam', 'fail'],
      ['bare', 'no-data'],
      ['new', 'no-data'],
    ]);
    expect(refused.reason).toMatch(/bare: it has no rules .*new: this host has no recordings of/);
    expect([host.runtime.models, shadowed], 'nothing of it was loaded here').toEqual([models, []]);
    expect((await api.history()).map(({ kind }) => kind)).toEqual(['rolled-back', 'started']);
  });

  it('lets the same network go on, which loses nothing', async () => {
    const { host, api } = await open();
    const shadowed: string[] = [];
    host.runtime.shadowed.add(({ frame }) => void shadowed.push(frame.streamId));
    await api.start(request({ threads: 2 }, { guards: { recorded: { maxLostShare: 0.6, maxGainedShare: 0.6 } } }));
    await waitFor(
      'a verdict',
      async () => (await api.newest())!.step > 0,
      { deadlineMs: 240_000 },
      async () => JSON.stringify(await api.newest()),
    );
    const advanced = (await api.history()).find(({ kind }) => kind === 'advanced')!;
    expect(advanced.reports).toMatchObject([{ guard: 'recorded', verdict: 'pass', estimate: 0, low: 0 }]);
    await waitFor('its frames', () => shadowed.length > 0, { deadlineMs: 60_000 });
  });

  it('that is aborted ends the process which tries the recordings', async () => {
    const { host, api } = await open();
    await api.start(request({ scoreThreshold: 0.99 }));
    const trials = () => childrenWith('recorded-trial.process').length;
    await waitFor('the process', () => trials() === 1, { deadlineMs: 60_000 });
    await api.abort();
    await waitFor('its end', () => trials() === 0, { deadlineMs: 30_000 });
    expect((await api.newest())!.state).toBe('aborted');
    expect(host.runtime.streams).toHaveLength(3);
  });
});
