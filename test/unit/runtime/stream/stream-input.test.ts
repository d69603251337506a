import { describe, expect, it } from 'vitest';
import { parseStream } from '../../../../src/config/load-pipeline.ts';
import { resolveStreamInput } from '../../../../src/runtime/stream/stream-input.ts';

const FFMPEG = { path: 'ffmpeg', major: 7 };

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
