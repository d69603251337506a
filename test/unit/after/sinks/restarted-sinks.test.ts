import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { CocoSink } from '../../../../src/after/sinks/coco-sink.ts';
import { JsonlSink } from '../../../../src/after/sinks/jsonl-sink.ts';
import { recoverVideo } from '../../../../src/after/sinks/recover-video.ts';
import type { SightlineError } from '../../../../src/base/errors/sightline-error.ts';
import { hasProc } from '../../../support/processes.ts';
import { mountSmallDisk } from '../../../support/small-disk.ts';
import { waitFor } from '../../../support/wait-for.ts';
import { frameOf, person } from './frames.ts';
import { TurnedClock } from './turned-clock.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-restarted-'));
const disk = mountSmallDisk(join(folder, 'disk'), 64);
beforeEach(() => {
  for (const name of readdirSync(folder)) if (name !== 'disk') rmSync(join(folder, name), { recursive: true });
});
afterAll(() => {
  disk?.remove();
  rmSync(folder, { recursive: true });
});

const at = (name: string): string => join(folder, name);
const read = (name: string): string => readFileSync(at(name), 'utf8');
const names = (): string[] => readdirSync(folder).filter((name) => name !== 'disk');
const framesIn = (text: string): number[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as { frame: number }).frame);
const imagesIn = (name: string): number[] =>
  (JSON.parse(read(name)) as { image_id: number }[]).map((entry) => entry.image_id);
const unexpected = (error: SightlineError) => expect.unreachable(error.message);

describe('a JSONL file that is appended to', () => {
  it('has the lines of both runs, each with its run', async () => {
    for (const run of ['first', 'second']) {
      const sink = new JsonlSink({ id: 'out', path: at('a.jsonl'), append: true, onFailure: unexpected });
      sink.publish({ ...frameOf(0, [person]), run }, 'a.mp4');
      sink.publish({ ...frameOf(1), run }, 'a.mp4');
      await sink.close();
    }
    const lines = read('a.jsonl')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { run: string; frame: number });
    expect(lines.map(({ run, frame }) => [run, frame])).toEqual([
      ['first', 0],
      ['first', 1],
      ['second', 0],
      ['second', 1],
    ]);
  });

  it('loses the incomplete line of a crash, and reports how many bytes that was', async () => {
    const notices: string[] = [];
    writeFileSync(at('a.jsonl'), '{"frame":0}\n{"fra');
    const onNotice = (text: string) => notices.push(text);
    const sink = new JsonlSink({ id: 'out', path: at('a.jsonl'), append: true, onFailure: unexpected, onNotice });
    sink.publish(frameOf(1), 'a.mp4');
    await sink.close();
    expect(framesIn(read('a.jsonl'))).toEqual([0, 1]);
    expect(notices).toEqual([`sink out: ${at('a.jsonl')} is continued (removed 5 bytes of an incomplete last line)`]);
  });

  it('is not changed if it is not a JSONL file', async () => {
    const failures: SightlineError[] = [];
    writeFileSync(at('film.mp4'), 'ftyp');
    const sink = new JsonlSink({
      id: 'out',
      path: at('film.mp4'),
      append: true,
      onFailure: (error) => failures.push(error),
    });
    sink.publish(frameOf(0), 'a.mp4');
    await expect(sink.close()).rejects.toMatchObject({ details: { lostResults: 1 } });
    expect(failures.map(({ message }) => message)).toEqual([
      expect.stringMatching(/has another format.*choose another/),
    ]);
    expect(read('film.mp4')).toBe('ftyp');
  });

  it('is created again after it was moved, within the five seconds of the sync interval', async () => {
    const clock = new TurnedClock();
    const sink = new JsonlSink({ id: 'out', path: at('a.jsonl'), append: true, onFailure: unexpected, clock });
    const written = (name: string, count: number) =>
      waitFor(`${count} lines in ${name}`, () => {
        clock.turn(100);
        return existsSync(at(name)) && read(name).split('\n').length - 1 === count;
      });
    sink.publish(frameOf(0), 'a.mp4');
    await written('a.jsonl', 1);
    renameSync(at('a.jsonl'), at('a.jsonl.1'));
    clock.run(5000);
    await waitFor('the file to be opened anew', async () => {
      sink.publish(frameOf(1), 'a.mp4');
      clock.turn(100);
      await new Promise(setImmediate);
      return existsSync(at('a.jsonl')) && read('a.jsonl') !== '';
    });
    await sink.close();
    expect(framesIn(read('a.jsonl.1'))[0]).toBe(0);
    expect(framesIn(read('a.jsonl'))[0]).toBe(1);
  });

  it('waits for its folder if that disappears, and loses nothing', async () => {
    const clock = new TurnedClock();
    const failures: SightlineError[] = [];
    const recoveries: number[] = [];
    mkdirSync(at('mount'));
    const sink = new JsonlSink({
      id: 'out',
      path: at('mount/a.jsonl'),
      append: true,
      onFailure: (error) => failures.push(error),
      onRecovery: (lost) => recoveries.push(lost),
      clock,
    });
    const until = (what: string, condition: () => boolean) =>
      waitFor(what, () => {
        // In small steps: a write that a busy machine delays must not look like one that hangs.
        clock.turn(100);
        return condition();
      });
    sink.publish(frameOf(0), 'a.mp4');
    await until('the first line', () => existsSync(at('mount/a.jsonl')) && read('mount/a.jsonl') !== '');
    renameSync(at('mount'), at('gone'));
    let frame = 1;
    await until('the failure', () => {
      sink.publish(frameOf(frame++), 'a.mp4');
      return failures.length > 0;
    });
    expect(failures[0]!.details).toMatchObject({ cause: 'ENOENT' });
    mkdirSync(at('mount'));
    await until('the recovery', () => recoveries.length > 0);
    await sink.close();
    expect([...framesIn(read('gone/a.jsonl')), ...framesIn(read('mount/a.jsonl'))]).toEqual(
      Array.from({ length: frame }, (_, i) => i),
    );
  });
});

describe.skipIf(disk === null)('a full disk (needs to mount one)', () => {
  it('keeps written lines, continues when there is space again, and counts lost results', async () => {
    const path = join(disk!.path, 'a.jsonl');
    const failures: SightlineError[] = [];
    const recoveries: number[] = [];
    const sink = new JsonlSink({
      id: 'out',
      path,
      append: true,
      onFailure: (error) => failures.push(error),
      onRecovery: (lost) => recoveries.push(lost),
    });
    // A live stream does not wait: this is far more than the disk and the buffer can hold.
    const padded = { ...person, label: 'x'.repeat(10_000) };
    let published = 0;
    await waitFor('the disk to be full', () => {
      sink.publish(frameOf(published++, [padded]), 'cam');
      return failures.length > 0;
    });
    const kept = framesIn(readFileSync(path, 'utf8'));
    expect(kept.length).toBeGreaterThan(2);
    expect(kept).toEqual(kept.map((_, i) => i));
    while (published < 2000) sink.publish(frameOf(published++, [padded]), 'cam');
    disk!.grow(64 * 1024);
    await waitFor('the recovery', () => recoveries.length > 0);
    sink.publish(frameOf(published++), 'cam');
    const error = (await sink.close().catch((thrown: SightlineError) => thrown)) as SightlineError;
    const frames = framesIn(readFileSync(path, 'utf8'));
    expect(frames).toEqual([...frames].sort((a, b) => a - b));
    expect(new Set(frames).size).toBe(frames.length);
    expect(frames.slice(0, kept.length)).toEqual(kept);
    expect(frames.at(-1)).toBe(published - 1);
    expect(error.details).toMatchObject({ lostResults: published - frames.length });
    expect(recoveries).toEqual([published - frames.length]);
    expect(failures.map(({ details }) => details.cause)).toEqual(['ENOSPC']);
  });

  it('makes a file wait: nothing is lost', async () => {
    rmSync(join(disk!.path, 'a.jsonl'));
    disk!.grow(64);
    const path = join(disk!.path, 'b.jsonl');
    const failures: SightlineError[] = [];
    const sink = new JsonlSink({ id: 'out', path, append: true, onFailure: (error) => failures.push(error) });
    const padded = { ...person, label: 'x'.repeat(10_000) };
    const publishing = (async () => {
      for (let i = 0; i < 500; i++) if (!sink.publish(frameOf(i, [padded]), 'a.mp4')) await sink.drained();
    })();
    await waitFor('the disk to be full', () => failures.length > 0);
    disk!.grow(64 * 1024);
    await publishing;
    await sink.close();
    expect(framesIn(readFileSync(path, 'utf8'))).toEqual(Array.from({ length: 500 }, (_, i) => i));
    rmSync(path);
  });
});

describe('a file that gets its final name at the end', () => {
  const detect = (name: string, notices: string[] = []) =>
    new JsonlSink({ id: 'out', path: at(name), onFailure: unexpected, onNotice: (text) => notices.push(text) });

  it('replaces an earlier one only when it is complete', async () => {
    writeFileSync(at('a.jsonl'), '{"frame":7}\n');
    const notices: string[] = [];
    const cutShort = detect('a.jsonl', notices);
    cutShort.publish(frameOf(0), 'a.mp4');
    await cutShort.close(false);
    expect(framesIn(read('a.jsonl'))).toEqual([7]);
    expect(framesIn(read('a.partial.jsonl'))).toEqual([0]);
    expect(notices).toEqual([
      `sink out: the output is incomplete and stays in ${at('a.partial.jsonl')}; ${at('a.jsonl')} was not written`,
    ]);

    const complete = detect('a.jsonl', notices);
    complete.publish(frameOf(1), 'a.mp4');
    await complete.close();
    expect(framesIn(read('a.jsonl'))).toEqual([1]);
    expect(framesIn(read('a.recovered-1.jsonl'))).toEqual([0]);
    expect(names().sort()).toEqual(['a.jsonl', 'a.recovered-1.jsonl']);
  });

  it('keeps its partial name if it is incomplete, without an earlier file as well; the next run keeps it', async () => {
    const first = detect('a.jsonl');
    first.publish(frameOf(0), 'a.mp4');
    await first.close(false);
    expect(names()).toEqual(['a.partial.jsonl']);
    await detect('a.jsonl').close(false);
    expect(names()).toEqual(['a.recovered-1.jsonl']);
    expect(framesIn(read('a.recovered-1.jsonl'))).toEqual([0]);
  });

  it.each(['jsonl', 'json'])('leaves no file (%s) if the run ends before its first result', async (extension) => {
    const path = at(`a.${extension}`);
    const sink =
      extension === 'json'
        ? new CocoSink({ id: 'out', path, classes: ['person'], onFailure: unexpected })
        : new JsonlSink({ id: 'out', path, onFailure: unexpected });
    await sink.close(false);
    expect(names()).toEqual([]);
  });

  it('is written without any result if the inputs were read to their end', async () => {
    await detect('a.jsonl').close();
    expect(names()).toEqual(['a.jsonl']);
  });

  it('replaces the target of a link, and keeps the link', async () => {
    writeFileSync(at('real.jsonl'), '');
    symlinkSync(at('real.jsonl'), at('link.jsonl'));
    const sink = detect('link.jsonl');
    sink.publish(frameOf(0), 'a.mp4');
    await sink.close();
    expect(framesIn(read('real.jsonl'))).toEqual([0]);
    expect(names().sort()).toEqual(['link.jsonl', 'real.jsonl']);
  });

  it.skipIf(!hasProc)(
    'is written directly if it is standard output, wherever the shell redirects it (needs /proc)',
    async () => {
      const file = await open(at('redirected'), 'w');
      const path = `/proc/self/fd/${file.fd}`;
      const sink = new JsonlSink({ id: 'out', path, onFailure: unexpected });
      sink.publish(frameOf(0), 'a.mp4');
      await sink.close();
      await file.close();
      expect(framesIn(read('redirected'))).toEqual([0]);
      expect(names()).toEqual(['redirected']);
      const coco = new CocoSink({ id: 'coco', path: '/dev/null', classes: ['person'], onFailure: () => undefined });
      await expect(coco.close()).rejects.toThrow(/a pipe or a device.*name a file/);
    },
  );

  it.skipIf(disk === null)('keeps its partial name when the disk is full, and the failure says so', async () => {
    disk!.grow(64);
    const path = join(disk!.path, 'c.jsonl');
    writeFileSync(path, '{"frame":7}\n');
    const sink = new JsonlSink({ id: 'out', path, onFailure: () => undefined });
    for (let i = 0; i < 100; i++) sink.publish(frameOf(i, [{ ...person, label: 'x'.repeat(2000) }]), 'a.mp4');
    const partial = join(disk!.path, 'c.partial.jsonl');
    await expect(sink.close()).rejects.toThrow(`the output so far is in ${partial}`);
    expect(framesIn(readFileSync(path, 'utf8'))).toEqual([7]);
    const kept = framesIn(readFileSync(partial, 'utf8'));
    expect(kept).toEqual(kept.map((_, i) => i));
    expect(kept.length).toBeGreaterThan(5);
    for (const name of readdirSync(disk!.path)) rmSync(join(disk!.path, name));
  });
});

describe('a COCO file of a pipeline', () => {
  const openCoco = () =>
    new CocoSink({ id: 'coco', path: at('r.json'), classes: ['person'], keepsEarlier: true, onFailure: unexpected });

  it('is kept under a numbered name when the next run ends', async () => {
    for (const frame of [0, 1, 2]) {
      const sink = openCoco();
      sink.publish(frameOf(frame, [person]), 'cam');
      await sink.close();
    }
    expect([imagesIn('r.1.json'), imagesIn('r.2.json'), imagesIn('r.json')]).toEqual([[1], [2], [3]]);
    expect(names()).toHaveLength(3);
  });

  it.each([
    ['after an entry', '[\n{"image_id":1},\n{"image_id":2},\n', [1, 2]],
    ['within an entry', '[\n{"image_id":1},\n{"image_id":2', [1]],
    ['before a line break', '[\n{"image_id":1},\n{"image_id":2},', [1, 2]],
    ['before a comma, or after the last one was taken away', '[\n{"image_id":1},\n{"image_id":2}', [1, 2]],
    ['within the end of the list', '[\n{"image_id":1}\n', [1]],
    ['before the last line break', '[\n{"image_id":1}\n]', [1]],
    ['when it was complete but not renamed yet', '[\n{"image_id":1}\n]\n', [1]],
    ['before its first entry', '[\n', null],
    ['at once', '', null],
  ])('of a run that crashed %s is completed', async (_, left, images) => {
    writeFileSync(at('r.partial.json'), left);
    const sink = openCoco();
    sink.publish(frameOf(8, [person]), 'cam');
    await sink.close();
    expect(imagesIn('r.json')).toEqual([9]);
    if (images !== null) expect(imagesIn('r.recovered-1.json')).toEqual(images);
    expect(names()).toHaveLength(images === null ? 1 : 2);
  });
});

describe('the partial file of a video', () => {
  it('is kept if it has pictures, whatever its container, and removed if it has none', async () => {
    const notices: string[] = [];
    const note = (text: string) => notices.push(text);
    const header = Buffer.from('....ftypisom........moov');
    writeFileSync(at('a.partial.mp4'), Buffer.concat([header, Buffer.from('....moof')]));
    writeFileSync(at('b.partial.mkv'), Buffer.from([0x1a, 0x45, 0xdf, 0xa3, 0, 0x1f, 0x43, 0xb6, 0x75]));
    writeFileSync(at('c.partial.mp4'), header);
    writeFileSync(at('d.partial.mp4'), '');
    // A file with its index in front, which was about to be renamed.
    writeFileSync(at('e.partial.mp4'), Buffer.concat([header, Buffer.alloc(100_000), Buffer.from('mdat')]));
    writeFileSync(at('a.mp4.0123abcd.tmp'), 'an unfinished copy');
    writeFileSync(at('a.mp4.notes.tmp'), 'of somebody else');
    for (const name of ['a.mp4', 'b.mkv', 'c.mp4', 'd.mp4', 'e.mp4']) await recoverVideo('film', at(name), note);
    await recoverVideo('film', join(folder, 'missing', 'f.mp4'), note);
    expect(names().sort()).toEqual(['a.mp4.notes.tmp', 'a.recovered-1.mp4', 'b.recovered-1.mkv', 'e.recovered-1.mp4']);
    expect(notices).toHaveLength(3);
  });
});
