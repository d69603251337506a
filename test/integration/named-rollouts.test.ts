import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, it } from 'vitest';
import { Incidents } from '../../src/base/flow/incidents.ts';
import { startGateway } from '../../src/serve/gateway/server.ts';
import { HostRollouts } from '../../src/serve/host/host-rollouts.ts';
import { PipelineHost } from '../../src/serve/host/pipeline-host.ts';
import { checkPipeline } from '../../src/serve/pipeline/load-pipeline.ts';
import { modelConfig } from '../../src/settings/config/model-config.ts';
import { SightlineClient } from '../../src/wire/client/sightline-client.ts';
import { testFfmpeg } from '../support/made-videos.ts';
import { waitFor } from '../support/wait-for.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-named-rollouts-'));
const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});
afterAll(() => rmSync(folder, { recursive: true }));

/** The score of its only box tells which version found it. */
const detector = (score: number): object => ({
  engine: 'fake',
  threads: 1,
  inputSize: '64x64',
  fake: { callMs: 1, rows: [10, 20, 30, 40, score, 0] },
});
const camera = (id: string, more: object = {}): object => ({
  id,
  source: 'synthetic:testsrc2=size=64x64:rate=30',
  policy: 'live',
  realtime: true,
  ...more,
});

/** A host with a detector of its own and one for the night, whose stream `never` nobody uses yet. */
async function open() {
  const rollout = { folder: join(folder, 'state'), warmMs: 0 };
  const model = detector(0.3);
  const models = { night: detector(0.5), unused: detector(0.4) };
  const streams = [camera('a'), camera('b', { model: 'night' })];
  const config = checkPipeline({ name: 'street', description: 'x', model, models, rollout, streams }, 'test');
  const environment = {
    ffmpegPath: testFfmpeg.path,
    searchPath: '',
    modelPath: [],
    token: undefined,
    cacheDir: join(folder, 'cache'),
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
  const gateway = await startGateway(host, { port: 0, rollouts: rollouts.own.agent, namedRollouts: rollouts.named });
  closing.push(() => gateway.close());
  const newest = new Map<string, { readonly score: number; readonly model: string | undefined }>();
  host.onPublished(({ streamId, detections, model: by }) =>
    newest.set(streamId, { score: Math.round(10 * detections[0]!.score) / 10, model: by }),
  );
  await host.start();
  await rollouts.start();
  const shows = (id: string, score: number): Promise<number> =>
    waitFor(`${score} of ${id}`, () => newest.get(id)?.score === score);
  return { host, api: new SightlineClient({ url: gateway.url }), newest, shows };
}

const NIGHT = { detector: 'night' } as const;
const version = (score: number) => ({ settings: { model: modelConfig.parse(detector(score)) }, steps: [100] });

it('a roll-out names the detector that it replaces: its streams follow, others do not, also after a restart', async () => {
  const first = await open();
  await first.shows('b', 0.5);
  const started = await first.api.rollouts.start(version(0.7), NIGHT);
  expect(started).toMatchObject({ pipeline: 'street:night', detector: 'night', from: 'street:night@1', streams: 1 });
  expect(await first.api.rollouts.newest()).toBeNull();
  // It is refused until the host has said that it has loaded the candidate.
  await waitFor('the promotion', async () => {
    const { id: rollout, step } = (await first.api.rollouts.newest(NIGHT))!;
    const promoted = first.api.rollouts.promote({ rollout, step, full: true }, NIGHT);
    return promoted.then(
      () => true,
      () => false,
    );
  });
  await first.shows('b', 0.7);
  expect(first.newest.get('b')).toEqual({ score: 0.7, model: 'night' });
  expect(first.newest.get('a')).toEqual({ score: 0.3, model: undefined });
  // A stream that comes later, and one that changes to it.
  await first.api.streams.add({
    id: 'c',
    source: 'synthetic:testsrc2=size=64x64:rate=30',
    realtime: true,
    model: 'night',
  });
  await first.shows('c', 0.7);
  await first.api.streams.update('a', { model: 'night' });
  await first.shows('a', 0.7);
  await first.api.streams.update('a', { model: null });
  await first.shows('a', 0.3);
  // What nobody uses any more is unloaded: one for each of the pipeline's own and the night.
  await waitFor('two models', () => first.host.runtime.models.length === 2);
  expect((await first.api.versions.list(NIGHT)).map(({ label, role }) => [label, role])).toEqual([
    ['street:night@1', 'idle'],
    ['street:night@2', 'live'],
  ]);
  expect((await first.api.versions.list()).map(({ label, role }) => [label, role])).toEqual([['street@1', 'live']]);
  for (const close of closing.splice(0).toReversed()) await close();

  const second = await open();
  await second.shows('b', 0.7);
  await second.api.rollouts.undo({ ...NIGHT, by: 'me' });
  await second.shows('b', 0.5);
  await second.shows('a', 0.3);
  const decisions = await second.api.rollouts.history(NIGHT);
  expect(decisions.map(({ kind }) => kind)).toEqual(['undone', 'promoted', 'started']);
  expect(await second.api.rollouts.history()).toEqual([]);
});

it('a detector that is not there, or that no stream uses, is refused with those that there are', async () => {
  const { api } = await open();
  await expect(api.rollouts.start(version(0.7), { detector: 'nigt' })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: 'detector: expected one of default, night, unused; received "nigt"',
  });
  await expect(api.rollouts.start(version(0.7), { detector: 'unused' })).rejects.toMatchObject({
    code: 'ROLLOUT_STATE',
  });
});
