import { appendFileSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Archive, type RecordingFile } from '../../src/after/recording/archive.ts';
import { readIndex } from '../../src/after/recording/fragment-file.ts';
import {
  type RecordedGap,
  type RecordedPart,
  readSpan,
  spanTime,
  videoOf,
  wallClock,
} from '../../src/after/recording/recorded-span.ts';
import { serveVideo } from '../../src/after/recording/serve-video.ts';
import { recordingsIn } from '../../src/after/recording/spans.ts';
import { EndlessPackets, packetsOf } from '../support/made-packets.ts';
import { decoded, play, recorderRig, T0_MS } from '../support/recorder-rig.ts';

const rig = recorderRig();

/** A recording of three files, a gap of four seconds, and another file. */
async function recorded(): Promise<{ folder: string; files: RecordingFile[] }> {
  const folder = await rig.recordedWithGap(150, 4_000_000, 30);
  return { folder, files: await filesIn(folder) };
}

const filesIn = async (folder: string): Promise<RecordingFile[]> =>
  recordingsIn((await Archive.read(folder)).files, { stream: 'cam' });
const all = (files: readonly RecordingFile[]) => ({ fromMs: files[0]!.startMs, toMs: files.at(-1)!.endMs });

async function written(part: RecordedPart): Promise<{ path: string; lost: RecordedGap[] }> {
  const [path, lost] = [join(rig.root, `${Math.random()}.mp4`), [] as RecordedGap[]];
  for await (const bytes of videoOf(part.files, (gap) => lost.push(gap))) appendFileSync(path, bytes);
  return { path, lost };
}

const framesOf = (part: RecordedPart): number => part.files.reduce((sum, { frames }) => sum + frames, 0);

describe('a recorded span', () => {
  it('is one video over the borders of files, whose gap is a jump of its time', async () => {
    const { files } = await recorded();
    const { parts, gaps } = await readSpan(files, all(files));
    expect(parts).toHaveLength(1);
    const [part] = parts as [RecordedPart];
    expect(part.files).toHaveLength(4);
    expect(gaps.map(({ reason }) => reason)).toEqual(['reconnect']);
    expect(gaps[0]!.toMs - gaps[0]!.fromMs).toBeGreaterThan(3900);
    const { path, lost } = await written(part);
    expect([decoded(path), lost]).toEqual([framesOf(part), []]);
    // Files follow each other as in the results of then, and so does the wall clock.
    const clock = wallClock(part.files);
    for (const { fromUs, firstUs } of part.files) {
      expect(fromUs - part.files[0]!.fromUs).toBe(firstUs - part.files[0]!.firstUs);
      expect(clock(fromUs)).toBe(T0_MS + Math.round(firstUs / 1000));
    }
    expect(spanTime(part, part.files[1]!)(40_000)).toBe(part.files[1]!.fromUs + 40_000);
  });

  it('begins with the key frame at or before its beginning, and ends with its end', async () => {
    const { files } = await recorded();
    const [fromMs, toMs] = [T0_MS + 65_500, T0_MS + 125_000];
    const { parts, gaps } = await readSpan(recordingsIn(files, { fromMs, toMs }), { fromMs, toMs });
    const [first] = parts[0]!.files;
    expect(first!.skip).toBeGreaterThan(0);
    expect(fromMs - first!.startMs).toBeGreaterThanOrEqual(0);
    expect(fromMs - first!.startMs).toBeLessThan(10_001);
    expect(parts[0]!.files.at(-1)!.endUs / 1000 + T0_MS - toMs).toBeLessThan(1100);
    expect(gaps).toEqual([]);
    expect(decoded((await written(parts[0]!)).path)).toBe(framesOf(parts[0]!));
  });

  it('leaves out what is damaged, up to the next key frame, and says so', async () => {
    const { files } = await recorded();
    const { path } = files[1]!;
    const { fragments } = await readIndex(path);
    const bytes = readFileSync(path);
    bytes[fragments[3]!.at + fragments[3]!.bytes - 5]! ^= 0xff;
    writeFileSync(path, bytes);
    const { parts } = await readSpan(files, all(files));
    const { path: video, lost } = await written(parts[0]!);
    const next = fragments.findIndex(({ key }, i) => key && i > 3);
    expect(lost.map(({ reason }) => reason)).toEqual(Array.from({ length: next - 3 }, () => 'damaged'));
    const gone = fragments.slice(3, next).reduce((sum, { frames }) => sum + frames, 0);
    expect(decoded(video)).toBe(framesOf(parts[0]!) - gone);
  });

  it.each([
    ['is gone', 'missing', (path: string) => rmSync(path)],
    ['has no index', 'damaged', (path: string) => writeFileSync(path, 'not a video')],
    ['was cut short', 'damaged', (path: string) => truncateSync(path, readFileSync(path).length / 2)],
  ])('has a gap where a file %s', async (_, reason, spoil) => {
    const { folder, files } = await recorded();
    const whole = await readSpan(files, all(files));
    spoil(files[1]!.path);
    const span = await readSpan(await filesIn(folder), all(files));
    expect(span.gaps.map((gap) => gap.reason)).toEqual([reason, 'reconnect']);
    expect(span.gaps[0]!.toMs).toBe(whole.parts[0]!.files[2]!.startMs);
    const [placed, before] = [span.parts[0]!.files.at(-2)!, whole.parts[0]!.files[2]!];
    expect([placed.fromUs, placed.startMs]).toEqual([before.fromUs, before.startMs]);
    expect(decoded((await written(span.parts[0]!)).path)).toBe(framesOf(span.parts[0]!));
    // As does one that goes while it is read.
    const { lost } = await written(whole.parts[0]!);
    expect(lost.length).toBeGreaterThan(0);
  });

  it('goes on by the wall clock after a restart of the host, whose media time begins anew', async () => {
    const folder = join(rig.root, 'restarted');
    for (const atMs of [0, 100_000]) {
      const { recorder } = rig.recorderOf({ record: 'continuous' }, { folder });
      const camera = rig.camera();
      recorder.onPackets(camera.open('start'));
      for (let i = 0; i < 30; i++) recorder.onPackets(camera.next(T0_MS + atMs));
      await recorder.close();
    }
    const files = await filesIn(folder);
    const { parts, gaps } = await readSpan(files, all(files));
    const [first, second] = parts[0]!.files;
    expect(second!.firstUs).toBe(first!.firstUs);
    expect(second!.fromUs - first!.fromUs).toBeCloseTo(100e6, -3);
    expect(gaps.map(({ reason }) => reason)).toEqual(['restart']);
    expect(decoded((await written(parts[0]!)).path)).toBe(framesOf(parts[0]!));
  });

  it('has a part for each format of the video', async () => {
    const { recorder, folder } = rig.recorderOf({ record: 'continuous' });
    const camera = rig.camera();
    recorder.onPackets(camera.open('start'));
    play(recorder, camera, 5);
    const other = new EndlessPackets(
      await packetsOf(await rig.videos.make('o.mp4', { frames: 60, width: 64, height: 64 })),
    );
    recorder.onPackets({ ...other.open('reconnect', 20_000_000), connection: 'other' });
    for (let i = 0; i < 2; i++) recorder.onPackets({ ...other.next(T0_MS), connection: 'other' });
    await recorder.close();
    const files = await filesIn(folder);
    const { parts } = await readSpan(files, all(files));
    expect(parts.map((part) => part.files.length)).toEqual([1, 1]);
    for (const part of parts) expect(decoded((await written(part)).path)).toBe(framesOf(part));
  });
});

describe('a video that is lent', () => {
  it('is made anew for each reader, under a name that only its reader knows', async () => {
    const video = async function* () {
      yield Buffer.from('abc');
    };
    await serveVideo('cam', video, async (url) => {
      expect(url).toMatch(/\/cam\.mp4$/);
      for (let i = 0; i < 2; i++) expect(await (await fetch(url)).text()).toBe('abc');
      expect((await fetch(new URL('/cam.mp4', url))).status).toBe(404);
    });
  });

  it('that cannot be read to its end fails with the reason', async () => {
    const video = async function* () {
      yield Buffer.from('abc');
      throw new Error('the disk is gone');
    };
    const read = serveVideo('cam', video, async (url) => (await fetch(url)).text().catch(() => 'cut'));
    await expect(read).rejects.toThrow('the disk is gone');
  });
});
