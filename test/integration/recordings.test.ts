import { execFileSync, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { serialize } from 'node:v8';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Archive, isOfEvent } from '../../src/after/recording/archive.ts';
import { type ExportManifest, exportSpan, hostKey, verifyExport } from '../../src/after/recording/export-span.ts';
import { faultsOf, readIndex, summaryOf } from '../../src/after/recording/fragment-file.ts';
import { playlistOf, recordingsIn, spansOf } from '../../src/after/recording/spans.ts';
import { seededRandom } from '../../src/base/core/seeded-random.ts';
import type { StreamPackets } from '../../src/wire/protocol/packets.ts';
import { cliHere } from '../support/cli-here.ts';
import { EndlessPackets, packetsOf } from '../support/made-packets.ts';
import { testFfmpeg } from '../support/made-videos.ts';
import { decoded, event, play, RULES, recorderRig, T0_MS } from '../support/recorder-rig.ts';
import { mountSmallDisk } from '../support/small-disk.ts';
import { waitFor } from '../support/wait-for.ts';

const KILLS = Number(process.env.KILLS ?? 5);
const WRITER = fileURLToPath(new URL('../support/killed-recorder.mjs', import.meta.url));

const HOUR_MS = 3_600_000;

/** A frame every so many seconds, each a fragment. */
async function slowCamera(everyS: number): Promise<EndlessPackets> {
  const path = join(videos.path, `slow${everyS}.mp4`);
  const source = ['-f', 'lavfi', '-i', `testsrc2=size=64x64:rate=1/${everyS}`, '-frames:v', '60', '-g', '1'];
  execFileSync(testFfmpeg.path, ['-loglevel', 'error', '-y', ...source, '-c:v', 'libx264', '-bf', '0', path]);
  return new EndlessPackets(await packetsOf(path));
}

const rig = recorderRig();
const { root, videos } = rig;
const recorderOf = rig.recorderOf.bind(rig);

describe('a recording', () => {
  it('has a file for each minute and after each gap, whose names are its index', async () => {
    const folder = await rig.recordedWithGap(150, 4_000_000, 30);
    const archive = await Archive.read(folder);
    const spans = spansOf(recordingsIn(archive.files, {}));
    expect(spans.map(({ gap, files }) => [gap, files])).toEqual([
      [null, 3],
      ['reconnect', 1],
    ]);
    for (const file of archive.files) {
      expect(await faultsOf(file.path)).toEqual([]);
      expect((await readIndex(file.path)).fragments.at(-1)!.endMs).toBe(file.endMs);
    }
    expect(spans[1]!.fromMs - spans[0]!.toMs).toBeGreaterThanOrEqual(4000);
  });

  it('around events has what was before and after each, and nothing else', async () => {
    const { recorder, folder } = recorderOf({ record: 'events', events: [{ id: 'in', kind: 'appears' }] });
    const camera = rig.camera();
    recorder.onPackets(camera.open('start'));
    for (let i = 0; i < 2; i++) {
      const { endUs } = play(recorder, camera, 40);
      recorder.onEvent(event('new', endUs));
      recorder.onEvent(event('end', endUs, { ended: { ptsUs: endUs } }));
    }
    play(recorder, camera, 20);
    await recorder.close();
    const spans = spansOf(recordingsIn((await Archive.read(folder)).files, {}));
    expect(spans.map(({ gap, ofEvents }) => [gap, ofEvents])).toEqual([
      [null, true],
      ['event', true],
    ]);
    for (const { fromMs, toMs } of spans) {
      expect(toMs - fromMs).toBeGreaterThanOrEqual(10_000);
      expect(toMs - fromMs).toBeLessThan(14_000);
    }
  });

  it('of a day keeps what its retention says, minute by minute', async () => {
    const camera = await slowCamera(60);
    const retention = { days: 6 / 24, eventDays: 12 / 24, clipDays: 18 / 24, labelDays: {}, maxBytes: 1e12 };
    const { recorder, clock, state } = recorderOf({ record: 'continuous', events: RULES }, { retention });
    recorder.onPackets(camera.open('start'));
    const archive = await recorder.archive();
    for (let minute = 0; minute < 24 * 60; minute++) {
      const { endUs } = play(recorder, camera, 60);
      const id = `${Math.floor(minute / 60)}`.padStart(6, '0');
      if (minute % 60 === 30) recorder.onEvent(event('new', endUs, { id }));
      if (minute % 60 === 31) recorder.onEvent(event('end', endUs, { id, ended: { ptsUs: endUs } }));
      state.wallMs = T0_MS + endUs / 1000;
      clock.advance(60_000);
      if (minute % 10 === 9) await recorder.sweep();
    }
    await recorder.onStopped('cam', false);
    await recorder.sweep();
    const files = (kind: string, ofEvent: boolean) =>
      archive.files
        .filter((file) => file.kind === kind && isOfEvent(file) === ofEvent)
        .toSorted((a, b) => a.startMs - b.startMs);
    const ageH = (ms: number): number => (state.wallMs - ms) / HOUR_MS;
    const [plain, ofEvents, clips] = [files('continuous', false), files('continuous', true), files('clip', true)];
    for (const [kept, hours] of [
      [plain, 6],
      [ofEvents, 12],
      [clips, 18],
    ] as const) {
      expect(ageH(kept[0]!.endMs)).toBeLessThanOrEqual(hours);
      // The hour with the next event, or minute, before it is gone.
      expect(ageH(kept[0]!.endMs)).toBeGreaterThan(hours - 1.1);
    }
    expect(clips).toHaveLength(18);
    // Nothing is missing in the last six hours.
    const newest = spansOf(recordingsIn(archive.files, { fromMs: state.wallMs - 6 * HOUR_MS }));
    expect(newest.reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0)).toBeGreaterThan(5.9 * HOUR_MS);
    expect(newest.every(({ gap }) => gap === null)).toBe(true);
    expect(recorder.figures.deleted).toBeGreaterThan(900);
  }, 180_000);

  it('of weeks keeps each label for its days, over a restart and beside files of earlier versions', async () => {
    const camera = await slowCamera(3600);
    const labelDays = { person: 14, car: 3, 'traffic light': 9 };
    const retention = { days: 2, eventDays: 7, clipDays: 10, labelDays, maxBytes: 1e12 };
    const rules = [
      ...[...RULES, { id: 'seen', kind: 'appears' }],
      { id: 'many', kind: 'count', above: 1, labels: ['car', 'person'] },
    ];
    // By hour of the day: what is seen in it, by which rule on every third day and on the others, and for how many days it is kept.
    const seen: Record<number, { labels: (string | null)[]; rule: string; days: number; clipDays?: number }> = {
      3: { labels: ['person'], rule: 'in', days: 14, clipDays: 10 },
      6: { labels: ['car'], rule: 'in', days: 3, clipDays: 3 },
      9: { labels: ['traffic light'], rule: 'in', days: 9, clipDays: 9 },
      12: { labels: ['dog'], rule: 'in', days: 7, clipDays: 10 },
      15: { labels: ['car', 'person'], rule: 'seen', days: 14 },
      18: { labels: [null], rule: 'many', days: 14 },
    };
    const folder = join(root, 'weeks');
    mkdirSync(join(folder, 'cam', 'clips'), { recursive: true });
    const old = { continuous: 2, events: 7, clip: 10 };
    writeFileSync(join(folder, 'cam', `${T0_MS - 2 * HOUR_MS}-${T0_MS - HOUR_MS}-continuous-restart.mp4`), 'old');
    writeFileSync(join(folder, 'cam', `${T0_MS - HOUR_MS}-${T0_MS}-events.mp4`), 'old');
    for (const name of [`${T0_MS - HOUR_MS}-${T0_MS}-abcd.mp4`, 'abcd.jpg'])
      writeFileSync(join(folder, 'cam', 'clips', name), 'old');
    const open = () => {
      const opened = recorderOf({ record: 'continuous', events: rules }, { retention, folder });
      opened.recorder.onPackets(camera.open('start'));
      return opened;
    };
    let { recorder, state } = open();
    const idOf = (day: number, hour: number, i = 0): string => (0x10000 + day * 0x100 + hour * 4 + i).toString(16);
    for (let day = 0; day < 21; day++) {
      if (day === 8) {
        await recorder.close();
        ({ recorder, state } = open());
      }
      let endUs = 0;
      let atUs = day * 24 * HOUR_MS * 1000;
      for (let hour = 0; hour < 24; hour++) {
        const { labels = [], rule = '' } = seen[hour] ?? {};
        const events = labels.map((label, i) => ({
          id: idOf(day, hour, i),
          rule: rule === 'in' && day % 3 > 0 ? 'seen' : rule,
          ...(label === null ? {} : { label }),
          raised: { ptsUs: atUs + 1e6 },
        }));
        for (const each of events) recorder.onEvent(event('new', atUs + 1e6, each));
        ({ endUs } = play(recorder, camera, 1));
        for (const each of events) recorder.onEvent(event('end', endUs, { ...each, ended: { ptsUs: endUs - 60e6 } }));
        atUs = endUs;
      }
      await recorder.onStopped('cam', false);
      state.wallMs = T0_MS + endUs / 1000;
      await recorder.sweep();
      const { files } = await Archive.read(folder);
      const names = files.map(({ kind, startMs, event: id }) => id ?? `${kind} ${(startMs - T0_MS) / HOUR_MS}`);
      const expected: string[] = [];
      const oldAge = day + 1;
      if (oldAge <= old.events) expected.push('events -1');
      if (oldAge <= old.clip) expected.push('abcd');
      if (oldAge + 1 / 24 <= old.continuous) expected.push('continuous -2');
      for (let from = 0; from <= day; from++)
        for (let hour = 0; hour < 24; hour++) {
          const { days = retention.days, clipDays = 0, labels = [] } = seen[hour] ?? {};
          const ageDays = day + 1 - from - (hour + 1) / 24;
          if (ageDays <= days) expected.push(`continuous ${from * 24 + hour}`);
          if (from % 3 === 0 && labels.length > 0 && ageDays <= clipDays) expected.push(idOf(from, hour));
        }
      expect(names.toSorted()).toEqual(expected.toSorted());
    }
    await recorder.close();
    expect(existsSync(join(folder, 'cam', 'clips', 'abcd.jpg'))).toBe(false);
  }, 180_000);

  it('that a kill left half written keeps the labels of its events', async () => {
    const { recorder, folder } = recorderOf({ record: 'continuous', events: RULES });
    const camera = rig.camera();
    recorder.onPackets(camera.open('start'));
    const { endUs } = play(recorder, camera, 10);
    recorder.onEvent(event('new', endUs, { label: 'fire hydrant' }));
    play(recorder, camera, 10);
    await waitFor('the disk', async () => {
      const { files } = await recorder.archive();
      return files.length === 2 && files.every(({ bytes }) => bytes > 10_000);
    });
    const killed = join(root, 'killed-labels');
    cpSync(folder, killed, { recursive: true, filter: (from) => !from.endsWith('.lock') });
    const archive = await Archive.read(killed);
    await archive.lock();
    expect(archive.files.map(({ kind, labels }) => [kind, labels]).toSorted()).toEqual([
      ['clip', 'fire~0020hydrant'],
      ['continuous', 'fire~0020hydrant'],
    ]);
    for (const file of archive.files) expect(await faultsOf(file.path)).toEqual([]);
    await archive.close();
  });
});

const DISK_KIB = 3000;
const disk = mountSmallDisk(join(root, 'small'), DISK_KIB);
describe.skipIf(disk === null)('a full disk (skipped where nothing can be mounted)', () => {
  afterAll(() => disk?.remove());

  it('loses the oldest recordings, and recording goes on', async () => {
    const { recorder, said } = recorderOf({ record: 'continuous' }, { folder: join(disk!.path, 'a') });
    const camera = rig.camera();
    recorder.onPackets(camera.open('start'));
    let last = 0;
    while (recorder.figures.deleted < 3) {
      const { bytes } = play(recorder, camera, 30);
      last += bytes.length;
      await waitFor('the disk', () => recorder.figures.writtenBytes > 0);
      await new Promise((resolve) => setTimeout(resolve, 5));
      expect(last).toBeLessThan(1e9);
    }
    play(recorder, camera, 5);
    await recorder.close();
    expect(said).toEqual([]);
    const { files } = await Archive.read(join(disk!.path, 'a'));
    for (const file of files) expect(await faultsOf(file.path)).toEqual([]);
    expect(files.some(({ gap }) => gap === 'disk-full')).toBe(false);
    rmSync(join(disk!.path, 'a'), { recursive: true });
  }, 60_000);

  /** @returns the file that takes all of it. */
  function fillDisk(): string {
    const other = join(disk!.path, 'other');
    try {
      writeFileSync(other, Buffer.alloc(DISK_KIB * 1024));
    } catch {
      // It is full.
    }
    return other;
  }

  it('that others fill ends recording, says so, and recording goes on when there is room', async () => {
    const { recorder, said, clock } = recorderOf({ record: 'continuous' }, { folder: join(disk!.path, 'b') });
    const camera = rig.camera();
    recorder.onPackets(camera.open('start'));
    const other = fillDisk();
    play(recorder, camera, 10);
    await waitFor('a failure', () => said.length > 0);
    expect(said[0]).toMatch(/ENOSPC|no space/);
    expect(recorder.figures.problem).not.toBeNull();
    rmSync(other);
    clock.advance(10_000);
    play(recorder, camera, 10);
    await waitFor('a recovery', () => said.length > 1);
    expect([said[1], recorder.figures.problem]).toEqual(['recovered', null]);
    await recorder.close();
    const { files } = await Archive.read(join(disk!.path, 'b'));
    expect(files.length).toBeGreaterThan(0);
    for (const file of files) expect(await faultsOf(file.path)).toEqual([]);
  });

  it('is a problem with its folder until there is room, also while nothing is written', async () => {
    const small = join(disk!.path, 'c');
    const { recorder, said, clock } = recorderOf({ record: 'continuous' }, { folder: small });
    const camera = rig.camera();
    recorder.onPackets(camera.open('start'));
    const other = fillDisk();
    play(recorder, camera, 10);
    await waitFor('a failure', () => said.length > 0);
    expect(recorder.problem).toMatch(`no clip and no recording is kept: ${small}: `);
    rmSync(other);
    disk!.grow(32 * 1024);
    clock.advance(60_000);
    await waitFor('a recovery', () => recorder.problem === null);
    expect(said[1]).toBe('recovered');
  });
});

it(
  `leaves playable files and a true index over ${KILLS} kills at random moments (KILLS sets how many)`,
  async () => {
    const folder = join(root, 'killed');
    const random = seededRandom(5);
    const camera = rig.camera();
    const written = join(root, 'packets.bin');
    let expected = 0;
    for (let kill = 0; kill < KILLS; kill++) {
      const opened = camera.open('reopened', 1_000_000);
      const run: StreamPackets[] = [opened];
      while (!(run.length > 1 ? run.length > 150 : false)) run.push(camera.next(T0_MS));
      writeFileSync(written, serialize(run));
      const id = kill.toString(16).padStart(8, '0');
      const child = spawn(process.execPath, [WRITER, folder, written, id], { stdio: ['ignore', 'pipe', 'inherit'] });
      let text = '';
      child.stdout.on('data', (chunk: Buffer) => {
        text += chunk.toString();
        if (text === 'writing\n') setTimeout(() => child.kill('SIGKILL'), random() * 200);
      });
      await new Promise((resolve) => child.once('close', resolve));
      expect(text, `kill ${kill}`).toBe('writing\n');
      const archive = await Archive.read(folder);
      await archive.lock();
      const { files } = archive;
      await archive.close();
      expect(files.filter(({ isOpen }) => isOpen)).toEqual([]);
      const recordings = files.filter(({ kind }) => kind !== 'clip').toSorted((a, b) => a.startMs - b.startMs);
      expect(recordings.length).toBeGreaterThan(expected);
      expected = recordings.length;
      for (const file of kill === KILLS - 1 ? files : [recordings.at(-1)!, archive.clipOf(id)!].filter(Boolean)) {
        expect(await faultsOf(file.path)).toEqual([]);
        const index = await readIndex(file.path);
        expect([index.wholeBytes, index.fragments.at(-1)!.endMs]).toEqual([statSync(file.path).size, file.endMs]);
        expect(decoded(file.path)).toBe(summaryOf(index).frames);
      }
      expect(recordings[0]!.gap).toBeUndefined();
      for (const { gap } of recordings.filter((each, i) => i > 0 && each.startMs - recordings[i - 1]!.endMs > 900))
        expect(gap).toBe('restart');
    }
  },
  60_000 + KILLS * 5_000,
);

describe('an export', () => {
  let folder: string;
  beforeAll(async () => {
    const { recorder, folder: own } = recorderOf({ record: 'continuous' });
    folder = own;
    const camera = rig.camera();
    recorder.onPackets(camera.open('start'));
    play(recorder, camera, 100);
    recorder.onPackets(camera.open('reconnect', 10_000_000));
    while (!camera.next(T0_MS).isKey);
    play(recorder, camera, 60);
    await recorder.close();
  });

  async function exported(fromS: number, toS: number, path: string): Promise<ExportManifest> {
    const span = { fromMs: T0_MS + fromS * 1000, toMs: T0_MS + toS * 1000 };
    const files = recordingsIn((await Archive.read(folder)).files, { stream: 'cam', ...span });
    const parts = exportSpan(files, span, await hostKey(folder));
    const chunks: Buffer[] = [];
    for (;;) {
      const next = await parts.next();
      if (next.done === true) {
        writeFileSync(path, Buffer.concat(chunks));
        return next.value;
      }
      chunks.push(next.value);
    }
  }

  it('is one MP4 with the frames and the gaps that its signed manifest says', async () => {
    const path = join(root, 'export.mp4');
    const manifest = await exported(50, 140, path);
    expect(decoded(path)).toBe(manifest.frames);
    expect(manifest.gaps).toHaveLength(1);
    expect(manifest.gaps[0]).toMatchObject({ reason: 'reconnect' });
    expect(manifest.missingFrames).toBeGreaterThanOrEqual(245);
    expect(manifest.missingFrames).toBeLessThan(290);
    const whole = ((140 - 50) * 1000) / 40;
    expect(manifest.frames + manifest.missingFrames).toBeGreaterThanOrEqual(whole - 1);
    expect(await verifyExport(path)).toEqual({ manifest, faults: [] });
  });

  it('over several files without a gap has every frame once', async () => {
    const path = join(root, 'whole.mp4');
    const manifest = await exported(30, 90, path);
    expect(manifest).toMatchObject({ gaps: [], missingFrames: 0 });
    expect(decoded(path)).toBe(manifest.frames);
    const text = execFileSync(testFfmpeg.path, ['-i', path, '-c', 'copy', '-f', 'framecrc', '-'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'] as const,
    });
    const rows = text
      .split('\n')
      .filter((line) => /^\d/.test(line))
      .map((line) => Number(line.split(',')[1]));
    const steps = new Set(rows.slice(1).map((dts, i) => dts - rows[i]!));
    expect(steps.size).toBe(1);
  });

  it('that was changed is found out: a bit of the video, a word of the manifest', async () => {
    const path = join(root, 'changed.mp4');
    await exported(10, 20, path);
    const bytes = readFileSync(path);
    bytes[5000]! ^= 1;
    writeFileSync(path, bytes);
    expect((await verifyExport(path))!.faults).toEqual(['the video is not the one that was signed']);
    bytes[5000]! ^= 1;
    const at = bytes.indexOf('"frames":');
    bytes[at + 9] = 0x31 + ((bytes[at + 9]! - 0x30) % 9);
    writeFileSync(path, bytes);
    expect((await verifyExport(path))!.faults).toEqual(['the signature is not that of this manifest']);
    truncateSync(path, 9000);
    expect(await verifyExport(path)).toBeNull();
  });

  it('has a playlist whose parts are those of its files', async () => {
    const { files } = await Archive.read(folder);
    const text = await playlistOf(recordingsIn(files, { stream: 'cam' }), (startMs) => `files/${startMs}.mp4`);
    expect(text.match(/#EXT-X-MAP:/g)).toHaveLength(files.length);
    expect(text.match(/#EXT-X-DISCONTINUITY/g)).toHaveLength(files.length - 1);
    const seconds = [...text.matchAll(/#EXTINF:([\d.]+)/g)].reduce((sum, [, each]) => sum + Number(each), 0);
    // As a player does: what the map says, then each range, anew after each discontinuity.
    let frames = 0;
    for (const [i, part] of text.split('#EXT-X-DISCONTINUITY').entries()) {
      const { path: file } = files.find(({ startMs }) => part.includes(`\nfiles/${startMs}.mp4\n`))!;
      const bytes = readFileSync(file);
      const ranges = [...part.matchAll(/BYTERANGE(?:="|:)(\d+)@(\d+)/g)].map(([, length, at]) => [
        Number(length),
        Number(at),
      ]);
      const path = join(root, `part-${i}.mp4`);
      writeFileSync(path, Buffer.concat(ranges.map(([length, at]) => bytes.subarray(at!, at! + length!))));
      frames += decoded(path);
    }
    expect(seconds * 25).toBeCloseTo(frames, 3);
  });

  it('has the seconds of the file that is being written in its playlist, as soon as they are whole', async () => {
    const { recorder } = recorderOf({ record: 'continuous' });
    const camera = rig.camera();
    recorder.onPackets(camera.open('start'));
    const text = async (): Promise<string> =>
      playlistOf(recordingsIn((await recorder.archive()).files, {}), (startMs) => `files/${startMs}.mp4`);
    const secondsOf = async (): Promise<number> =>
      [...(await text()).matchAll(/#EXTINF:([\d.]+)/g)].reduce((sum, [, each]) => sum + Number(each), 0);
    play(recorder, camera, 10);
    await waitFor('ten seconds', async () => (await secondsOf()) > 9);
    expect((await recorder.archive()).files).toMatchObject([{ isOpen: true }]);
    const before = await secondsOf();
    play(recorder, camera, 10);
    await waitFor('ten more', async () => (await secondsOf()) > before + 9);
  });

  it('is made, listed and verified on the command line, whose errors say what was expected', async () => {
    const out = join(root, 'cli.mp4');
    const times = ['--from', new Date(T0_MS + 20_000).toISOString(), '--to', new Date(T0_MS + 40_000).toISOString()];
    const list = await cliHere(['recordings', 'list', folder, '--json']);
    expect(JSON.parse(list.stdout).spans).toHaveLength(2);
    const made = await cliHere(['recordings', 'export', folder, '--stream', 'cam', ...times, '--out', out]);
    expect([made.code, made.stderr]).toEqual([0, expect.stringMatching(/\d+ frames, 0 missing/)]);
    expect((await cliHere(['recordings', 'verify', out])).stdout).toMatch(/1 file, 0 damaged/);
    expect((await cliHere(['recordings', 'verify', folder])).stdout).toMatch(/[3-9] files, 0 damaged/);
    const other = await cliHere(['recordings', 'export', folder, '--stream', 'yard', ...times, '--out', `${out}2`]);
    expect([other.code, other.stderr, existsSync(`${out}2`)]).toEqual([
      1,
      expect.stringMatching(/nothing of stream "yard"; it has cam/),
      false,
    ]);
    const twice = await cliHere(['recordings', 'export', folder, '--stream', 'cam', ...times, '--out', out]);
    expect([twice.code, twice.stderr]).toEqual([
      2,
      expect.stringMatching(/--out: expected a new file, .*cli\.mp4 exists/),
    ]);
    for (const time of ['noon', '2026-01-31T00:00:00', '2026-02-30T00:00:00Z'])
      expect((await cliHere(['recordings', 'list', root, '--from', time])).stderr).toMatch(/--from: expected a date/);
    expect((await cliHere(['recordings', 'verify', videos.path])).stderr).toMatch(/expected a folder of recordings/);
    const [plain, empty] = [join(videos.path, 'v.mp4'), join(root, 'empty.mp4')];
    writeFileSync(empty, '');
    for (const [args, said] of [
      [['list', folder, '--stream', 'nope'], /nothing of stream "nope"; it has cam/],
      [['list', folder, ...times.with(1, times[3]!).with(3, times[1]!)], /--from: expected a time before --to/],
      [['verify', plain], /v\.mp4: it is no export of Sightline: it has no manifest/],
      [['verify', empty], /^(?!.*empty\.mp4.*empty\.mp4).*empty\.mp4/],
      [['verify', fileURLToPath(import.meta.url)], /expected a folder of recordings or a file \.mp4/],
    ] as const) {
      const refused = await cliHere(['recordings', ...args]);
      expect([refused.code === 0, refused.stderr], args.join(' ')).toEqual([false, expect.stringMatching(said)]);
    }
    const damaged = (await Archive.read(folder)).files[0]!.path;
    const bytes = readFileSync(damaged);
    bytes[bytes.length - 3]! ^= 4;
    writeFileSync(damaged, bytes);
    const verdict = await cliHere(['recordings', 'verify', folder]);
    expect([verdict.code, verdict.stdout]).toEqual([
      1,
      expect.stringMatching(/is not what was written \(at byte \d+\)/),
    ]);
  });
});
