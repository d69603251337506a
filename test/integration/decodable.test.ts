import { afterAll, describe, expect, it } from 'vitest';
import { parseTargets } from '../../src/lab/measure/targets.ts';
import { type Decodable, decodableOf } from '../../src/lab/optimize/run/decodable.ts';
import { parsePipeline } from '../../src/serve/pipeline/load-pipeline.ts';
import type { StreamConfig } from '../../src/settings/config/stream.ts';
import { CutClips } from '../support/cut-clips.ts';
import { testFfmpeg } from '../support/made-videos.ts';

const clips = new CutClips(100);
afterAll(() => clips.remove());

interface Asked {
  readonly stream?: object;
  readonly own?: StreamConfig['decode'];
  readonly target?: string;
  readonly isCopied?: boolean;
}

function decodable(
  clip: string,
  { stream = {}, own = 'all', target, isCopied = true }: Asked = {},
): Promise<Decodable> {
  const streams = [{ id: 'cam', source: clip, ...stream }];
  const pipeline = parsePipeline(JSON.stringify({ name: 'a', description: 'A test.', streams }), 'test');
  const targets = target === undefined ? [] : parseTargets(target);
  return decodableOf({ clip, pipeline, isCopied }, own, targets, testFfmpeg, new AbortController().signal);
}

describe('fewer frames may be decoded', () => {
  it('of a recording whose key frames are a part of it', async () => {
    const found = await decodable(await clips.reordered());
    expect(found).toMatchObject({ decodes: ['all', 'reference', 'key'], whyNotFewer: null });
    // 100 frames, a key frame every 25; reordered, so that some are no reference.
    expect(found.decodedRatio).toEqual({ all: 1, reference: 0.5, key: 0.04 });
  });

  it('than the pipeline decodes: its frames are the measure', async () => {
    const found = await decodable(await clips.reordered(), { own: 'reference' });
    expect(found.decodes).toEqual(['reference', 'key']);
    expect(found.decodedRatio).toEqual({ all: 2, reference: 1, key: 0.08 });
  });

  it('and so many less of a stream that takes few of them anyway', async () => {
    // 5 of 25 frames/s, beside one key frame/s.
    const { decodedRatio } = await decodable(await clips.reordered(), { stream: { maxFps: 5 } });
    expect(decodedRatio).toEqual({ all: 1, reference: 1, key: expect.closeTo(0.2) });
  });

  it('but no key frames where a percentile is asked for: they are too few', async () => {
    const { decodes } = await decodable(await clips.reordered(), { target: 'p99<=50ms' });
    expect(decodes).toEqual(['all', 'reference']);
  });
});

describe('all frames are decoded, and the report says why', () => {
  it.each<[asked: Asked, why: string]>([
    [{ target: 'fps>=25' }, 'the target fps>=25 asks for every frame'],
    [{ target: 'total>=100' }, 'the target total>=100 asks for every frame'],
    [{ stream: { target: { fps: 5 } } }, 'stream "cam" has a target of 5 frames/s'],
    [{ isCopied: false }, 'the recording was encoded again to be cut, so its key frames are not those of the camera'],
  ])('%j', async (asked, why) => {
    const found = await decodable(await clips.reordered(), asked);
    expect(found).toMatchObject({ decodes: ['all'], whyNotFewer: why });
  });

  it('of a recording without other frames than key frames', async () => {
    const motion = (await clips.regular()).find(([what]) => what === 'key frames alone')![1];
    expect(await decodable(motion)).toMatchObject({
      decodes: ['all'],
      whyNotFewer: 'all frames of the recording are key frames',
    });
  });

  it('or key frames only, as the pipeline says', async () => {
    const found = await decodable(await clips.reordered(), { own: 'key' });
    expect(found).toMatchObject({ decodes: ['key'], whyNotFewer: 'the pipeline decodes key frames only' });
  });
});
