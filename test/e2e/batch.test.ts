import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/core/seeded-random.ts';
import { type CliResult, cli, ended, startCli, temporaryFolder } from '../support/cli.ts';
import { testFfmpeg, VideoFolder } from '../support/made-videos.ts';
import { sharedDir } from '../support/shared.ts';
import { waitFor } from '../support/wait-for.ts';

/** Content of all files below a folder, hidden ones too, by their path. */
function contentOf(folder: string): Record<string, string> {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();
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
    expect(existsSync(at('.changed.jsonl.resume'))).toBe(false);
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
    expect(readdirSync(at('videos')).sort()).toEqual(['slow.mp4.mp4', 'stream.ts.mp4']);
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
