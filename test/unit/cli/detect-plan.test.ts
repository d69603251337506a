import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lockPlan } from '../../../src/cli/detect-outputs.ts';
import { type DetectFlags, type DetectPlan, planDetect } from '../../../src/cli/detect-plan.ts';

describe('the plan of detect', () => {
  let folder: string;
  const at = (name: string): string => join(folder, name);
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'sightline-plan-'));
    for (const name of ['a', 'b']) mkdirSync(at(name));
    for (const name of ['a/1.jpg', 'a/2.png', 'a/3.mp4', 'a/4.jpg', 'b/3.mp4']) writeFileSync(at(name), name);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const plan = (inputs: readonly string[], flags: Partial<DetectFlags> = {}): Promise<DetectPlan> =>
    planDetect(inputs, { every: 1, ...flags });

  it('reads pictures that follow each other with one stream', async () => {
    const { items } = await plan([at('a')]);
    expect(items.map(({ kind, order, sources }) => [kind, order, sources.map(({ name }) => name)])).toEqual([
      ['pictures', 0, ['1.jpg', '2.png']],
      ['video', 1, ['3.mp4']],
      ['pictures', 2, ['4.jpg']],
    ]);
    const drawn = await plan([at('a')], { video: at('videos/') });
    expect(drawn.items, 'their boxes are drawn without ffmpeg').toEqual(items);
  });

  it.each([
    ['JPEG', [0xff, 0xd8, 0xff, 0xe0]],
    ['PNG', [...Buffer.from('\x89PNG\r\n\x1a\n', 'latin1')]],
    ['WebP', [...Buffer.from('RIFF\n\0\0\0WEBPVP8 ', 'latin1')]],
  ])('takes %s for a picture whatever its name is', async (kind, start) => {
    for (const name of ['scan.bmp', 'clip.mp4', 'nameless']) {
      writeFileSync(at(`${kind}-${name}`), Buffer.from(start));
      expect((await plan([at(`${kind}-${name}`)])).items.map((item) => item.kind)).toEqual(['pictures']);
    }
    writeFileSync(at('real.bmp'), 'BM');
    expect((await plan([at('real.bmp')])).items.map((item) => item.kind)).toEqual(['video']);
  });

  it('gives inputs of the same name different outputs', async () => {
    const { sources } = await plan([at('a/3.mp4'), at('b/3.mp4'), at('a/4.jpg'), at('a/3.mp4')]);
    expect(new Set(sources.map(({ name }) => name)).size).toBe(4);
    expect(sources[2]).toMatchObject({ name: '4.jpg', stem: '4' });
    expect(sources[0]?.name).toMatch(/^3\.mp4-[0-9a-f]{8}$/);
  });

  it('keeps the name of the list of classes free', async () => {
    writeFileSync(at('b/Classes.jpg'), 'x');
    const { sources } = await plan([at('b/Classes.jpg'), at('a/4.jpg')]);
    expect(sources.map(({ stem }) => stem)).toEqual([expect.stringMatching(/^Classes-[0-9a-f]{8}$/), '4']);
    rmSync(at('b/Classes.jpg'));
  });

  it('never puts credentials of an input into a file name', async () => {
    const { sources } = await plan(['rtsp://user:secret@camera/1?token=abc', 'http://u:secret@host/live.m3u8']);
    for (const name of sources.flatMap((source) => [source.name, source.stem])) {
      expect(name).not.toMatch(/secret|abc/);
      expect(name).toMatch(/^[\w.-]+$/);
    }
  });

  it.each([
    [
      'r.xml',
      {},
      /--out: expected a folder \(DIR\/\) or a name that ends in .*\.jsonl, .*\.csv, \.mot\.txt, received "r\.xml"/,
    ],
    ['r.json', {}, /--coco writes one JSON document/],
    ['r.csv.gz', {}, /expected a folder/],
    ['-', { format: 'csv' as const }, /--out -: rows are written to a file; name one that ends in \.csv/],
    ['-', { format: 'mot' as const, track: true }, /--out -: tracks are written to a file; .* \.mot\.txt/],
    ['r.jsonl', { format: 'csv' as const }, /--format csv: .* is a file of jsonl/],
  ])('refuses --out %s %j, and says what is known', async (out, flags, says) => {
    await expect(plan([at('b')], { out: [out], ...flags })).rejects.toMatchObject({
      code: 'COMMAND_INVALID',
      message: expect.stringMatching(says),
    });
  });

  it.each([
    ['r.jsonl', '.r.jsonl.resume'],
    ['r.NDJSON.gz', '.r.NDJSON.gz.resume'],
    ['r.csv', '.r.csv.resume'],
    ['plain', '.plain.resume'],
    ['r/', 'r/.resume'],
  ])('takes --out %s, and can be resumed', async (out, resume) => {
    expect((await plan([at('b')], { out: [at(out)] })).outputs.resumeFolder).toBe(at(resume));
  });

  it('takes several --out, each in its format; --format is for the folders among them', async () => {
    const out = [at('r.jsonl'), at('r.csv'), at('each/')];
    const { outputs } = await plan([at('b')], { out, format: 'csv' });
    expect(outputs.places.map(({ format, isFolder }) => [format, isFolder])).toEqual([
      ['jsonl', false],
      ['csv', false],
      ['csv', true],
    ]);
    expect(outputs.places[0]).toMatchObject({ id: '--out', path: at('r.jsonl') });
    expect(outputs.resumeFolder).toBe(at('.r.jsonl.resume'));
    expect((await plan([at('b')], { out: [at('r.jsonl'), '-'] })).outputs.resumeFolder).toBeNull();
    const twice = { out: [at('r.jsonl'), at('b/../r.jsonl')] };
    await expect(plan([at('b')], twice)).rejects.toMatchObject({ message: expect.stringMatching(/is named twice/) });
    await expect(plan([at('b/3.mp4')], { out: [at('r.csv'), at('b/3.mp4')] })).rejects.toMatchObject({
      code: 'COMMAND_INVALID',
    });
  });

  it('lets outputs share a folder, which is locked once', async () => {
    const shared = { out: [at('all/')], video: at('all'), yolo: at('all/') };
    mkdirSync(at('all'));
    const { outputs } = await plan([at('b')], { ...shared, coco: at('all/r.json') });
    const locks = await lockPlan(outputs);
    expect(locks).toHaveLength(2);
    await expect(lockPlan((await plan([at('a')], { video: at('all/') })).outputs)).rejects.toMatchObject({
      code: 'SINK_BUSY',
    });
    for (const lock of locks) await lock.release();
  });

  it('cannot be resumed where an output is a pipe, or none is named', async () => {
    expect((await plan([at('b')], { out: ['-'], coco: at('r.json') })).outputs.resumeFolder).toBeNull();
    expect((await plan([at('b')], { out: ['/dev/null'] })).outputs.resumeFolder).toBeNull();
    expect((await plan([at('b')])).outputs.resumeFolder).toBeNull();
  });

  it('refuses an output that is an input, or would become one', async () => {
    const refused = { code: 'COMMAND_INVALID' };
    await expect(plan([at('b/3.mp4')], { video: at('b/3.mp4') })).rejects.toMatchObject(refused);
    await expect(plan([at('b')], { video: at('b/') })).rejects.toMatchObject(refused);
    await expect(plan([at('b')], { video: at('b/out.mp4') })).rejects.toMatchObject(refused);
    await expect(plan([at('a'), at('b')], { video: at('one.mp4') })).rejects.toMatchObject(refused);
  });
});
