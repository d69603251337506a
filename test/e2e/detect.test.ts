import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { HAS_ZSTD } from '../../src/base/disk/compression.ts';
import { cli, ended, startCli, temporaryFolder } from '../support/cli.ts';
import { cliHere } from '../support/cli-here.ts';
import { VideoFolder } from '../support/made-videos.ts';
import { parquetRows } from '../support/parquet-rows.ts';
import { waitFor } from '../support/wait-for.ts';

interface Line {
  readonly source: string;
  readonly frame: number;
  readonly ptsUs: number;
  readonly width: number;
  readonly height: number;
  readonly detections: readonly unknown[];
}

describe('sightline detect', () => {
  const temporary = temporaryFolder();
  const videos = new VideoFolder();
  const out = join(temporary.path, 'r.jsonl');
  let clip: string;

  const lines = (): Line[] =>
    readFileSync(out, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Line);

  beforeAll(async () => {
    clip = await videos.make('clip.mp4', { frames: 30, fps: 25 });
  });

  afterAll(() => {
    temporary.remove();
    videos.remove();
  });

  it('writes one line per frame, in order, with its media time', async () => {
    expect((await cli(['detect', clip, '--engine', 'fake', '--out', out])).code).toBe(0);
    expect(lines().map(({ frame }) => frame)).toEqual(Array.from({ length: 30 }, (_, i) => i));
    expect(lines().map(({ ptsUs }) => ptsUs)).toEqual(Array.from({ length: 30 }, (_, i) => i * 40_000));
    expect(lines()[0]).toEqual({
      stream: clip,
      source: clip,
      frame: 0,
      ptsUs: 0,
      width: 320,
      height: 180,
      by: 'inferred',
      detections: [],
    });
  });

  it('--every processes every n-th frame and keeps frame numbers', async () => {
    expect((await cliHere(['detect', clip, '--engine', 'fake', '--every', '7', '--out', out])).code).toBe(0);
    expect(lines().map(({ frame, ptsUs }) => [frame, ptsUs])).toEqual([0, 7, 14, 21, 28].map((n) => [n, n * 40_000]));
  });

  it('--parquet writes a file for all inputs, or one for each in a folder, and no pipe', async () => {
    const [file, folder] = [join(temporary.path, 'all.parquet'), join(temporary.path, 'each/')];
    for (const path of [file, folder])
      expect((await cliHere(['detect', clip, '--engine', 'fake', '--parquet', path])).code).toBe(0);
    expect(await parquetRows(file)).toEqual([]);
    expect(readdirSync(folder).filter((name) => !name.startsWith('.'))).toEqual(['clip.mp4.parquet']);
    const { code, stderr } = await cliHere(['detect', clip, '--engine', 'fake', '--parquet', '-']);
    expect([code, stderr]).toEqual([
      expect.any(Number),
      expect.stringContaining('--parquet: a Parquet file is read from its end'),
    ]);
    expect(code).not.toBe(0);
  });

  it('--json prints exactly one document on standard output', async () => {
    const { stdout, code } = await cliHere(['detect', clip, '--engine', 'fake', '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ inputs: [{ source: clip, frames: 30, error: null }] });
  });

  it('reports an unreadable input, processes the others, and exits with code 1', async () => {
    const bad = join(temporary.path, 'bad.mp4');
    writeFileSync(bad, 'no video');
    const { code, stderr } = await cliHere(['detect', clip, bad, clip, '--engine', 'fake', '--out', out]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/bad\.mp4: it is not a video/);
    expect(lines()).toHaveLength(60);
  });

  it('leaves complete lines when interrupted', async () => {
    const child = startCli(['detect', 'synthetic:testsrc2=size=320x180:rate=25', '--engine', 'fake', '--out', '-']);
    const result = ended(child);
    child.stdout!.once('data', () => child.kill('SIGINT'));
    const { stdout, code } = await result;
    expect(code).toBe(130);
    const written = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Line);
    expect(written.map(({ frame }) => frame)).toEqual(written.map((_, i) => i));
    expect(written.length).toBeGreaterThan(0);
  });

  it('leaves no file if the weights are missing', async () => {
    const empty = join(temporary.path, 'empty');
    const env = {
      SIGHTLINE_CACHE_DIR: empty,
      SIGHTLINE_MODEL_PATH: '',
      // Nothing listens there, so npm cannot fetch them either.
      npm_config_registry: 'http://127.0.0.1:9',
      npm_config_fetch_retries: '0',
      npm_config_cache: empty,
    };
    const flags = ['--model', 'centernet', '--engine', 'onnx', '--out', join(temporary.path, 'none.jsonl')];
    const { code, stderr } = await cli(['detect', clip, ...flags, '--coco', join(temporary.path, 'none.json')], env);
    expect(stderr).toContain('[MODEL_WEIGHTS_MISSING]');
    expect(code).toBe(1);
    expect(readdirSync(temporary.path).filter((name) => name.startsWith('none.'))).toEqual([]);
  });

  describe('an earlier result', () => {
    const earlier = '{"frame":7}\n';
    const partial = join(temporary.path, 'r.partial.jsonl');
    const named = (): string[] => readdirSync(temporary.path).filter((name) => name.startsWith('r.'));
    beforeEach(() => {
      for (const name of named()) rmSync(join(temporary.path, name));
      writeFileSync(out, earlier);
    });

    it('stays if no input can be read', async () => {
      const bad = join(temporary.path, 'bad.mp4');
      writeFileSync(bad, 'no video');
      expect((await cliHere(['detect', bad, '--engine', 'fake', '--out', out])).code).toBe(1);
      expect(readFileSync(out, 'utf8')).toBe(earlier);
      expect(named()).toEqual(['r.jsonl']);
    });

    it('stays if the command is killed; its partial result is kept, and the next run replaces the earlier result', async () => {
      const endless = 'synthetic:testsrc2=size=320x180:rate=25';
      const killed = startCli(['detect', endless, '--engine', 'fake', '--out', out]);
      const end = ended(killed);
      await waitFor('results', () => existsSync(partial) && readFileSync(partial).length > 2000, {
        deadlineMs: 60_000,
      });
      killed.kill('SIGKILL');
      await end;
      expect(readFileSync(out, 'utf8')).toBe(earlier);

      const { code, stderr } = await cli(['detect', clip, '--engine', 'fake', '--out', out]);
      expect(code).toBe(0);
      expect(lines()).toHaveLength(30);
      expect(stderr).toMatch(/an earlier run was cut short; its results are in .*r\.recovered-1\.jsonl/);
      expect(named().sort()).toEqual(['r.jsonl', 'r.recovered-1.jsonl']);
      const recovered = readFileSync(join(temporary.path, 'r.recovered-1.jsonl'), 'utf8').trimEnd().split('\n');
      expect(recovered.map((line) => (JSON.parse(line) as Line).frame)).toEqual(recovered.map((_, i) => i));
    });

    it('stays if the command is interrupted, which reports the path of the new result', async () => {
      const child = startCli(['detect', 'synthetic:testsrc2=size=320x180:rate=25', '--engine', 'fake', '--out', out]);
      const result = ended(child);
      await waitFor('results', () => existsSync(partial) && readFileSync(partial).length > 2000, {
        deadlineMs: 60_000,
      });
      child.kill('SIGTERM');
      const { code, stderr } = await result;
      expect(code).toBe(143);
      expect(stderr).toMatch(/interrupted after 0 of 1 file, frame \d+ of synthetic:testsrc2/);
      expect(stderr).toMatch(/incomplete and stays in .*r\.partial\.jsonl; .*r\.jsonl was not written/);
      expect(readFileSync(out, 'utf8')).toBe(earlier);
      expect(named().sort()).toEqual(['r.jsonl', 'r.partial.jsonl']);
    });
  });

  it('says after how many files it was interrupted, and leaves only files whose names say so', async () => {
    const at = (name: string): string => join(temporary.path, name);
    const endless = 'synthetic:testsrc2=size=320x180:rate=25';
    const outputs = ['--out', at('cut.jsonl'), '--coco', at('cut.json')];
    const flags = ['--engine', 'fake', '--jobs', '1', ...outputs, '--json'];
    const child = startCli(['detect', clip, clip, endless, clip, ...flags]);
    const result = ended(child);
    const isThere = (): boolean =>
      existsSync(at('cut.partial.jsonl')) && /testsrc2/.test(readFileSync(at('cut.partial.jsonl'), 'utf8'));
    await waitFor('results of the third input', isThere, { deadlineMs: 60_000 });
    child.kill('SIGINT');
    const { code, stderr, stdout } = await result;
    expect(code).toBe(130);
    const [, frame] = /interrupted after 2 of 4 files, frame (\d+) of synthetic:testsrc2/.exec(stderr) ?? [];
    const lines = readFileSync(at('cut.partial.jsonl'), 'utf8').trimEnd().split('\n');
    expect(lines.length, 'two clips of 30 frames before').toBe(60 + Number(frame));
    expect(
      readdirSync(temporary.path).filter((name) => name.startsWith('cut.') && !name.includes('.partial.')),
    ).toEqual([]);
    const { inputs } = JSON.parse(stdout) as { inputs: { isInterrupted: boolean }[] };
    expect(inputs.map(({ isInterrupted }) => isInterrupted)).toEqual([false, false, true]);
  });

  describe('compressed lines', () => {
    const packed = join(temporary.path, 'z.jsonl.gz');
    const unpacked = (path: string): string => gunzipSync(readFileSync(path)).toString();

    it('are the same lines', async () => {
      await cliHere(['detect', clip, '--engine', 'fake', '--out', out]);
      expect((await cliHere(['detect', clip, '--engine', 'fake', '--out', packed])).code).toBe(0);
      expect(unpacked(packed)).toBe(readFileSync(out, 'utf8'));
    });

    it('can be read after the command was killed, from the first frame on without a gap', async () => {
      const partial = join(temporary.path, 'z.partial.jsonl.gz');
      const killed = startCli([
        'detect',
        'synthetic:testsrc2=size=320x180:rate=25',
        '--engine',
        'fake',
        '--out',
        packed,
      ]);
      const end = ended(killed);
      await waitFor('results', () => existsSync(partial) && readFileSync(partial).length > 2000, {
        deadlineMs: 60_000,
      });
      killed.kill('SIGKILL');
      await end;
      const { stderr } = await cli(['detect', clip, '--engine', 'fake', '--out', packed]);
      expect(stderr).toMatch(/an earlier run was cut short; its results are in .*z\.recovered-1\.jsonl\.gz/);
      const recovered = unpacked(join(temporary.path, 'z.recovered-1.jsonl.gz')).trimEnd().split('\n');
      expect(recovered.length).toBeGreaterThan(10);
      expect(recovered.map((line) => (JSON.parse(line) as Line).frame)).toEqual(recovered.map((_, i) => i));
      expect(unpacked(packed).trimEnd().split('\n')).toHaveLength(30);
    });

    it.skipIf(HAS_ZSTD)('with zstd need a newer Node.js; the error names gzip', async () => {
      const zst = join(temporary.path, 'z.jsonl.zst');
      const { code, stderr } = await cliHere(['detect', clip, '--engine', 'fake', '--out', zst]);
      expect(code).toBe(2);
      expect(stderr).toMatch(/--out: .*zstd needs Node\.js 22\.15 or later.*; use .*z\.jsonl\.gz for gzip/);
      expect(existsSync(zst)).toBe(false);
    });
  });

  it('refuses the same file for two kinds of results', async () => {
    const { code, stderr } = await cliHere(['detect', clip, '--engine', 'fake', '--out', out, '--coco', out]);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /sink --coco: .*r\.jsonl is written by sink --out of this process; choose another file.*SINK_BUSY/,
    );
  });
});
