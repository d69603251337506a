import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import type { Detection } from '../../src/base/core/detection.ts';
import type { FakeFrame } from '../../src/frame/runtime/stream/stream-port.ts';
import {
  makeColourClip,
  StagedHost,
  writeBlackNetwork,
  writeClassifier,
  writeColourNetwork,
} from '../support/staged-host.ts';
import { waitFor } from '../support/wait-for.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-stages-'));
const clip = makeColourClip(join(folder, 'colours.mp4'));
const network = writeColourNetwork(folder);
const colours = { name: writeClassifier(folder, 'colour', ['red', 'green', 'blue'], network), engine: 'onnx' };
const misfit = { name: writeClassifier(folder, 'misfit', ['red', 'green'], network), engine: 'onnx' };
const broken = { name: writeClassifier(folder, 'broken', ['a', 'b', 'c'], writeBlackNetwork(folder)), engine: 'onnx' };
/** Says `yes` of everything, after some time. */
const yes = (callMs: number, more: object = {}): object => ({
  name: writeClassifier(folder, 'yes', ['yes', 'no']),
  engine: 'fake',
  fake: { callMs, rows: [0, 0, 0, 0, 0.9, 0] },
  ...more,
});

/** A car on each colour, which grow, 360 x 180. */
function cars({ frame }: FakeFrame): Detection[] {
  const height = 40 + Math.min(120, frame);
  return [0, 1, 2].map((i) => ({ classId: 2, label: 'car', score: 0.9, box: [10 + 120 * i, 10, 100, height] }));
}

const file = { id: 'f', source: clip, policy: 'file' };
const live = (id: string): object => ({ id, source: clip, loop: true, realtime: true, policy: 'live' });

let staged: StagedHost;
afterEach(() => staged.close());
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function open(given: object, detect = cars): Promise<StagedHost> {
  staged = await StagedHost.open(folder, given, detect);
  await staged.host.start();
  return staged;
}

describe('a file with second stages', () => {
  const stages = [{ name: 'colour', model: colours, per: 'bestOfTrack' }];

  it('has the colour of each object in every record from the first of its track on, with at most 9 looks at 3 tracks in 100 frames', async () => {
    await open({ stages, streams: [file] });
    await staged.settled('f');
    expect(staged.of('f')).toHaveLength(100);
    const tracks = [
      ...new Set(staged.of('f').flatMap(({ detections }) => detections.flatMap(({ trackId }) => trackId ?? []))),
    ];
    expect(tracks).toHaveLength(3);
    const said = tracks.map((track) => staged.said('f', track, 'colour'));
    expect(said.toSorted()).toEqual([['blue'], ['green'], ['red']]);
    const { looked, wanted, inFlight } = staged.report('colour');
    expect([looked, wanted, inFlight]).toEqual([looked, looked, 0]);
    expect(looked).toBeGreaterThanOrEqual(3);
    expect(looked).toBeLessThanOrEqual(9);
    expect(staged.gaps).toEqual([0, 0]);
  });

  it('gives the same records each time, also if the second stage is slow', async () => {
    const read = async (model: object, per: string): Promise<unknown[]> => {
      await open({
        stages: [{ name: 'yes', model, per, again: per === 'track' ? '400ms' : undefined }],
        streams: [file],
      });
      await staged.settled('f');
      return staged.of('f').map(({ frame, detections }) => ({ frame, detections }));
    };
    const fast = await read(yes(0), 'track');
    await staged.close();
    const slow = await read(yes(25), 'track');
    expect(fast).toHaveLength(100);
    expect(slow).toEqual(fast);
    expect(JSON.stringify(fast[30])).toContain('"yes"');
  });

  it.each([
    ['throws', broken],
    ['hangs', yes(10_000, { timeoutMs: 200 })],
  ])('loses no frame to one that %s, and counts each object that was not looked at', async (_, model) => {
    await open({
      stages: [
        { name: 'yes', model, per: 'frame' },
        { name: 'colour', model: colours },
      ],
      streams: [file],
    });
    await staged.settled('f');
    expect(staged.of('f')).toHaveLength(100);
    const { looked, wanted, skipped } = staged.report('yes');
    expect({ looked, skipped }).toEqual({ looked: 0, skipped: { 'engine-failed': wanted } });
    // The detector is certain of them, so they have their ids in the first frame.
    expect(wanted).toBe(3 * 100);
    expect(staged.gaps).toEqual([0, 0, 0]);
    const last = staged.of('f').at(-1)!.detections;
    expect(last.map(({ attributes }) => attributes?.colour?.label).toSorted()).toEqual(['blue', 'green', 'red']);
    expect(last.every(({ attributes }) => attributes?.yes === undefined)).toBe(true);
  });

  it('finds objects in crops, and looks at these', async () => {
    const detector = { engine: 'fake', inputSize: '64x64', fake: { rows: [16, 16, 32, 32, 0.8, 0] } };
    await open({
      stages: [
        { name: 'inner', model: detector, per: 'frame' },
        { name: 'colour', on: { from: 'inner', minPixels: 4, labels: ['person'] }, model: colours, per: 'frame' },
      ],
      streams: [file],
    });
    await staged.settled('f');
    const { detections } = staged.of('f').at(-1)!;
    expect(detections).toHaveLength(6);
    const inner = detections.filter(({ parent }) => parent !== undefined);
    expect(inner.map(({ label, attributes }) => [label, attributes!.colour!.label])).toEqual([
      ['person', 'red'],
      ['person', 'green'],
      ['person', 'blue'],
    ]);
    for (const { box, parent } of inner) {
      const [x, y, width, height] = detections.find(({ trackId }) => trackId === parent)!.box;
      // A quarter of the crop on each side, which has whole pixels.
      for (const [i, px] of [x + width / 4, y + height / 4, width / 2, height / 2].entries())
        expect(Math.abs(box[i]! - px)).toBeLessThan(1);
    }
    expect(staged.gaps).toEqual([0, 0, 0]);
  });
});

describe('cameras with second stages', () => {
  it('share one, and one that is removed with crops in flight leaves no slot held', async () => {
    await open({ stages: [{ name: 'yes', model: yes(150), per: 'frame' }], streams: [live('a'), live('b')] });
    await waitFor('attributes on both', () =>
      ['a', 'b'].every((id) =>
        staged.of(id).some(({ detections }) => detections.some(({ attributes }) => attributes?.yes)),
      ),
    );
    await waitFor('crops in flight', () => staged.report('yes').inFlight > 2);
    await staged.host.removeStream('a');
    const before = staged.of('b').length;
    await waitFor('more of the other', () => staged.of('b').length > before + 20);
    expect(staged.events.filter(({ details }) => details?.code === 'FRAME_LEAKED')).toEqual([]);
    const { skipped } = staged.report('yes');
    expect(skipped.stopped).toBeGreaterThan(0);
    expect(skipped['queue-full']).toBeGreaterThan(0);
    expect(staged.gaps).toEqual([0, 0]);
  });

  it('take other second stages while they run, without losing tracks', async () => {
    await open({
      stages: [{ name: 'yes', model: yes(1), per: 'track' }],
      streams: [live('a'), { ...live('b'), stages: [] }],
    });
    const last = (id: string): readonly Detection[] => staged.of(id).at(-1)?.detections ?? [];
    const names = (id: string): string[] => [
      ...new Set(last(id).flatMap(({ attributes = {} }) => Object.keys(attributes))),
    ];
    await waitFor('the first', () => names('a').includes('yes'));
    const opened = staged.host.runtime.childPids.toSorted();
    const track = last('a')[0]!.trackId;

    await staged.reload({ stages: [{ name: 'colour', model: colours, per: 'track' }] });
    await waitFor('the second instead', () => names('a').join() === 'colour');
    expect(staged.host.runtime.childPids.toSorted(), 'no source was opened again').toEqual(opened);
    expect(last('a')[0]!.trackId).toBe(track);
    expect(staged.host.runtime.models.filter((name) => name.startsWith('stage:'))).toHaveLength(1);

    expect(staged.events.at(-1)!.message).toMatch(/nothing changed; second stages: colour$/);
    const faulty = { stages: [{ name: 'colour', model: { name: 'no-such-model' } }], streams: [live('a')] };
    await expect(staged.reload(faulty)).rejects.toThrow('stages.colour.model: model no-such-model: no manifest');
    expect(staged.host.runtime.streams.map(({ id }) => id).toSorted(), 'the file is refused as a whole').toEqual([
      'a',
      'b',
    ]);
    expect(staged.reports.map(({ model }) => model)).toEqual(['colour']);

    await staged.reload({ stages: [] });
    await waitFor('none', () => last('a').length > 0 && names('a').length === 0);
    expect(staged.host.runtime.models).toEqual(['default']);
    expect(names('b')).toEqual([]);
    await expect(staged.host.changeStream('b', { stages: ['colour'] })).rejects.toThrow('received "colour"');
  });
});

it('refuses at its start what does not fit', async () => {
  await open({ streams: [] });
  const refused = (stages: object[]): Promise<unknown> => StagedHost.open(folder, { stages }, cars);
  await expect(refused([{ name: 'a', model: colours, on: { labels: ['carr'] } }])).rejects.toThrow(
    'stages[0].on.labels[0]: expected a class of the model, received "carr"; it has car',
  );
  await expect(refused([{ name: 'a', model: misfit }])).rejects.toThrow(
    'model misfit: output misfit: expected 2 scores, as the manifest has classes; received 3',
  );
  await expect(
    refused([
      { name: 'a', model: colours },
      { name: 'b', on: { from: 'a' }, model: colours },
    ]),
  ).rejects.toThrow('stages[1].on.from: expected detector, or a second stage whose model is a detector');
  await expect(StagedHost.open(folder, { model: colours }, cars)).rejects.toThrow(
    'model: expected a detector; colour reads crops',
  );
});
