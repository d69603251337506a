import { describe, expect, it } from 'vitest';
import { resolveStreamInput } from '../../../../../src/frame/runtime/stream/stream-input.ts';
import { parseStream } from '../../../../../src/settings/config/parse-stream.ts';
import { testFfmpeg } from '../../../../support/made-videos.ts';

const SOURCE = 'synthetic:testsrc2=size=64x48:rate=5';
const FULL = { width: 64, height: 48 };

describe('the resizer of a stream', () => {
  it.each([
    ['auto', 'ffmpeg', null],
    ['auto', 'sharp', FULL],
    ['ffmpeg', 'sharp', null],
    ['sharp', 'ffmpeg', FULL],
  ] as const)('resizeBy %s of a stream, %s of the model', async (resizeBy, ofModel, picture) => {
    const config = parseStream({ id: 'a', source: SOURCE, resizeBy }, {});
    const input = await resolveStreamInput(config, testFfmpeg, null, { resizeBy: ofModel });
    expect(input.picture).toEqual(picture);
  });

  it('a camera that is off is opened later, scaled by ffmpeg, unless the user asked for sharp', async () => {
    // Nothing listens on the discard port of this machine.
    const away = { id: 'cam', source: 'rtsp://127.0.0.1:9/cam', openTimeoutMs: 2000 };
    const auto = await resolveStreamInput(parseStream(away, {}), testFfmpeg, null, { resizeBy: 'sharp' });
    expect(auto).toMatchObject({ policy: 'live', picture: null });
    const asked = resolveStreamInput(parseStream({ ...away, resizeBy: 'sharp' }, {}), testFfmpeg, null);
    await expect(asked).rejects.toMatchObject({ code: 'SOURCE_UNREACHABLE' });
  });

  it('is sharp on pictures of the source size, even if a preview needs only smaller ones', async () => {
    const config = parseStream({ id: 'a', source: SOURCE, resizeBy: 'sharp' }, {});
    expect((await resolveStreamInput(config, testFfmpeg, { maxWidth: 32 })).picture).toEqual(FULL);
  });

  it('keeps the smaller picture of a preview if the model uses ffmpeg', async () => {
    const config = parseStream({ id: 'a', source: SOURCE }, {});
    expect((await resolveStreamInput(config, testFfmpeg, { maxWidth: 32 })).picture).toEqual({ width: 32, height: 24 });
  });
});
