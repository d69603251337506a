import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Writable } from 'node:stream';
import { afterAll, describe, expect, it } from 'vitest';
import { JsonlSink } from '../../../../src/after/sinks/jsonl-sink.ts';
import type { Detection } from '../../../../src/base/core/detection.ts';
import type { SightlineError } from '../../../../src/base/errors/sightline-error.ts';
import { frameOf, person } from './frames.ts';
import { describeSink } from './sink-contract.ts';
import { TurnedClock } from './turned-clock.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-jsonl-'));
afterAll(() => rmSync(folder, { recursive: true }));

const unexpected = (error: SightlineError) => expect.unreachable(error.message);
const hasFullDevice = existsSync('/dev/full');

describeSink(
  'JsonlSink',
  (onFailure) => new JsonlSink({ id: 'under-test', path: join(folder, 'works.jsonl'), onFailure }),
  (onFailure) => new JsonlSink({ id: 'under-test', path: join(folder, 'missing', 'out.jsonl'), onFailure }),
);

describeSink(
  'JsonlSink that appends',
  (onFailure) => new JsonlSink({ id: 'under-test', path: join(folder, 'grows.jsonl'), append: true, onFailure }),
  (onFailure) =>
    new JsonlSink({ id: 'under-test', path: join(folder, 'missing', 'out.jsonl'), append: true, onFailure }),
);

/** A stream that accepts data only when the test calls `release`. */
class HeldStream extends Writable {
  readonly writes: string[] = [];
  #release: (() => void) | null = null;

  override _write(chunk: Buffer, _: BufferEncoding, done: () => void): void {
    this.writes.push(chunk.toString());
    this.#release = done;
  }

  release(): void {
    this.#release?.();
  }
}

describe('a line', () => {
  it('has the documented format, with boxes to a hundredth and scores to four places', async () => {
    const path = join(folder, 'line.jsonl');
    const sink = new JsonlSink({ id: 'out', path, onFailure: unexpected });
    const raw: Detection = { ...person, score: 0.91237, box: [Math.fround(10.1), 20.005, 30.999, 40], trackId: 7 };
    sink.publish(frameOf(3, [raw, person]), 'a.mp4');
    await sink.close();
    expect(readFileSync(path, 'utf8')).toBe(
      '{"stream":"s","source":"a.mp4","frame":3,"ptsUs":120000,"width":1280,"height":720,"by":"inferred","detections":[' +
        '{"classId":0,"label":"person","score":0.9124,"box":[10.1,20.01,31,40],"trackId":7},' +
        '{"classId":0,"label":"person","score":0.91,"box":[10,20,30,40]}]}\n',
    );
  });

  it('has what only some streams have, in a fixed order of keys', async () => {
    const path = join(folder, 'full.jsonl');
    const sink = new JsonlSink({ id: 'out', path, onFailure: unexpected });
    const crossing = {
      lineId: 'door',
      trackId: 7,
      label: 'person',
      direction: 'left-to-right',
      ptsUs: 120_000,
    } as const;
    sink.publish(
      {
        zones: [
          { id: 'yard', inside: 0 },
          { id: 'gate', inside: 2 },
        ],
        crossings: [crossing],
        fence: 7,
        capturedAtMs: Date.UTC(2026, 2, 1, 6, 0, 1, 250),
        captureClock: 'sender-report',
        run: '2026-03-01T06:00:00.000Z',
        ...frameOf(3),
      },
      'rtsp://camera/1',
    );
    sink.publish({ ...frameOf(4), crossings: [], zones: [] }, 'rtsp://camera/1');
    await sink.close();
    expect(readFileSync(path, 'utf8').split('\n')).toEqual([
      '{"stream":"s","run":"2026-03-01T06:00:00.000Z","source":"rtsp://camera/1","frame":3,"ptsUs":120000,' +
        '"capturedAt":"2026-03-01T06:00:01.250Z","captureClock":"sender-report","width":1280,"height":720,"by":"inferred","fence":7,"detections":[],' +
        '"crossings":[{"lineId":"door","trackId":7,"label":"person","direction":"left-to-right","ptsUs":120000}],' +
        '"zones":{"yard":0,"gate":2}}',
      '{"stream":"s","source":"rtsp://camera/1","frame":4,"ptsUs":160000,"width":1280,"height":720,"by":"inferred",' +
        '"detections":[],"crossings":[],"zones":{}}',
      '',
    ]);
  });

  it('of an input names the input as its stream and has no run, so that it is the same each time', async () => {
    const path = join(folder, 'inputs.jsonl');
    const sink = new JsonlSink({ id: 'out', path, namesInputs: true, onFailure: unexpected });
    sink.publish({ ...frameOf(0), run: '2026-03-01T06:00:00.000Z' }, 'a.mp4');
    await sink.close();
    expect(readFileSync(path, 'utf8')).toBe(
      '{"stream":"a.mp4","source":"a.mp4","frame":0,"ptsUs":0,"width":1280,"height":720,"by":"inferred","detections":[]}\n',
    );
  });

  it('is written for a frame without detections too, and all are in order', async () => {
    const path = join(folder, 'many.jsonl');
    const sink = new JsonlSink({ id: 'out', path, onFailure: unexpected });
    for (let frame = 0; frame < 20_000; frame++) {
      if (!sink.publish(frameOf(frame, frame % 3 === 0 ? [] : [person]), 'a.mp4')) await sink.drained();
    }
    await sink.close();
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
    expect(lines.map((line) => (JSON.parse(line) as { frame: number }).frame)).toEqual(
      Array.from({ length: 20_000 }, (_, k) => k),
    );
  });
});

describe('the file', () => {
  it('is replaced, or appended to if requested', async () => {
    const path = join(folder, 'old.jsonl');
    writeFileSync(path, '{"old":1}\n');
    await new JsonlSink({ id: 'out', path, append: true, onFailure: unexpected }).close();
    expect(readFileSync(path, 'utf8')).toBe('{"old":1}\n');
    await new JsonlSink({ id: 'out', path, onFailure: unexpected }).close();
    expect(readFileSync(path, 'utf8')).toBe('');
  });

  it.each([
    ['in a folder that does not exist', () => join(folder, 'missing', 'out.jsonl'), /missing does not exist.*ENOENT/],
    ['that is a folder', () => folder, /is a folder; name a file in it \(EISDIR\)/],
    ['below a file', () => join(folder, 'plain', 'out.jsonl'), /plain is a file and not a folder.*ENOTDIR/],
  ])('%s fails with advice', async (_, makePath, message) => {
    writeFileSync(join(folder, 'plain'), '');
    const path = makePath();
    const failures: SightlineError[] = [];
    const sink = new JsonlSink({ id: 'out', path, onFailure: (error) => failures.push(error) });
    sink.publish(frameOf(0), 'a.mp4');
    await expect(sink.close()).rejects.toMatchObject({ message: expect.stringMatching(/1 result was lost/) });
    expect(failures).toHaveLength(1);
    expect(failures[0]!.message).toMatch(message);
    expect(failures[0]!.details).toMatchObject({ sink: 'out', path });
  });

  it.skipIf(!hasFullDevice)('on a full disk fails once, and counts lost results (needs /dev/full)', async () => {
    const failures: SightlineError[] = [];
    const sink = new JsonlSink({ id: 'out', path: '/dev/full', onFailure: (error) => failures.push(error) });
    for (let frame = 0; frame < 2000; frame++) {
      if (!sink.publish(frameOf(frame, [person]), 'a.mp4')) await sink.drained();
    }
    await expect(sink.close()).rejects.toMatchObject({ details: { cause: 'ENOSPC', lostResults: 2000 } });
    expect(failures).toHaveLength(1);
    expect(failures[0]!.message).toBe(
      'sink out: cannot write /dev/full: no space is left on the disk; free some or write elsewhere (ENOSPC)',
    );
  });
});

describe('standard output', () => {
  it('receives the lines and stays open', async () => {
    const stdout = new PassThrough();
    const sink = new JsonlSink({ id: 'out', path: '-', stdout, onFailure: unexpected });
    sink.publish(frameOf(0), 'a.mp4');
    await sink.close();
    expect(JSON.parse(String(stdout.read()))).toMatchObject({ source: 'a.mp4', frame: 0 });
    expect(stdout.writable).toBe(true);
  });

  it('must be given', () => {
    expect(() => new JsonlSink({ id: 'out', path: '-', onFailure: unexpected })).toThrowError(TypeError);
  });

  it('fails if its reader closes it', async () => {
    const stdout = new PassThrough();
    const failures: SightlineError[] = [];
    const sink = new JsonlSink({ id: 'out', path: '-', stdout, onFailure: (error) => failures.push(error) });
    sink.publish(frameOf(0), 'a.mp4');
    stdout.destroy(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
    await expect(sink.close()).rejects.toMatchObject({ details: { cause: 'EPIPE', lostResults: 1 } });
    expect(failures[0]!.message).toMatch(/standard output: the program that read it has ended/);
  });
});

describe('writing', () => {
  it('happens in large chunks, and after 100 ms at the latest', async () => {
    const settle = () => new Promise(setImmediate);
    const clock = new TurnedClock();
    const stdout = new HeldStream();
    const sink = new JsonlSink({ id: 'out', path: '-', stdout, onFailure: unexpected, clock });
    await settle();
    sink.publish(frameOf(0), 'a.mp4');
    sink.publish(frameOf(1), 'a.mp4');
    clock.turn(99);
    await settle();
    expect(stdout.writes).toEqual([]);
    clock.turn(1);
    await settle();
    expect(stdout.writes.map((text) => text.split('\n').length - 1)).toEqual([2]);
    stdout.release();
    await settle();
    for (let frame = 2; frame < 1000; frame++) sink.publish(frameOf(frame), 'a.mp4');
    await settle();
    expect(stdout.writes[1]!.length).toBeGreaterThanOrEqual(64 * 1024);
  });

  it('makes the caller wait while the reader is slow, until it has caught up', async () => {
    const stdout = new HeldStream({ highWaterMark: 1 });
    const sink = new JsonlSink({ id: 'out', path: '-', stdout, onFailure: unexpected });
    let frame = 0;
    while (sink.publish(frameOf(frame++, [person]), 'a.mp4')) expect(frame).toBeLessThan(100_000);
    let isDrained = false;
    const drained = sink.drained().then(() => {
      isDrained = true;
    });
    await Promise.resolve();
    expect(isDrained).toBe(false);
    while (!isDrained) {
      stdout.release();
      await new Promise(setImmediate);
    }
    await drained;
    expect(sink.publish(frameOf(frame, [person]), 'a.mp4')).toBe(true);
    let isClosed = false;
    const closed = sink.close().then(() => {
      isClosed = true;
    });
    while (!isClosed) {
      stdout.release();
      await new Promise(setImmediate);
    }
    await closed;
  });
});
