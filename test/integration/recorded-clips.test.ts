import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Archive } from '../../src/after/recording/archive.ts';
import { boxesOf } from '../../src/after/recording/clip-boxes.ts';
import { faultsOf, readIndex, summaryOf } from '../../src/after/recording/fragment-file.ts';
import { parseFragment } from '../../src/frame/decode/fragment-reader.ts';
import { EndlessPackets, packetsOf } from '../support/made-packets.ts';
import { decoded, EVENT, event, play, RULES, recorderRig, T0_MS } from '../support/recorder-rig.ts';
import { publishedFrame } from '../support/runtime-double.ts';
import { waitFor } from '../support/wait-for.ts';

const rig = recorderRig();
const { videos } = rig;
const recorderOf = rig.recorderOf.bind(rig);

describe('the clip of an event', () => {
  it('is never shorter than asked, begins at a key frame, and has all frames in between', async () => {
    const { recorder, said } = recorderOf({ events: RULES });
    const camera = rig.camera();
    recorder.onPackets(camera.open('start'));
    const raisedUs = play(recorder, camera, 20).endUs - 700_000;
    recorder.onEvent(event('new', raisedUs));
    const endedUs = play(recorder, camera, 4).endUs;
    recorder.onEvent(event('end', endedUs, { ended: { ptsUs: endedUs } }));
    play(recorder, camera, 6);
    await recorder.onStopped('cam', false);
    const clip = (await recorder.archive()).clipOf(EVENT)!;
    const summary = summaryOf(await readIndex(clip.path));
    expect(summary.startUs).toBeLessThanOrEqual(raisedUs - 5e6);
    expect(summary.startUs).toBeGreaterThan(raisedUs - 6.5e6);
    expect(summary.endUs).toBeGreaterThanOrEqual(endedUs + 3e6);
    expect(summary).toMatchObject({ codec: 'avc1', lateUs: 0, gaps: [] });
    expect(summary.frames).toBe(Math.round((summary.endUs - summary.startUs) / 40_000));
    expect(decoded(clip.path)).toBe(summary.frames);
    expect(await faultsOf(clip.path)).toEqual([]);
    await waitFor('its picture', () => existsSync(join(clip.path, '..', `${EVENT}.jpg`)));
    expect(said).toEqual([]);
  });

  it('has each picture up to its end, whichever is the last one that is asked for', async () => {
    const shape = { frames: 250, width: 160, height: 96, bFrames: 2, keyEvery: 50 };
    const { recorder } = recorderOf({ events: RULES });
    const camera = new EndlessPackets(await packetsOf(await videos.make('long.mp4', shape)));
    recorder.onPackets(camera.open('start'));
    const { endUs } = play(recorder, camera, 8);
    const untilOf = (i: number): number => endUs + i * 40_000;
    const idOf = (i: number): string => `${i + 10}`.repeat(12);
    for (let i = 0; i < 25; i += 5) {
      const { phase: _, ...ended } = event('end', untilOf(i), { ended: { ptsUs: untilOf(i) } });
      recorder.onEvent({ ...event('new', endUs), id: idOf(i) });
      recorder.onEvent({ ...ended, phase: 'end', id: idOf(i) });
    }
    play(recorder, camera, 10);
    await recorder.onStopped('cam', false);
    for (let i = 0; i < 25; i += 5) {
      const { path } = (await recorder.archive()).clipOf(idOf(i))!;
      const { head, fragments } = await readIndex(path);
      const bytes = readFileSync(path);
      const times = fragments
        .flatMap(({ at, bytes: length }) => parseFragment(bytes.subarray(at, at + length)).ptsTicks)
        .map((ticks) => Math.round((ticks / head.timescale) * 1e6) + head.originUs)
        .toSorted((a, b) => a - b)
        .filter((ptsUs) => ptsUs <= untilOf(i) + 3e6);
      expect(times.at(-1)! + 40_000, `${i}`).toBeGreaterThan(untilOf(i) + 3e6);
      expect(new Set(times.slice(1).map((ptsUs, k) => Math.round((ptsUs - times[k]!) / 1000)))).toEqual(new Set([40]));
    }
  });

  it('says that it begins later, or ends earlier, than asked', async () => {
    const { recorder, said } = recorderOf({ events: RULES });
    const camera = rig.camera();
    recorder.onPackets(camera.open('start'));
    const { endUs } = play(recorder, camera, 2);
    recorder.onEvent(event('new', endUs));
    recorder.onEvent(event('end', endUs, { ended: { ptsUs: endUs } }));
    await recorder.onStopped('cam', false);
    await recorder.close();
    expect(said[0]).toMatch(/its clip begins \d\.\d s later than asked/);
    expect(said[1]).toMatch(/its clip ends 3\.\d s earlier than asked: no more packets came/);
  });

  it('of a stream that ends while its event lasts, or that changes its format, says by how much and why', async () => {
    const { recorder, said } = recorderOf({ events: RULES });
    const camera = rig.camera();
    recorder.onPackets(camera.open('start'));
    recorder.onEvent(event('new', play(recorder, camera, 8).endUs));
    play(recorder, camera, 2);
    await recorder.onStopped('cam', false);
    await recorder.close();
    expect(said).toEqual([expect.stringMatching(/its clip ends 3\.0 s earlier than asked: no more packets came/)]);
    const other = recorderOf({ events: RULES });
    other.recorder.onPackets(camera.open('start'));
    other.recorder.onEvent(event('new', play(other.recorder, camera, 8).endUs));
    play(other.recorder, camera, 2);
    const smaller = await packetsOf(await videos.make('small.mp4', { frames: 250, width: 96, height: 64 }));
    const another = new EndlessPackets(smaller);
    other.recorder.onPackets({ ...another.open('reconnect'), connection: 'other', shiftUs: 60e6 });
    for (let i = 0; i < 8; i++) {
      const { startUs, endUs, firstUs, ...fragment } = another.next(T0_MS);
      const moved = { startUs: startUs + 60e6, endUs: endUs + 60e6, firstUs: firstUs + 60e6 };
      other.recorder.onPackets({ ...fragment, ...moved, connection: 'other' });
    }
    const endedUs = 66e6;
    other.recorder.onEvent(event('end', endedUs, { ended: { ptsUs: endedUs } }));
    await other.recorder.onStopped('cam', false);
    await other.recorder.close();
    expect(other.said).toEqual([
      expect.stringMatching(/its clip ends \d+\.\d s earlier than asked: the format of the video changed/),
    ]);
  });

  it('goes on over another connection, with the gap in its index', async () => {
    const { recorder } = recorderOf({ events: RULES });
    const camera = rig.camera();
    recorder.onPackets(camera.open('start'));
    recorder.onEvent(event('new', play(recorder, camera, 8).endUs));
    recorder.onPackets(camera.open('reconnect', 2_500_000));
    // The new connection begins with the video.
    while (!camera.next(T0_MS).isKey);
    const { endUs } = play(recorder, camera, 5);
    recorder.onEvent(event('end', endUs, { ended: { ptsUs: endUs } }));
    play(recorder, camera, 5);
    await recorder.onStopped('cam', false);
    const {
      gaps,
      startUs,
      frames,
      endUs: untilUs,
    } = summaryOf(await readIndex((await recorder.archive()).clipOf(EVENT)!.path));
    expect(gaps).toMatchObject([{ reason: 'reconnect' }]);
    const missingUs = gaps[0]!.toUs - gaps[0]!.fromUs;
    expect(missingUs).toBeGreaterThanOrEqual(2_500_000);
    expect(frames).toBe(Math.round((untilUs - startUs - missingUs) / 40_000));
  });

  it('waits for the results of its last frames, so that its boxes reach to its end, but not for long', async () => {
    const found = [{ classId: 0, label: 'person', score: 0.9, box: [1, 2, 3, 4] as const }];
    for (const comes of ['results', 'nothing']) {
      const { recorder, clock } = recorderOf({ events: RULES });
      const camera = rig.camera();
      recorder.onPackets(camera.open('start'));
      const raisedUs = play(recorder, camera, 8).endUs;
      let frame = 0;
      const give = (untilUs: number): void => {
        for (; frame * 40_000 <= untilUs; frame++) recorder.onFrame(publishedFrame('cam', frame, found));
      };
      give(raisedUs);
      recorder.onEvent(event('new', raisedUs));
      recorder.onEvent(event('end', raisedUs, { ended: { ptsUs: raisedUs } }));
      const { endUs } = play(recorder, camera, 6);
      await waitFor('the file', async () => (await recorder.archive()).clipOf(EVENT)?.isOpen === false);
      const { path } = (await recorder.archive()).clipOf(EVENT)!;
      expect(await boxesOf(path)).toBeNull();
      if (comes === 'results') give(endUs + 1_000_000);
      else clock.advance(5_000);
      await waitFor('its boxes', async () => (await boxesOf(path)) !== null);
      const summary = summaryOf(await readIndex(path));
      const boxes = (await boxesOf(path))!.frames.map(({ ptsUs }) => ptsUs);
      if (comes === 'results') expect(boxes).toHaveLength(summary.frames);
      expect(boxes.at(-1)).toBe(comes === 'results' ? summary.endUs - 40_000 : raisedUs);
    }
  });

  it('has the boxes of its first frames, also where the packets come after the event', async () => {
    const rule = { ...RULES[0], clip: { before: '0s', after: '3s' } };
    const { recorder } = recorderOf({ events: [rule] });
    const camera = rig.camera();
    const found = [{ classId: 0, label: 'person', score: 0.9, box: [1, 2, 3, 4] as const }];
    for (let frame = 0; frame <= 5; frame++) recorder.onFrame(publishedFrame('cam', frame, found));
    recorder.onEvent(event('new', 200_000));
    recorder.onEvent(event('end', 200_000, { ended: { ptsUs: 200_000 } }));
    recorder.onPackets(camera.open('start'));
    play(recorder, camera, 6);
    await recorder.onStopped('cam', false);
    const { path } = (await recorder.archive()).clipOf(EVENT)!;
    expect(summaryOf(await readIndex(path)).startUs).toBe(0);
    expect((await boxesOf(path))?.frames.map(({ ptsUs }) => ptsUs)).toEqual([0, 1, 2, 3, 4, 5].map((i) => i * 40_000));
  });

  it('ends after ten minutes, also if its event lasts longer', async () => {
    const { recorder } = recorderOf({ events: RULES });
    const camera = rig.camera();
    recorder.onPackets(camera.open('start'));
    recorder.onEvent(event('new', play(recorder, camera, 8).endUs));
    for (let minute = 0; minute < 11; minute++) play(recorder, camera, 60);
    await waitFor('the clip', async () => (await recorder.archive()).clipOf(EVENT)?.isOpen === false);
    const { startUs, endUs } = summaryOf(await readIndex((await recorder.archive()).clipOf(EVENT)!.path));
    expect((endUs - startUs) / 60e6).toBeCloseTo(10, 1);
  });
});

/** Size of all files of a folder but locks. */
function sizeOf(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.lock'))
    .reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0);
}

describe('what clips take of the disk', () => {
  /** Of an event that is over: its clip, with a picture and boxes. */
  async function withClip(more: object) {
    const opened = recorderOf({ record: 'continuous', events: RULES }, more);
    const { recorder } = opened;
    const camera = rig.camera();
    recorder.onPackets(camera.open('start'));
    const raisedUs = play(recorder, camera, 8).endUs;
    for (let frame = 0; frame < 500; frame++)
      recorder.onFrame(publishedFrame('cam', frame, [{ classId: 0, label: 'person', score: 0.9, box: [1, 2, 3, 4] }]));
    const best = { frame: 0, ptsUs: raisedUs, box: [10, 10, 40, 40] as const, width: 160, height: 96, score: 0.9 };
    recorder.onEvent(event('new', raisedUs, { best }));
    recorder.onEvent(event('end', raisedUs, { best, ended: { ptsUs: raisedUs } }));
    play(recorder, camera, 6);
    await recorder.onStopped('cam', true);
    return opened;
  }

  it('counts their pictures and boxes, while a host runs and when it starts', async () => {
    const { recorder, folder } = await withClip({});
    await recorder.close();
    expect(readdirSync(join(folder, 'cam', 'clips'))).toHaveLength(4);
    expect(recorder.figures.bytes).toBe(sizeOf(folder));
    expect((await Archive.read(folder)).bytes).toBe(sizeOf(folder));
  });

  it('is freed with them, so that no more is deleted than needed, and no less', async () => {
    const { recorder, folder } = await withClip({});
    await recorder.close();
    const recordingBytes = (await Archive.read(folder)).files.find(({ kind }) => kind !== 'clip')!.bytes;
    const all = sizeOf(folder);
    for (const [maxBytes, left] of [
      [all, ['clip', 'continuous']],
      [all - 1, ['clip']],
      [all - recordingBytes - 1, []],
    ] as const) {
      const retention = { days: 1e4, eventDays: 1e4, clipDays: 1e4, labelDays: {}, maxBytes };
      const next = recorderOf({}, { folder, retention });
      await next.recorder.sweep();
      await next.recorder.close();
      expect((await Archive.read(folder)).files.map(({ kind }) => kind).toSorted()).toEqual(left);
      expect(sizeOf(folder)).toBeLessThanOrEqual(maxBytes);
    }
    expect(sizeOf(folder)).toBe(0);
  });

  it('is nothing once a clip is gone, also if its picture was being made then', async () => {
    const { recorder, folder } = await withClip({});
    const archive = await recorder.archive();
    const clip = archive.clipOf(EVENT)!;
    await archive.remove(clip);
    await recorder.close();
    writeFileSync(join(clip.path, '..', `${EVENT}.jpg`), 'late');
    await archive.weigh(clip);
    expect(readdirSync(join(folder, 'cam', 'clips'))).toEqual([]);
  });
});
