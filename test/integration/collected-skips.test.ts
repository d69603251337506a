import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { collectOnVideo, heldResults } from '../../src/lab/optimize/gate/collect-results.ts';
import { parsePipeline } from '../../src/serve/pipeline/load-pipeline.ts';
import { parseStream } from '../../src/settings/config/parse-stream.ts';
import { testFfmpeg, VideoFolder } from '../support/made-videos.ts';
import { modelPlaces } from '../support/model-places.ts';

describe('what the gate records of skipped work', () => {
  const folder = new VideoFolder();
  const still = `${folder.path}/still.mp4`;

  beforeAll(async () => {
    const args = [
      '-f',
      'lavfi',
      '-i',
      'color=gray:size=320x180:rate=25:duration=4',
      '-pix_fmt',
      'yuv420p',
      '-y',
      still,
    ];
    await promisify(execFile)(testFfmpeg.path, args);
  });

  afterAll(() => folder.remove());

  /** Runs a detector that has one box of this score, and 0.4 as its threshold. */
  function collected(score: number, settings: object, clips?: readonly string[]) {
    const rows = [10, 20, 100, 100, score, 0];
    const { model, batch, lanes } = parsePipeline(
      JSON.stringify({
        name: 'still',
        description: 'Made up.',
        model: { name: 'centernet', engine: 'fake', scoreThreshold: 0.4, fake: { rows } },
      }),
      'test',
    );
    const environment = { ffmpegPath: testFfmpeg.path, searchPath: '', token: undefined, ...modelPlaces };
    const stream = parseStream({ id: 'still', source: still, policy: 'file', ...settings }, {});
    const options = { model, batch, lanes, environment, ffmpeg: testFfmpeg, onNotice: () => undefined };
    return collectOnVideo(options, stream, clips);
  }

  /** Frames of a still clip that are inferred. */
  async function inferredWith(score: number): Promise<number> {
    const { frames } = await collected(score, { skip: { unchanged: true } });
    expect(frames).toHaveLength(100);
    return frames.filter(({ by }) => by === 'inferred').length;
  }

  it('looks again at a box near the threshold that users see, not near the lower one that it records', async () => {
    const sure = await inferredWith(0.9);
    expect(await inferredWith(0.2)).toBe(sure);
    // One look every 200 ms of four seconds.
    expect(await inferredWith(0.41)).toBeGreaterThan(sure + 10);
  });

  it('of key frames holds for all frames of each clip', async () => {
    const clips = [0, 1].map((i) => folder.make(`moving-${i}.mp4`, { frames: 60 + 5 * i, bFrames: 2 }));
    const paths = await Promise.all(clips);
    const every = await collected(0.9, {}, paths);
    const some = await collected(0.9, { decode: 'key' }, paths);
    // A key frame every 13 frames, five of each clip.
    expect([every.frames.length, some.frames.length]).toEqual([125, 10]);
    const within = ({ frames, startsUs }: typeof every): number[] =>
      frames.map(({ ptsUs }) => ptsUs - startsUs.findLast((us) => us <= ptsUs)!);
    const keys = new Set(within(some));
    expect(within(every).filter((us) => keys.has(us)).length).toBeGreaterThanOrEqual(some.frames.length);
    const held = heldResults(every, some);
    expect(held.frames.map(({ frame, ptsUs }) => [frame, ptsUs])).toEqual(
      every.frames.map(({ frame, ptsUs }) => [frame, ptsUs]),
    );
    expect(held.frames.every(({ detections }) => detections.length === 1)).toBe(true);
  });
});
