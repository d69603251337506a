import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import zlib from 'node:zlib';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { CocoSink } from '../../../../src/after/sinks/coco-sink.ts';
import { JsonlSink, type JsonlSinkOptions } from '../../../../src/after/sinks/jsonl-sink.ts';
import type { SightlineError } from '../../../../src/base/errors/sightline-error.ts';
import { FaultyFiles } from '../../../support/faulty-files.ts';
import { waitFor } from '../../../support/wait-for.ts';
import { frameOf, person } from './frames.ts';
import { TurnedClock } from './turned-clock.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-durability-'));
beforeEach(() => {
  for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true });
});
afterAll(() => rmSync(folder, { recursive: true }));

const at = (name: string): string => join(folder, name);
const names = (): string[] => readdirSync(folder).sort();
const text = (name: string): string =>
  name.endsWith('.gz') ? zlib.gunzipSync(readFileSync(at(name))).toString() : readFileSync(at(name), 'utf8');
/** Frames of a file; fails if a line is not whole. */
const framesIn = (name: string): number[] =>
  text(name)
    .split('\n')
    .slice(0, -1)
    .map((line) => (JSON.parse(line) as { frame: number }).frame);
const numbers = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

function openJsonl(more: Partial<JsonlSinkOptions> = {}) {
  const failures: SightlineError[] = [];
  const recoveries: number[] = [];
  const sink = new JsonlSink({
    id: 'out',
    path: at('a.jsonl'),
    append: true,
    onFailure: (error) => failures.push(error),
    onRecovery: (lost) => recoveries.push(lost),
    ...more,
  });
  const publish = (from: number, to: number): void => {
    for (const frame of numbers(from, to)) sink.publish(frameOf(frame, [person]), 'a.mp4');
  };
  return { sink, failures, recoveries, publish };
}

describe('rotation by size', () => {
  it.each(['a.jsonl', 'a.jsonl.gz'])(
    'of %s puts each line in exactly one file, in order, over restarts',
    async (path) => {
      const rotation = { maxBytes: path === 'a.jsonl' ? 5000 : 300 };
      let frame = 0;
      for (let run = 0; run < 3; run++) {
        const clock = new TurnedClock();
        const { sink, publish, failures } = openJsonl({ path: at(path), rotation, clock });
        for (let second = 0; second < 8; second++) {
          publish(frame, frame + 40);
          frame += 40;
          clock.turn(1000);
          await waitFor('the write', () => sink.figures.waiting === 0);
        }
        await sink.close();
        expect(failures).toEqual([]);
      }
      const extension = path.slice(1);
      const last = names().length - 1;
      const inOrder = [...numbers(1, last + 1).map((n) => `a.${n}${extension}`), path];
      expect(names()).toEqual([...inOrder].sort());
      expect(last).toBeGreaterThan(2);
      expect(inOrder.flatMap(framesIn)).toEqual(numbers(0, frame));
      if (path === 'a.jsonl')
        for (const name of inOrder) expect(statSync(at(name)).size, name).toBeLessThanOrEqual(rotation.maxBytes);
    },
  );

  it('writes a line that is larger than the limit alone, and whole', async () => {
    const { sink } = openJsonl({ rotation: { maxBytes: 300 } });
    const long = { ...person, label: 'x'.repeat(1000) };
    for (const [frame, detections] of [[], [long], []].entries()) sink.publish(frameOf(frame, detections), 'a.mp4');
    await sink.close();
    expect(['a.1.jsonl', 'a.2.jsonl', 'a.jsonl'].map(framesIn)).toEqual([[0], [1], [2]]);
  });

  it('goes on with higher numbers when old files were removed', async () => {
    const rotate = async (from: number): Promise<void> => {
      const { sink, publish } = openJsonl({ rotation: { maxBytes: 400 } });
      publish(from, from + 6);
      await sink.close();
    };
    await rotate(0);
    const before = names().filter((name) => /\d/.test(name));
    rmSync(at(before[0]!));
    await rotate(6);
    expect(
      names()
        .filter((name) => /\d/.test(name))
        .sort()[0],
    ).toBe(before[1]);
  });

  it('that the disk refuses is tried again, and loses nothing', async () => {
    const disk = new FaultyFiles();
    const { sink, publish, failures, recoveries } = openJsonl({ files: disk, rotation: { maxBytes: 1000 } });
    disk.faults.set('rename', { code: 'EIO' });
    publish(0, 30);
    await waitFor('the failure', () => failures.length > 0);
    disk.faults.clear();
    await waitFor('the recovery', () => recoveries.length > 0);
    await sink.close();
    const files = names().length - 1;
    expect([...numbers(1, files + 1).map((n) => `a.${n}.jsonl`), 'a.jsonl'].flatMap(framesIn)).toEqual(numbers(0, 30));
  });
});

describe('rotation by time', () => {
  const HOUR = 3_600_000;
  it('begins a file at each full hour, also without a new result', async () => {
    const clock = new TurnedClock();
    let wallMs = 100 * HOUR + HOUR / 2;
    const rotation = { periodMs: HOUR, wallNowMs: () => wallMs };
    const { sink, publish } = openJsonl({ clock, rotation });
    const turn = async (ms: number): Promise<void> => {
      wallMs += ms;
      clock.turn(ms);
      await new Promise((resolve) => setTimeout(resolve, 20));
    };
    publish(0, 2);
    await turn(100);
    await waitFor('the first lines', () => sink.figures.waiting === 0);
    await turn(HOUR / 2);
    await waitFor('the rotation', () => existsSync(at('a.1.jsonl')));
    publish(2, 3);
    await turn(100);
    await waitFor('the next line', () => sink.figures.waiting === 0);
    await sink.close();
    expect([framesIn('a.1.jsonl'), framesIn('a.jsonl')]).toEqual([[0, 1], [2]]);
  });

  it('keeps the file of an earlier period apart after a restart, and continues one of the same period', async () => {
    const rotation = { periodMs: HOUR };
    for (const frame of [0, 1]) {
      const { sink, publish } = openJsonl({
        rotation: { ...rotation, wallNowMs: () => statSync(at('a.jsonl')).mtimeMs },
      });
      publish(frame, frame + 1);
      await sink.close();
    }
    const old = Date.now() / 1000 - 7200;
    utimesSync(at('a.jsonl'), old, old);
    const { sink, publish } = openJsonl({ rotation });
    publish(2, 3);
    await sink.close();
    expect([framesIn('a.1.jsonl'), framesIn('a.jsonl')]).toEqual([[0, 1], [2]]);
  });
});

describe('a power failure', () => {
  it.each(['a.jsonl', 'a.jsonl.gz'])('with policy batch costs no result of %s that counts as sent', async (path) => {
    const disk = new FaultyFiles();
    const { sink, publish } = openJsonl({ files: disk, sync: 'batch', path: at(path) });
    publish(0, 50);
    await waitFor('the write', () => sink.figures.sent === 50);
    publish(50, 60);
    await disk.cutPower();
    expect(framesIn(path).slice(0, 50)).toEqual(numbers(0, 50));
  });

  it('with policy interval costs what was written since the last synchronisation', async () => {
    const disk = new FaultyFiles();
    const clock = new TurnedClock();
    const { sink, publish } = openJsonl({ files: disk, clock });
    const write = async (from: number, to: number): Promise<void> => {
      publish(from, to);
      await waitFor('the write', () => {
        clock.turn(100);
        return sink.figures.waiting === 0;
      });
    };
    await write(0, 20);
    clock.run(5000);
    await waitFor('the synchronisation', () => disk.syncs > 0);
    await write(20, 30);
    await disk.cutPower();
    expect(framesIn('a.jsonl')).toEqual(numbers(0, 20));
  });

  it('with policy never may cost everything that the system had not written by itself; nothing is synchronised', async () => {
    const disk = new FaultyFiles();
    const { sink, publish } = openJsonl({ files: disk, sync: 'never' });
    publish(0, 20);
    await sink.close();
    expect(disk.syncs).toBe(0);
    await disk.cutPower();
    expect(framesIn('a.jsonl')).toEqual([]);
  });

  it('right after a rotation costs nothing of the file that was kept', async () => {
    const disk = new FaultyFiles();
    const { sink, publish } = openJsonl({ files: disk, sync: 'batch', rotation: { maxBytes: 1000 } });
    publish(0, 30);
    await waitFor('the write', () => sink.figures.sent === 30);
    await disk.cutPower();
    const files = names().length - 1;
    expect([...numbers(1, files + 1).map((n) => `a.${n}.jsonl`), 'a.jsonl'].flatMap(framesIn)).toEqual(numbers(0, 30));
  });

  it('with policy batch costs no entry of a COCO file that counts as sent: the next start completes the list', async () => {
    const disk = new FaultyFiles();
    const options = { id: 'coco', path: at('r.json'), classes: ['person'], keepsEarlier: true };
    const failures: string[] = [];
    const onFailure = (error: SightlineError): void => void failures.push(error.message);
    const sink = new CocoSink({ ...options, onFailure, files: disk, sync: 'batch' });
    for (const frame of numbers(0, 10)) sink.publish(frameOf(frame, [person]), 'cam');
    await waitFor('the write', () => sink.figures.sent === 10);
    await disk.cutPower();
    const next = new CocoSink({ ...options, onFailure });
    await next.close();
    const recovered = JSON.parse(text('r.recovered-1.json')) as { image_id: number }[];
    expect(recovered.map((entry) => entry.image_id)).toEqual(numbers(1, 11));
    expect(failures).toEqual([]);
  });
});

describe('a disk that fails', () => {
  it.each(['ENOSPC', 'EIO'])(
    'with %s is reported once with code and path, retried, counted, and reported again when it works',
    async (code) => {
      const disk = new FaultyFiles();
      const { sink, publish, failures, recoveries } = openJsonl({ files: disk });
      publish(0, 5);
      await waitFor('the first lines', () => sink.figures.sent === 5);
      disk.faults.set('write', { writtenBytes: 100, code });
      publish(5, 20);
      await waitFor('a retry', () => sink.figures.retried > 0);
      expect(failures.map(({ details }) => details)).toEqual([{ sink: 'out', path: at('a.jsonl'), cause: code }]);
      expect(sink.figures).toMatchObject({ problem: failures[0]!.message, waiting: 15 });
      disk.faults.clear();
      await waitFor('the recovery', () => recoveries.length > 0);
      await sink.close();
      expect(framesIn('a.jsonl')).toEqual(numbers(0, 20));
      expect(sink.figures).toMatchObject({ problem: null, sent: 20, waiting: 0, lost: { overflow: 0, failed: 0 } });
    },
  );

  it('when it is opened for the first time is waited for, too: it may be mounted later', async () => {
    const disk = new FaultyFiles();
    disk.faults.set('open', { code: 'EIO' });
    const { sink, publish, failures, recoveries } = openJsonl({ files: disk });
    publish(0, 3);
    await waitFor('the failure', () => failures.length > 0);
    disk.faults.clear();
    await waitFor('the recovery', () => recoveries.length > 0);
    await sink.close();
    expect(framesIn('a.jsonl')).toEqual([0, 1, 2]);
  });

  it('by hanging is noticed, costs bounded memory, counts what a live stream loses, and closing gives up', async () => {
    const disk = new FaultyFiles();
    const clock = new TurnedClock();
    const { sink, failures } = openJsonl({ files: disk, clock });
    await waitFor('the file', () => existsSync(at('a.jsonl')));
    disk.faults.set('write', 'hangs');
    const padded = { ...person, label: 'x'.repeat(100_000) };
    const publish = (): void => void sink.publish(frameOf(0, [padded]), 'cam');
    publish();
    clock.turn(100);
    await new Promise((resolve) => setTimeout(resolve, 50));
    clock.run(10_000);
    expect(failures.map(({ details }) => details.cause)).toEqual(['ETIMEDOUT']);
    expect(sink.figures.problem).toMatch(/does not respond/);
    for (let i = 1; i < 300; i++) publish();
    const { waiting, lost } = sink.figures;
    expect(waiting * 100_000).toBeLessThan(10_000_000);
    expect(waiting + lost.overflow!).toBe(300);
    const closing = sink.close();
    const closed = expect(closing).rejects.toMatchObject({ code: 'SINK_FAILED', details: { lostResults: 300 } });
    await new Promise(setImmediate);
    clock.run(5000);
    await closed;
  });

  it('by hanging while a file is opened leaves no open file behind when it responds after the sink was closed', async () => {
    const disk = new FaultyFiles();
    const clock = new TurnedClock();
    disk.faults.set('stat', 'hangs');
    const { sink, publish } = openJsonl({ files: disk, clock });
    publish(0, 3);
    const closed = expect(sink.close()).rejects.toMatchObject({ details: { lostResults: 3 } });
    await new Promise(setImmediate);
    clock.run(5000);
    await closed;
    expect(existsSync(at('a.jsonl'))).toBe(false);
    disk.respond();
    await waitFor('the late file', () => existsSync(at('a.jsonl')));
    await waitFor('its end', () => disk.openFiles === 0);
  });
});

describe('a pipe', () => {
  it('without a reader is reported and retried; a reader that comes later gets whole lines', async () => {
    execFileSync('mkfifo', [at('pipe')]);
    const { sink, publish, failures, recoveries } = openJsonl({ path: at('pipe') });
    publish(0, 3);
    await waitFor('the failure', () => failures.length > 0);
    expect(failures[0]!.message).toMatch(/no program reads this pipe; start one \(ENXIO\)/);
    const reader = await open(at('pipe'), 'r');
    await waitFor('the recovery', () => recoveries.length > 0);
    const { buffer, bytesRead } = await reader.read(Buffer.alloc(10_000), 0, 10_000);
    const lines = buffer.subarray(0, bytesRead).toString().trimEnd().split('\n');
    expect(lines.map((line) => (JSON.parse(line) as { frame: number }).frame)).toEqual([0, 1, 2]);
    await reader.close();
    await sink.close();
  });

  it('whose reader has stopped does not keep the sink from closing', async () => {
    execFileSync('mkfifo', [at('pipe')]);
    const reader = open(at('pipe'), 'r');
    const { sink, publish } = openJsonl({ path: at('pipe') });
    await reader;
    publish(0, 5000);
    await expect(sink.close()).rejects.toMatchObject({ code: 'SINK_FAILED', details: { cause: 'ETIMEDOUT' } });
    await (await reader).close();
  });
});
