import { describe, expect, it } from 'vitest';
import { parseStream } from '../../../src/config/load-pipeline.ts';
import { resolveStreamInput } from '../../../src/runtime/stream-input.ts';

const FFMPEG = { path: 'ffmpeg', major: 7 };

/** Any file will do: nothing is read. */
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
    ['that loops is a camera, paced by its own clock', { loop: true }, { policy: 'live', realtime: true }],
    ['that is declared live is paced', { policy: 'live' }, { policy: 'live', realtime: true }],
    ['that loops as a file is not', { loop: true, policy: 'file' }, { policy: 'file', realtime: false }],
    ['is what the user says: fast', { loop: true, realtime: false }, { policy: 'live', realtime: false }],
    ['is what the user says: paced', { realtime: true }, { policy: 'live', realtime: true }],
  ])('%s', async (_, stream, expected) => {
    expect(await resolve(stream)).toEqual(expected);
  });
});
