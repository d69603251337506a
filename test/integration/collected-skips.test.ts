import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { collectOnVideo } from '../../src/optimize/gate/collect-results.ts';
import { parsePipeline, parseStream } from '../../src/pipeline/load-pipeline.ts';
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

  /** Frames of a still clip that are inferred, if the detector has one box of this score and 0.4 is the threshold. */
  async function inferredWith(score: number): Promise<number> {
    const rows = [10, 20, 100, 100, score, 0];
    const { model, batch, lanes } = parsePipeline(
      JSON.stringify({
        ...{ name: 'still', description: 'Made up.' },
        model: { name: 'centernet', engine: 'fake', scoreThreshold: 0.4, fake: { rows } },
      }),
      'test',
    );
    const environment = { ffmpegPath: testFfmpeg.path, searchPath: '', token: undefined, ...modelPlaces };
    const stream = parseStream({ id: 'still', source: still, policy: 'file', skip: { unchanged: true } }, {});
    const options = { model, batch, lanes, environment, ffmpeg: testFfmpeg, onNotice: () => undefined };
    const { frames } = await collectOnVideo(options, stream);
    expect(frames).toHaveLength(100);
    return frames.filter(({ by }) => by === 'inferred').length;
  }

  it('looks again at a box near the threshold that users see, not near the lower one that it records', async () => {
    const sure = await inferredWith(0.9);
    expect(await inferredWith(0.2)).toBe(sure);
    // One look every 200 ms of four seconds.
    expect(await inferredWith(0.41)).toBeGreaterThan(sure + 10);
  });
});
