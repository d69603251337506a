import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Measurement } from '../../src/lab/measure/measure-run.ts';
import { cli } from '../support/cli.ts';
import { VideoFolder } from '../support/made-videos.ts';

const FAST = ['--engine', 'fake', '--seconds', '1', '--warm-up', '3'];

describe('sightline bench', () => {
  const videos = new VideoFolder();
  let clip: string;

  beforeAll(async () => {
    clip = await videos.make('clip.mp4', { frames: 30, fps: 25 });
  });

  afterAll(() => videos.remove());

  it('--json prints the measurement, per stream and with the warm-up rate', async () => {
    const { stdout, code } = await cli(['bench', clip, ...FAST, '--streams', '2', '--json']);
    expect(code).toBe(0);
    const measured = JSON.parse(stdout) as Measurement & { source: string };
    expect(measured.source).toBe(clip);
    expect(measured.frames).toBeGreaterThan(0);
    expect(measured.fps * measured.seconds).toBeCloseTo(measured.frames, 3);
    expect(measured.warmUpFps).toBeGreaterThan(0);
    expect(measured.streams.map(({ id, conservationGap }) => [id, conservationGap])).toEqual([
      ['bench-1', 0],
      ['bench-2', 0],
    ]);
    expect(measured.dropRatio).toBe(0);
  });

  it('prints FPS, latency and stages as text', async () => {
    const { stdout, code } = await cli(['bench', clip, ...FAST, '--realtime']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/\d fps, \d+ frames, \d+ % dropped \(\d+\.\d fps in the 3 s before\)/);
    expect(stdout).toMatch(/latency p50 \d+\.\d\d ms/);
    for (const stage of ['decode', 'preprocess', 'infer', 'main', 'total']) expect(stdout).toContain(`\n${stage} `);
  });
});
