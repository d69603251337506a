import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/base/core/seeded-random.ts';
import { type CliResult, cli, ended, startCli, temporaryFolder } from '../support/cli.ts';
import { testFfmpeg, VideoFolder } from '../support/made-videos.ts';
import { sharedDir } from '../support/shared.ts';
import { waitFor } from '../support/wait-for.ts';

/** Content of all files below a folder by their path, hidden ones too, but not what `--resume` keeps. */
function contentOf(folder: string): Record<string, string> {
  const all = readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();
  const names = all.filter((name) => !/\.resume\b/.test(name));
  const files = names.filter((name) => statSync(join(folder, name)).isFile());
  return Object.fromEntries(files.map((name) => [name, readFileSync(join(folder, name), 'latin1')]));
}

/** Bytes of the records in a folder from which a run goes on; 0 if there is none. */
function recordedBytes(folder: string): number {
  if (!existsSync(folder)) return 0;
  const names = readdirSync(folder).filter((name) => /^\d+\.jsonl$/.test(name));
  return names.reduce((sum, name) => sum + (statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0), 0);
}

describe('an interrupted batch', () => {
  const temporary = temporaryFolder();
  const videos = new VideoFolder();
  const at = (name: string): string => join(temporary.path, name);
  const random = seededRandom(20261127);
  let inputs: string[];

  beforeAll(async () => {
    const long = await videos.make('long.mp4', { frames: 400 });
    const slow = await videos.make('slow.mp4', { frames: 90, fps: 10, width: 240, height: 136 });
    const stream = join(videos.path, 'stream.ts');
    await promisify(execFile)(testFfmpeg.path, [
      '-loglevel',
      'error',
      '-i',
      long,
      '-c',
      'copy',
      '-frames:v',
      '200',
      stream,
    ]);
    mkdirSync(at('pictures'));
    for (let i = 0; i < 12; i++)
      await sharp({ create: { width: 64, height: 48, channels: 3, background: { r: i * 20, g: 0, b: 0 } } })
        .jpeg()
        .toFile(at(`pictures/${100 + i}.jpg`));
    writeFileSync(at('pictures/105.jpg'), 'no picture');
    writeFileSync(at('pictures/notes.txt'), 'no picture either');
    writeFileSync(at('broken.mp4'), 'no video');
    inputs = [slow, stream, at('broken.mp4'), at('pictures'), long];
  });
  afterAll(() => {
    temporary.remove();
    videos.remove();
  });

  /**
   * Starts a command again and again with `--resume`, and kills it each time that it has recorded some more; a fast machine may be
   * done earlier.
   */
  async function killedOften(args: readonly string[], records: string, cuts: number): Promise<CliResult> {
    const signals = ['SIGKILL', 'SIGINT', 'SIGKILL', 'SIGTERM'] as const;
    for (let cut = 0; cut < cuts; cut++) {
      const child = startCli([...args, '--resume']);
      const result = ended(child);
      const before = recordedBytes(records);
      const more = 1 + Math.floor(random() * 3000);
      const isOver = (): boolean => child.exitCode !== null;
      await waitFor('progress', () => isOver() || recordedBytes(records) > before + more, { deadlineMs: 30_000 });
      const signal = signals[cut % signals.length]!;
      child.kill(signal);
      const run = await result;
      const { code, stderr } = run;
      if (code === 0 || code === 1) {
        if (cut === 0) throw new Error('it ended before the first cut');
        return run;
      }
      if (signal !== 'SIGKILL') expect(stderr).toMatch(/interrupted after \d+ of 16 files.*--resume continues there/);
    }
    return cli([...args, '--resume']);
  }

  it.each([
    ['one file of lines and one of COCO', ['--out', 'r.jsonl', '--coco', 'r.json'], '.r.jsonl.resume'],
    ['a file for each input, and labels', ['--out', 'r/', '--format', 'csv', '--yolo', 'labels/'], 'r/.resume'],
    ['videos and pictures with boxes', ['--out', 'r.ndjson', '--video', 'r/'], '.r.ndjson.resume'],
  ])('gives the same bytes as one that was not: %s', async (_, outputs, records) => {
    const place = (folder: string): string[] =>
      outputs.map((arg) => (/^r|^labels/.test(arg) ? at(`${folder}/${arg}`) : arg));
    const [whole, cut] = [`whole-${records.length}`, `cut-${records.length}`];
    for (const folder of [whole, cut]) mkdirSync(at(folder));
    const flags = ['--engine', 'fake', '--track', '--every', '2'];
    const reference = await cli(['detect', ...inputs, ...flags, ...place(whole)]);
    expect(reference.code, 'a broken video and a broken picture').toBe(1);
    expect(reference.stderr).toMatch(/1 file is neither video nor picture, and left out: .*notes\.txt/);
    const { code, stderr } = await killedOften(
      ['detect', ...inputs, ...flags, ...place(cut)],
      at(`${cut}/${records}`),
      4,
    );
    expect(code, stderr).toBe(1);
    expect(Object.keys(contentOf(at(whole))).length).toBeGreaterThan(1);
    expect(contentOf(at(cut))).toEqual(contentOf(at(whole)));
  });

  it('is not continued with other inputs or options, and the message names them', async () => {
    const args = ['detect', ...inputs, '--engine', 'fake', '--out', at('changed.jsonl')];
    const child = startCli(args);
    const result = ended(child);
    await waitFor('progress', () => recordedBytes(at('.changed.jsonl.resume')) > 1000, { deadlineMs: 30_000 });
    child.kill('SIGKILL');
    await result;
    const refused = async (changed: readonly string[]): Promise<string> => {
      const { code, stderr } = await cli([...changed, '--resume']);
      expect(code).toBe(2);
      return stderr;
    };
    expect(await refused([...args, '--every', '3', '--track'])).toMatch(
      /--track: true, before none.*--every: 3, before 1|--every: 3, before 1.*--track: true, before none/,
    );
    expect(await refused(args.toSpliced(1, 1))).toMatch(/input 1 is .*stream\.ts, before .*slow\.mp4/);
    utimesSync(inputs[0]!, new Date(), new Date(Date.now() + 5000));
    expect(await refused(args)).toMatch(/input .*slow\.mp4: the file has changed/);
    const anew = await cli(args);
    expect(anew.stderr).toMatch(/discarded; --resume would have continued it/);
    expect(readFileSync(at('changed.jsonl'), 'utf8').trimEnd().split('\n')).toHaveLength(90 + 200 + 11 + 400);
    expect(readdirSync(at('.changed.jsonl.resume'))).toEqual(['run.json']);
  });

  it('of annotated videos keeps those that are done, and makes the interrupted one anew', async () => {
    const clips = inputs.slice(0, 2);
    const args = ['detect', ...clips, '--engine', 'fake', '--jobs', '1', '--video', `${at('videos')}/`];
    const child = startCli(args);
    const result = ended(child);
    const isSecond = (): boolean => existsSync(at('videos/.resume/1.jsonl'));
    await waitFor('the second video', isSecond, { deadlineMs: 30_000 });
    child.kill('SIGKILL');
    await result;
    const first = statSync(at('videos/slow.mp4.mp4'));
    const { code, stderr } = await cli([...args, '--resume']);
    expect(code, stderr).toBe(0);
    expect(statSync(at('videos/slow.mp4.mp4'))).toMatchObject({ ino: first.ino, mtimeMs: first.mtimeMs });
    expect(readdirSync(at('videos')).sort()).toEqual(['.resume', 'slow.mp4.mp4', 'stream.ts.mp4']);
  });

  it('of pictures with boxes infers none of them again', async () => {
    const args = ['detect', at('pictures'), inputs[4]!, '--engine', 'fake', '--jobs', '1'];
    const outputs = ['--out', at('boxes.jsonl'), '--video', `${at('boxes')}/`];
    const child = startCli([...args, ...outputs]);
    const result = ended(child);
    const records = at('.boxes.jsonl.resume');
    await waitFor('the video', () => existsSync(join(records, '1.jsonl')), { deadlineMs: 30_000 });
    child.kill('SIGKILL');
    await result;
    // Only the record has this width.
    const record = join(records, '0.jsonl');
    writeFileSync(record, readFileSync(record, 'utf8').replace('[0,0,64,', '[0,0,65,'));
    const { code, stderr } = await cli([...args, ...outputs, '--resume']);
    expect(code, stderr).toBe(1);
    expect(JSON.parse(readFileSync(at('boxes.jsonl'), 'utf8').split('\n')[0]!)).toMatchObject({ width: 65 });
    expect(readdirSync(at('boxes'))).toContain('100.jpg.jpg');
  });

  it('is still there after a command that was refused', async () => {
    const clips = inputs.slice(0, 2);
    const args = ['detect', ...clips, '--engine', 'fake', '--out', at('kept.jsonl'), '--yolo', at('kept-labels')];
    const child = startCli(args);
    const result = ended(child);
    const records = at('.kept.jsonl.resume');
    await waitFor('progress', () => recordedBytes(records) > 1000, { deadlineMs: 30_000 });
    child.kill('SIGKILL');
    await result;
    writeFileSync(at('kept-labels/foreign.txt'), '');
    const before = contentOf(at('.kept.jsonl.resume'));
    for (const refused of [
      args,
      args.toSpliced(-2, 2, '--coco', at('missing/c.json')),
      args.toSpliced(-2, 2, '--classes', 'unicorn'),
      args.toSpliced(-2, 2, '--coco', at('pictures')),
    ])
      expect((await cli(refused)).stderr, refused.join(' ')).toMatch(/labels already|does not exist|unicorn|folder/);
    expect(contentOf(at('.kept.jsonl.resume'))).toEqual(before);
    const { code, stderr } = await cli([...args, '--resume']);
    expect(code, stderr).toBe(0);
    expect(stderr).not.toMatch(/nothing to resume/);
    expect(readFileSync(at('kept.jsonl'), 'utf8').trimEnd().split('\n')).toHaveLength(90 + 200);
  });

  it('that is finished begins anew with its own labels, and leaves others alone', async () => {
    const labels = at('own-labels');
    const args = [
      'detect',
      inputs[0]!,
      at('photo.png'),
      '--engine',
      'fake',
      '--out',
      at('own.jsonl'),
      '--yolo',
      labels,
    ];
    await sharp({ create: { width: 64, height: 48, channels: 3, background: 'grey' } })
      .png()
      .toFile(at('photo.png'));
    expect((await cli(args)).code).toBe(0);
    const whole = readdirSync(labels);
    const second = [...args, '--every', '2', '--resume'];
    const { code, stderr } = await cli(second);
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/was finished, but --every: 2, before 1: it begins anew/);
    expect(readdirSync(labels).sort()).toEqual(whole.filter((name) => !/\d*[13579]\.txt$/.test(name)).sort());
    writeFileSync(join(labels, 'foreign.txt'), '');
    rmSync(join(labels, 'classes.txt'));
    const before = contentOf(labels);
    const refused = await cli(second);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(
      /classes\.txt is missing.*holds labels already \(foreign\.txt\); name an empty folder/,
    );
    expect(contentOf(labels)).toEqual(before);
  });

  it('that is finished is not run again, unless inputs, options or outputs changed', async () => {
    const args = ['detect', inputs[0]!, at('broken.mp4'), '--engine', 'fake', '--out', at('done.jsonl')];
    const first = await cli(args);
    expect(first.code, 'a broken video').toBe(1);
    const { ino, mtimeMs } = statSync(at('done.jsonl'));
    const again = await cli([...args, '--resume']);
    expect(again.stderr).toMatch(/nothing is left to do: the run before has finished/);
    expect([again.code, again.stdout]).toEqual([first.code, first.stdout]);
    expect(again.stderr).toMatch(/broken\.mp4: it is not a video/);
    expect(statSync(at('done.jsonl'))).toMatchObject({ ino, mtimeMs });
    const changed = await cli([...args, '--track', '--resume']);
    expect(changed.stderr).toMatch(/was finished, but --track: true, before none: it begins anew/);
    expect(statSync(at('done.jsonl')).ino).not.toBe(ino);
    rmSync(at('done.jsonl'));
    const missing = await cli([...args, '--track', '--resume']);
    expect(missing.stderr).toMatch(/was finished, but .*done\.jsonl is missing: it begins anew/);
    expect(existsSync(at('done.jsonl'))).toBe(true);
  });

  it.skipIf(sharedDir === null)('gives the same tracks (needs the shared folder)', async () => {
    const clips = ['bikes.mp4', 'one-by-one-person-detection.mp4'].map((name) => {
      const path = join(videos.path, `short-${name}`);
      return { path, from: join(sharedDir!, 'videos', name) };
    });
    for (const { path, from } of clips)
      await promisify(execFile)(testFfmpeg.path, [
        '-loglevel',
        'error',
        '-i',
        from,
        '-c',
        'copy',
        '-frames:v',
        '70',
        path,
      ]);
    inputs = clips.map(({ path }) => path);
    const model = ['--model', join(sharedDir!, 'models', 'yolox_nano_256x480.onnx'), '--engine', 'onnx'];
    const args = (out: string): string[] => [
      'detect',
      ...inputs,
      ...model,
      '--track',
      '--classes',
      'person',
      '--out',
      at(out),
    ];
    expect((await cli(args('tracks.jsonl'))).code).toBe(0);
    const child = startCli(args('again.jsonl'));
    const result = ended(child);
    await waitFor('progress', () => recordedBytes(at('.again.jsonl.resume')) > 10_000, { deadlineMs: 30_000 });
    child.kill('SIGKILL');
    await result;
    expect((await cli([...args('again.jsonl'), '--resume'])).code).toBe(0);
    const [whole, again] = ['tracks.jsonl', 'again.jsonl'].map((name) => readFileSync(at(name), 'utf8'));
    expect(again).toBe(whole);
    expect(whole).toMatch(/"label":"person","score":[\d.]+,"box":\[[\d.,]+\],"trackId":\d/);
    expect(new Set(whole!.match(/(?<="label":")[^"]*/g))).toEqual(new Set(['person']));
  });
});

describe('pictures', () => {
  const temporary = temporaryFolder();
  const at = (name: string): string => join(temporary.path, name);
  afterAll(() => temporary.remove());

  beforeAll(async () => {
    const noise = { type: 'gaussian', mean: 128, sigma: 60 } as const;
    const jpeg = await sharp({ create: { width: 160, height: 120, channels: 3, background: 'black', noise } })
      .jpeg()
      .toBuffer();
    mkdirSync(at('photos'));
    for (const name of ['a.jpg', 'b.jpg']) writeFileSync(at(`photos/${name}`), jpeg);
    writeFileSync(at('photos/cut.jpg'), jpeg.subarray(0, jpeg.length / 2));
    writeFileSync(at('named.bmp'), jpeg);
  });

  const args = (...rest: string[]): string[] => ['detect', at('photos'), at('named.bmp'), '--engine', 'fake', ...rest];

  it('have the same results with and without a copy that shows the boxes', async () => {
    expect((await cli(args('--out', `${at('plain')}/`))).code).toBe(0);
    const { code, stderr } = await cli(args('--out', `${at('drawn')}/`, '--video', `${at('shown')}/`));
    expect(code, stderr).toBe(0);
    expect(contentOf(at('drawn'))).toEqual(contentOf(at('plain')));
    expect(Object.keys(contentOf(at('plain')))).toHaveLength(4);
    expect(readdirSync(at('shown')).sort()).toEqual(['a.jpg.jpg', 'b.jpg.jpg', 'cut.jpg.jpg', 'named.bmp.jpg']);
    expect(await sharp(at('shown/a.jpg.jpg')).metadata()).toMatchObject({ format: 'jpeg', width: 160, height: 120 });
  });

  it('that are cut off are read as far as they go, named and counted', async () => {
    const { code, stdout, stderr } = await cli(args());
    expect(code).toBe(0);
    expect(stderr.match(/warning: .*/g)).toEqual([
      expect.stringMatching(/photos\/cut\.jpg: the picture is cut off or damaged/),
    ]);
    expect(stdout).toMatch(/^1 picture is cut off or damaged$/m);
    const { inputs } = JSON.parse((await cli(args('--json'))).stdout) as { inputs: { warnings: string[] }[] };
    expect(inputs.map(({ warnings }) => warnings.length)).toEqual([0, 0, 1, 0]);
    expect(stdout).toMatch(/a\.jpg and 3 more pictures /);
    expect((await cli(args('--dry-run'))).stdout).toMatch(/cut\.jpg +picture +160x120 .*cut off or damaged/);
  });

  it('are counted in the singular, too', async () => {
    const one = ['detect', at('named.bmp'), '--engine', 'fake'];
    expect((await cli([...one, '--dry-run'])).stdout).toMatch(/^1 input, 1 frame, /m);
    expect((await cli(one.toSpliced(1, 0, at('photos/a.jpg')))).stdout).toMatch(/a\.jpg and 1 more picture /);
  });

  it('become no single video, and the message names what to do', async () => {
    const { code, stderr } = await cli(['detect', at('named.bmp'), '--engine', 'fake', '--video', at('v.mp4')]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/named\.bmp is a picture; name a folder/);
  });
});
