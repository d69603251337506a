import { copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../support/cli.ts';
import { cliHere } from '../support/cli-here.ts';
import { VideoFolder } from '../support/made-videos.ts';

describe('sightline optimize', () => {
  const temporary = temporaryFolder();
  const videos = new VideoFolder();
  const report = join(temporary.path, 'report');
  let clip: string;

  beforeAll(async () => {
    clip = await videos.make('clip.mp4', { frames: 120, fps: 25 });
  });

  afterAll(() => {
    temporary.remove();
    videos.remove();
  });

  it.each([
    [['--budget', '20 minutes'], '--budget: expected a time from 60s to 24h, such as 20m, received "20 minutes"'],
    [['--budget', '5s'], '--budget: expected a time from 60s'],
    [['--max-loss', '2'], '--max-loss: expected a number from 0 to 1'],
    [['--levers', 'engine,magic'], '--levers: expected some of model, engine'],
    [['--target', 'p99>=50ms'], 'p99'],
    [['--annotations', 'a.json'], '--annotations and --images: expected both or neither'],
    [['--holdout-annotations', 'a.json'], '--holdout-annotations and --holdout-images: expected both or neither'],
    [['--report', '/proc/x'], '--report: expected a folder on a disk, received "/proc/x"'],
    [['--sequences', '/nonexistent'], '/nonexistent: expected a folder with gt/gt.txt, as MOTChallenge has it'],
    [
      ['--candidates', '/nonexistent'],
      '--candidates /nonexistent: expected a folder with ONNX files or manifests, there is no such folder',
    ],
  ])(
    'refuses %j',
    async (flags, message) => {
      const { code, stderr } = await cliHere(['optimize', clip, '--plan', ...flags]);
      expect(stderr).toContain(message);
      expect(code).toBe(2);
    },
    180_000,
  );

  it('refuses sequences that cannot judge', async () => {
    const folder = join(temporary.path, 'walk');
    mkdirSync(join(folder, 'gt'), { recursive: true });
    writeFileSync(join(folder, 'gt', 'gt.txt'), '1,1,0,0,9,9,1,-1,-1,-1\n');
    const optimize = () => cliHere(['optimize', clip, '--plan', '--sequences', folder]);
    expect((await optimize()).stderr).toContain(
      `${folder}: expected video.mp4 or video.mkv beside gt; make it of pictures`,
    );
    copyFileSync(clip, join(folder, 'video.mp4'));
    expect(await optimize()).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('expected at least 10 true tracks, to judge identities by, received 1'),
    });
  });

  it('refuses to run without a pipeline', async () => {
    const { code, stderr } = await cliHere(['optimize']);
    expect(stderr).toContain('expected a pipeline file or a video; or --review');
    expect(code).toBe(2);
  });

  it('refuses a pipeline that reads a camera: the same pictures must come again', async () => {
    const { code, stderr } = await cliHere(['optimize', 'rtsp://127.0.0.1:1/camera', '--plan']);
    expect(stderr).toContain('optimize repeats the same pictures, so it needs a recording');
    expect(code).toBe(2);
  });

  it('plans without measuring', async () => {
    const { code, stdout } = await cliHere(['optimize', clip, '--plan', '--json', '--report', report]);
    expect(code).toBe(0);
    const plan = JSON.parse(stdout) as { steps: unknown[]; measurements: { kind: string }[]; seconds: number };
    expect(plan.steps.length).toBeGreaterThan(0);
    expect(plan.measurements.map(({ kind }) => kind)).toEqual(expect.arrayContaining(['screen', 'pair', 'compare']));
    expect(existsSync(report)).toBe(false);
  });
});
