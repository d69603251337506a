import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { PublishedFrame } from '../../src/base/core/frame.ts';
import { firstVersion } from '../../src/fleet/control/rollout/versions.ts';
import { conservationGap } from '../../src/frame/telemetry/stream-telemetry.ts';
import { RuntimeTarget } from '../../src/serve/host/runtime-target.ts';
import { batchConfig } from '../../src/settings/config/batch.ts';
import { modelConfig } from '../../src/settings/config/model-config.ts';
import { testFfmpeg } from '../support/made-videos.ts';
import { RuledHost } from '../support/ruled-host.ts';
import { waitFor } from '../support/wait-for.ts';

/** The score of its only box tells which detector found it. */
const detector = (score: number, inputSize = '64x64'): object => ({
  engine: 'fake',
  threads: 1,
  inputSize,
  fake: { callMs: 1, rows: [10, 20, 30, 40, score, 0] },
});
const SCORES = { day: 0.5, night: 0.7, small: 0.9 } as const;
const camera = (rate: number): string => `synthetic:testsrc2=size=64x64:rate=${rate}`;

describe('streams that name their detectors', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sightline-models-'));
  let ruled: RuledHost;
  const seen: PublishedFrame[] = [];

  beforeAll(async () => {
    // Its weights are nowhere.
    const manifest = join(folder, 'broken.yaml');
    const text = readFileSync(new URL('../../models/centernet/centernet.yaml', import.meta.url), 'utf8');
    writeFileSync(manifest, text.replaceAll(/"npm:[^"]*"/g, '"file:none.bin"'));
    const faces = join(folder, 'faces.yaml');
    writeFileSync(faces, text.replace('name: centernet', 'name: faces').replace('classes: coco-80', 'classes: [face]'));
    const stream = { policy: 'live', realtime: true };
    ruled = await RuledHost.open({
      ffmpegPath: testFfmpeg.path,
      cacheDir: folder,
      model: detector(SCORES.day),
      models: {
        night: detector(SCORES.night),
        small: detector(SCORES.small, '320x192'),
        broken: { name: manifest, engine: 'onnx' },
        faces: { ...detector(SCORES.day), name: faces },
      },
      streams: [
        { ...stream, id: 'a', source: camera(50) },
        { ...stream, id: 'b', source: camera(50), model: 'night' },
        { ...stream, id: 'c', source: camera(50), model: 'small' },
      ],
    });
    ruled.host.onPublished((frame) => seen.push(frame));
    await ruled.host.start();
    await flows('a', 'b', 'c');
  });
  afterAll(async () => {
    await ruled.close();
    rmSync(folder, { recursive: true });
  });

  const of = (id: string): PublishedFrame[] => seen.filter(({ streamId }) => streamId === id);
  const flows = async (...ids: string[]): Promise<void> => {
    const from = new Map(ids.map((id) => [id, of(id).length]));
    await waitFor('more frames', () => ids.every((id) => of(id).length >= from.get(id)! + 15));
  };
  const scoresOf = (frames: readonly PublishedFrame[]): Set<number> =>
    new Set(frames.flatMap(({ detections }) => detections.map(({ score }) => Math.round(score * 10) / 10)));

  it('have the boxes of their own, and each result names it', () => {
    for (const [id, model, score] of [
      ['a', undefined, SCORES.day],
      ['b', 'night', SCORES.night],
      ['c', 'small', SCORES.small],
    ] as const) {
      expect(scoresOf(of(id)), id).toEqual(new Set([score]));
      expect(new Set(of(id).map((frame) => frame.model)), id).toEqual(new Set([model]));
      expect(ruled.host.runtime.streamReport(ruled.host.runtime.stream(id)).model).toBe(model);
    }
    expect(ruled.host.runtime.models.toSorted()).toEqual(['default', 'night', 'small']);
  });

  it('change it while they run, between two frames where the input is the same; no frame is lost or named wrongly', async () => {
    const opened = ruled.host.runtime.childPids.toSorted();
    for (let i = 0; i < 6; i++) {
      await ruled.host.changeStream('a', { model: i % 2 === 0 ? 'night' : null });
      await flows('a', 'b');
    }
    expect(ruled.host.runtime.childPids.toSorted(), 'no source was opened again').toEqual(opened);
    const frames = of('a');
    expect(scoresOf(frames)).toEqual(new Set([SCORES.day, SCORES.night]));
    for (const { model, detections } of frames)
      expect(Math.round(detections[0]!.score * 10) / 10).toBe(model === 'night' ? SCORES.night : SCORES.day);
    const numbers = frames.map(({ frame }) => frame);
    expect(numbers).toEqual([...new Set(numbers)].toSorted((x, y) => x - y));
    expect(new Set(frames.map(({ run }) => run)).size).toBe(1);
    expect(scoresOf(of('b'))).toEqual(new Set([SCORES.night]));

    await ruled.host.changeStream('a', { model: 'small', maxFps: 20 });
    await flows('a');
    expect(scoresOf(of('a').slice(-5))).toEqual(new Set([SCORES.small]));
    expect(ruled.host.runtime.stream('a').config).toMatchObject({ model: 'small', maxFps: 20 });
    await ruled.host.changeStream('a', { model: null, maxFps: null });
    await flows('a');
    for (const id of ['a', 'b', 'c']) {
      const report = ruled.host.runtime.streamReport(ruled.host.runtime.stream(id));
      expect(conservationGap(report.frames)).toBe(0);
      expect(report.frames.dropped['engine-failed'] ?? 0).toBe(0);
    }
  });

  it('are added with one; what is not there, or cannot be loaded, is refused and changes nothing', async () => {
    await ruled.host.addStream({ id: 'd', source: camera(50), policy: 'live', realtime: true, model: 'night' });
    await flows('d');
    expect(scoresOf(of('d'))).toEqual(new Set([SCORES.night]));
    const before = ruled.host.runtime.models;
    await expect(ruled.host.changeStream('a', { model: 'fog' })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(
        /stream "a".*night, small, broken, faces; received "fog"|night, small, broken, faces; received "fog"/,
      ),
    });
    for (let i = 0; i < 2; i++)
      await expect(ruled.host.changeStream('a', { model: 'broken' })).rejects.toMatchObject({
        code: 'MODEL_WEIGHTS_MISSING',
      });
    expect(ruled.host.runtime.models).toEqual(before);
    expect(ruled.host.runtime.stream('a').config.model).toBeUndefined();
    await flows('a');
    expect(scoresOf(of('a').slice(-5))).toEqual(new Set([SCORES.day]));
    await ruled.host.removeStream('d');
  });

  it('may have classes of its own, by which labels and settings go; none of other classes follows it', async () => {
    const stream = { id: 'gate', source: camera(50), policy: 'live', realtime: true, model: 'faces' };
    await expect(ruled.host.addStream({ ...stream, labels: ['car'] })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    });
    await ruled.host.addStream({ ...stream, labels: ['face'] });
    await flows('a', 'gate');
    const labels = (id: string) => new Set(of(id).flatMap(({ detections }) => detections.map(({ label }) => label)));
    expect([...labels('a'), ...labels('gate')]).toEqual(['person', 'face']);
    for (const [id, model] of [
      ['a', 'faces'],
      ['gate', 'night'],
      ['gate', null],
    ] as const)
      await expect(ruled.host.changeStream(id, { model }), id).rejects.toMatchObject({
        code: 'CONFIG_INVALID',
        message: expect.stringMatching(/cannot follow .*: expected the same \d+ classes in the same order/),
      });
    await flows('a', 'gate');
    expect([...labels('a'), ...labels('gate')]).toEqual(['person', 'face']);
    await ruled.host.removeStream('gate');
  });

  it('use another one at its times and while an event lasts, and go back; other changes leave it', async () => {
    const isShown = (score: number) => async (): Promise<boolean> => {
      await flows('a');
      return scoresOf(of('a').slice(-5)).has(score) && scoresOf(of('a').slice(-5)).size === 1;
    };
    const always = { on: ['daily 00:00-24:00'] };
    const never = { on: [`${new Date().getUTCDay() % 2 === 0 ? 'mon' : 'sat'} 03:00-03:01`], timeZone: 'UTC' };
    const opened = ruled.host.runtime.childPids.toSorted();
    await ruled.host.changeStream('a', { modelWhen: [{ model: 'night', times: always }] });
    await waitFor('its time', isShown(SCORES.night));
    expect(ruled.host.runtime.streamReport(ruled.host.runtime.stream('a')).model).toBe('night');
    await ruled.host.changeStream('a', { priority: 1 });
    await flows('a');
    expect(scoresOf(of('a').slice(-5)), 'after another change').toEqual(new Set([SCORES.night]));
    await ruled.host.changeStream('a', { priority: 0, modelWhen: [{ model: 'night', times: never }] });
    await waitFor('the end of its time', isShown(SCORES.day));

    const rule = { id: 'any', kind: 'count', above: 0 };
    const choices = [
      { model: 'night', event: 'any', times: never },
      { model: 'night', event: 'any' },
    ];
    await ruled.host.changeStream('a', { events: [rule], modelWhen: choices });
    await waitFor('its event', isShown(SCORES.night));
    await ruled.host.changeStream('a', { events: [{ ...rule, above: 9 }] });
    await waitFor('the end of its event', isShown(SCORES.day));
    expect(ruled.host.runtime.childPids.toSorted(), 'no source was opened again').toEqual(opened);

    await expect(
      ruled.host.changeStream('a', { modelWhen: [{ model: 'night', event: 'gone' }] }),
    ).rejects.toMatchObject({
      message: expect.stringMatching(/modelWhen\[0\]\.event: expected a rule of the stream: any/),
    });
    await expect(ruled.host.changeStream('a', { modelWhen: [{ model: 'fog', times: always }] })).rejects.toMatchObject({
      message: expect.stringContaining('received "fog"'),
    });
    const notices: string[] = [];
    ruled.host.runtime.events.add(({ kind, message }) => kind === 'stream-warning' && notices.push(message));
    await ruled.host.changeStream('a', { events: [], modelWhen: [{ model: 'broken', times: never }] });
    await ruled.host.changeStream('a', {
      modelWhen: [
        { model: 'small', times: never },
        { model: 'night', times: never },
      ],
    });
    await waitFor('its own', isShown(SCORES.day));
    await ruled.host.changeStream('a', { modelWhen: [] });
    for (const id of ['a', 'b', 'c']) {
      const report = ruled.host.runtime.streamReport(ruled.host.runtime.stream(id));
      expect(conservationGap(report.frames)).toBe(0);
    }
    expect(notices).toEqual([]);
  });

  it("take no part in a roll-out, which replaces the pipeline's own", async () => {
    const { runtime, streams } = ruled.host;
    const parts = { model: modelConfig.parse(detector(SCORES.day)), batch: batchConfig.parse({}), weights: [] };
    const initial = firstVersion('people', parts, 0);
    const environment = { ffmpegPath: undefined, searchPath: '', modelPath: [], cacheDir: folder, token: undefined };
    const modelRoots = { roots: [], files: [] };
    const target = new RuntimeTarget({
      runtime,
      streams,
      initial,
      environment,
      modelRoots,
      recordings: '',
      onNotice: () => undefined,
    });
    onTestFinished(() => target.close());
    const observed = new Set<string>();
    target.onObservation((observation) => 'side' in observation && observed.add(observation.stream));
    target.compare({ control: initial.hash, candidate: 'another' });
    expect(target.streams()).toEqual(['a']);
    await waitFor('an observation', () => observed.size > 0);
    await flows('a', 'b', 'c');
    expect([...observed]).toEqual(['a']);
  });
});

describe('detectors of one pipeline, together asked for more than the machine does', () => {
  it('share it by the streams that use them: none starves, and one that hangs holds up no other', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sightline-shares-'));
    const slow = { ...detector(0.5), fake: { callMs: 20, rows: [] }, threads: 2 };
    const ruled = await RuledHost.open({
      ffmpegPath: testFfmpeg.path,
      cacheDir: folder,
      model: slow,
      models: { night: slow, hung: { ...slow, fake: { callMs: 10_000, rows: [] } } },
      batch: { maxBatch: 1 },
      streams: [
        ...['a', 'b', 'c'].map((id) => ({ id, source: camera(100), policy: 'live', realtime: true })),
        { id: 'n', source: camera(100), policy: 'live', realtime: true, model: 'night' },
      ],
    });
    onTestFinished(async () => {
      await ruled.close();
      rmSync(folder, { recursive: true });
    });
    await ruled.host.start();
    const ids = ['a', 'b', 'c', 'n'];
    const shares = async (frames: number): Promise<number[]> => {
      const from = ids.map((id) => ruled.framesOf(id));
      await waitFor('frames', () => ids.reduce((sum, id, i) => sum + ruled.framesOf(id) - from[i]!, 0) >= frames);
      return ids.map((id, i) => ruled.framesOf(id) - from[i]!);
    };
    await waitFor('all of them', () => ids.every((id) => ruled.framesOf(id) > 5));
    const counts = await shares(300);
    const [sum, squares] = [counts.reduce((a, b) => a + b), counts.reduce((a, b) => a + b * b, 0)];
    expect(sum ** 2 / (counts.length * squares), `${counts}`).toBeGreaterThan(0.98);

    await ruled.host.addStream({ id: 'h', source: camera(100), policy: 'live', realtime: true, model: 'hung' });
    const beside = await shares(150);
    expect(Math.min(...beside), `${beside}`).toBeGreaterThan(15);
  });
});
