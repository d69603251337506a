import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../support/cli.ts';
import { cliHere } from '../support/cli-here.ts';
import { testFfmpeg } from '../support/made-videos.ts';
import { SCENE_HEIGHT, SCENE_WIDTH, sceneAt } from '../support/moving-scene.ts';
import { PipelineProcess } from '../support/pipeline-process.ts';
import { sharedDir } from '../support/shared.ts';
import { madeSequence } from '../unit/network/evaluate/made-sequence.ts';

describe('sequences of MOTChallenge', () => {
  const temporary = temporaryFolder();
  const folder = join(temporary.path, 'MADE');
  const tracks = join(temporary.path, 'tracks.mot.txt');

  beforeAll(() => {
    const made = madeSequence(1, false);
    mkdirSync(join(folder, 'gt'), { recursive: true });
    writeFileSync(join(folder, 'gt', 'gt.txt'), made.truth);
    writeFileSync(join(folder, 'det.txt'), made.tracks.replaceAll(/^(\d+),\d+/gm, '$1,-1'));
    const info = { name: 'MADE', frameRate: 10, seqLength: 60, imWidth: 900, imHeight: 400 };
    const lines = Object.entries(info).map(([key, value]) => `${key}=${value}\n`);
    writeFileSync(join(folder, 'seqinfo.ini'), `[Sequence]\n${lines.join('')}`);
  });

  afterAll(() => temporary.remove());

  it('are tracked from given detections, and the tracks that are written give the same figures', async () => {
    const flags = ['--detections', join(folder, 'det.txt'), '--json'];
    const { stdout, code } = await cliHere(['eval', folder, ...flags, '--out', tracks]);
    expect(code).toBe(0);
    const report = JSON.parse(stdout) as Record<string, unknown>;
    expect(report).toMatchObject({ sequence: 'MADE', every: 1, fps: 10, trueIds: 8 });
    const scored = await cliHere(['score', join(folder, 'gt', 'gt.txt'), tracks, '--json']);
    const { hota, idf1, switches } = JSON.parse(scored.stdout) as Record<string, number>;
    // Tracks are written with two decimals.
    expect(hota).toBeCloseTo(report.hota as number, 3);
    expect([idf1, switches]).toEqual([report.idf1, report.switches]);
    const slow = await cliHere(['eval', folder, '--detections', join(folder, 'det.txt'), '--every', '5']);
    expect(slow.stdout).toMatch(/^MADE: .*det\.txt, every 5\. frame, 2 frames\/s\nHOTA +0\.\d{4} /);
  });

  it('are tracked though the camera jumps, if pictures or a video show how', async () => {
    const jumpy = join(temporary.path, 'JUMPY');
    for (const name of ['gt', 'img1']) mkdirSync(join(jumpy, name), { recursive: true });
    const [gt, det]: [string[], string[]] = [[], []];
    const pictures = Array.from({ length: 30 }, async (_, k) => {
      const camera = { x: 80 + 40 * Math.round(Math.sin(k >> 2)), y: 60 + 25 * Math.round(Math.cos(k >> 2)) };
      for (const [id, x] of [130 + k, 260, 300].entries()) {
        const box = `${x - camera.x},${100 - camera.y},20,40`;
        gt.push(`${k + 1},${id + 1},${box},1,-1,-1,-1\n`);
        det.push(`${k + 1},-1,${box},0.9,-1,-1,-1\n`);
      }
      const raw = { width: SCENE_WIDTH, height: SCENE_HEIGHT, channels: 3 } as const;
      const path = join(jumpy, 'img1', `${String(k + 1).padStart(6, '0')}.png`);
      await sharp(sceneAt(camera.x, camera.y), { raw }).toFile(path);
    });
    await Promise.all(pictures);
    writeFileSync(join(jumpy, 'gt', 'gt.txt'), gt.join(''));
    writeFileSync(join(jumpy, 'det.txt'), det.join(''));
    writeFileSync(
      join(jumpy, 'seqinfo.ini'),
      '[Sequence]\nname=JUMPY\nframeRate=10\nseqLength=30\nimWidth=320\nimHeight=180\n',
    );
    const figures = async (every: number) => {
      const flags = ['--detections', join(jumpy, 'det.txt'), '--every', `${every}`, '--json'];
      const { stdout, stderr } = await cliHere(['eval', jumpy, ...flags]);
      expect(stdout, stderr).not.toBe('');
      return JSON.parse(stdout) as { idf1: number; switches: number };
    };
    const fromPictures = [await figures(1), await figures(3)];
    for (const { idf1 } of fromPictures) expect(idf1).toBeGreaterThan(0.9);
    const frames = join(jumpy, 'img1', '%06d.png');
    const encoded = ['-v', 'error', '-r', '10', '-i', frames, '-pix_fmt', 'yuv420p', join(jumpy, 'video.mp4')];
    await promisify(execFile)(testFfmpeg.path, encoded);
    rmSync(join(jumpy, 'img1'), { recursive: true });
    for (const { idf1 } of [await figures(1), await figures(3)]) expect(idf1).toBeGreaterThan(0.9);
    rmSync(join(jumpy, 'video.mp4'));
    for (const { idf1 } of [await figures(1), await figures(3)]) expect(idf1).toBeLessThan(0.8);
  });

  it('say what is missing', async () => {
    const nothing = await cliHere(['eval', folder]);
    expect(nothing.stderr).toContain('expected video.mp4 or video.mkv, pictures in img1, or --detections');
    const pictures = await cliHere(['eval', folder, '--images', folder]);
    expect(pictures.stderr).toContain('expected COCO annotations, received a sequence');
    const both = await cliHere(['eval', folder, '--detections', 'd.txt', '--model', 'yolox-nano']);
    expect(both.stderr).toContain('--model: no model runs with --detections');
    const packed = await cliHere(['eval', folder, '--detections', 'd.txt', '--out', 'x.mot.txt.gz']);
    expect(packed.stderr).toContain('a file of tracks is not compressed, received "x.mot.txt.gz"');
    const kind = await cliHere(['score', join(folder, 'gt', 'gt.txt'), tracks, '--iou-type', 'segm']);
    expect(kind.stderr).toContain('--iou-type: tracks are compared by their boxes');
    const coco = await cliHere(['eval', 'instances.json', '--every', '2']);
    expect(coco.stderr).toContain('expected the folder of a sequence, with gt/gt.txt in it');
    expect((await cliHere(['eval', 'instances.json'])).stderr).toContain(
      "required option '--images <dir>' not specified",
    );
  });

  it('a file of tracks needs tracks, of one video', async () => {
    const untracked = await cliHere(['detect', 'a.mp4', '--engine', 'fake', '--out', tracks]);
    expect(untracked.stderr).toContain('a file of tracks needs --track');
    const pipe = await cliHere(['detect', 'a.mp4', '--engine', 'fake', '--track', '--out', '-', '--format', 'mot']);
    expect(pipe.stderr).toContain('tracks are written to a file');
    const two = await cliHere(['detect', 'a.mp4', 'b.mp4', '--engine', 'fake', '--track', '--out', tracks]);
    expect(two.stderr).toContain('a file of tracks takes one video, received 2');
  });

  it.skipIf(sharedDir === null)(
    'a roll-out starts if they show that identities are kept, and does not if they are lost (needs the shared folder)',
    async () => {
      const sequence = join(sharedDir!, 'mot', 'TUD-Stadtmitte');
      const pipeline = (name: string, settings: string): string => {
        const path = join(temporary.path, `${name}.yaml`);
        const model = 'model: { name: yolox-nano, engine: onnx, precision: f32 }';
        const stream = `{ id: gate, source: demo, track: true, ${settings} }`;
        writeFileSync(path, `name: people\ndescription: x\n${model}\nstreams: [${stream}]\n`);
        return path;
      };
      const env = {
        SIGHTLINE_MODEL_PATH: join(sharedDir!, 'models'),
        SIGHTLINE_CACHE_DIR: join(temporary.path, 'cache'),
      };
      const running = new PipelineProcess(pipeline('today', 'maxFps: 30'), [], env);
      try {
        const url = await running.started();
        const start = (file: string) => cliHere(['rollout', 'start', file, '--url', url, '--sequences', sequence], env);
        const lost = await start(pipeline('lost', 'decode: key'));
        expect(lost.stderr).toMatch(
          /the new version is not shown to keep identities.* IDF1 0\.\d+ against 0\.\d+ on 10/,
        );
        expect(lost.code).toBe(2);
        const kept = await start(pipeline('kept', 'maxFps: 20'));
        expect(kept.stderr).toMatch(/identities are kept: IDF1 0\.\d+ against 0\.\d+ on 10 true tracks/);
        expect(kept).toMatchObject({ code: 0, stdout: expect.stringMatching(/people@1 -> people@2/) });
        expect((await start(pipeline('kept', 'maxFps: 20'))).stderr).toContain('expected no roll-out that runs');
      } finally {
        await running.stop();
      }
    },
    180_000,
  );

  it.skipIf(sharedDir === null)(
    'a model gives the same tracks to eval and to detect (needs the shared folder)',
    async () => {
      const sequence = join(sharedDir!, 'mot', 'TUD-Campus');
      const flags = ['--model', 'yolox-nano', '--engine', 'onnx', '--precision', 'f32', '--every', '3'];
      const env = { SIGHTLINE_MODEL_PATH: join(sharedDir!, 'models') };
      const evaluated = await cliHere(['eval', sequence, ...flags, '--json'], env);
      const video = join(sequence, 'video.mp4');
      const out = join(temporary.path, 'campus.mot.txt');
      const detected = await cliHere(['detect', video, ...flags, '--classes', 'person', '--track', '--out', out], env);
      expect(detected.code, detected.stderr).toBe(0);
      expect(readFileSync(out, 'utf8')).toMatch(/^1,1,[\d.-]+,[\d.-]+,[\d.]+,[\d.]+,0\.\d{4},-1,-1,-1\n/);
      const gt = join(sequence, 'gt', 'gt.txt');
      const scored = await cliHere(['score', gt, out, '--every', '3', '--json']);
      const [a, b] = [evaluated, scored].map(({ stdout }) => JSON.parse(stdout) as Record<string, number>);
      expect(b!.idf1).toBeCloseTo(a!.idf1!, 3);
      expect(b!.foundBoxes).toBe(a!.foundBoxes);
      expect(a!.idf1).toBeGreaterThan(0.5);
    },
  );
});
