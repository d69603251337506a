import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { requireReadable, resolveStreamInput } from '../../../../../src/frame/runtime/stream/stream-input.ts';
import { parseStream } from '../../../../../src/settings/config/parse-stream.ts';
import { temporaryFolder } from '../../../../support/cli.ts';
import { programAs } from '../../../../support/confinement.ts';
import { makePipe } from '../../../../support/made-pipe.ts';

const FFMPEG = programAs('ffmpeg');

/** Any existing file: it is never read. */
const FILE = 'package.json';

async function resolve(stream: Readonly<Record<string, unknown>>) {
  const { source, policy } = await resolveStreamInput(
    parseStream({ id: 's', source: FILE, ...stream }, {}),
    FFMPEG,
    null,
  );
  return { policy, realtime: source!.options.realtime };
}

describe('the time limit of a read', () => {
  it.each([
    [{ source: 'rtsp://camera/1', staleMs: 600_000 }, 660_000],
    [{ source: 'rtsp://camera/1', openTimeoutMs: 100 }, 660_000],
    [{ source: 'http://server/clip.mp4', policy: 'file', staleMs: 60_000 }, 5_000],
  ])('never ends ffmpeg before a live source is stale: %j', async (stream, expected) => {
    const config = parseStream({ id: 's', ...stream }, {});
    const { source } = await resolveStreamInput(config, FFMPEG, null);
    expect(source!.options.readTimeoutMs).toBe(expected);
  });
});

describe('the pace of a file', () => {
  it.each([
    ['is read as fast as the CPU allows', {}, { policy: 'file', realtime: false }],
    ['that loops is live, paced by its own clock', { loop: true }, { policy: 'live', realtime: true }],
    ['that is declared live is paced', { policy: 'live' }, { policy: 'live', realtime: true }],
    ['that loops with policy file is not paced', { loop: true, policy: 'file' }, { policy: 'file', realtime: false }],
    ['follows an explicit setting: fast', { loop: true, realtime: false }, { policy: 'live', realtime: false }],
    ['follows an explicit setting: paced', { realtime: true }, { policy: 'live', realtime: true }],
  ])('%s', async (_, stream, expected) => {
    expect(await resolve(stream)).toEqual(expected);
  });
});

describe('before a stream starts', () => {
  const folder = temporaryFolder();
  afterAll(() => folder.remove());
  const missing = programAs(join(folder.path, 'no-ffmpeg'));
  const read = async (stream: object): Promise<string> => {
    const input = await resolveStreamInput(parseStream({ id: 's', ...stream }, {}), missing, null);
    return requireReadable(input, missing, 1000).then(
      () => 'left alone',
      () => 'read',
    );
  };

  it('a file is read, however it is paced', async () => {
    const source = join(folder.path, 'clip.mp4');
    writeFileSync(source, 'any');
    expect(await Promise.all([read({ source }), read({ source, loop: true })])).toEqual(['read', 'read']);
  });

  it.skipIf(process.platform === 'win32')('a pipe is left alone: what is read from it is gone', async () => {
    expect(await read({ source: makePipe(join(folder.path, 'pipe')) })).toBe('left alone');
  });

  it.each(['rtsp://camera/1', 'http://server/live.m3u8', 'synthetic:testsrc2'])(
    'a live source is left alone: it may be away now and come back (%s)',
    async (source) => {
      expect(await read({ source })).toBe('left alone');
    },
  );
});
