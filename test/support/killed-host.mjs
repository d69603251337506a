/**
 * A host process that tests kill: runs the sources of its arguments (`live:PATH`, `file:PATH`, `silent:PATH` or a URL) from
 * `dist/`, and prints `flowing` once each `live:` and `file:` source has published. The engine is slow, so that pipes are full.
 */

import { ResultSinks } from '../../dist/src/after/sinks/result-sinks.js';
import { findFfmpeg } from '../../dist/src/frame/decode/ffmpeg-binary.js';
import { openRuntime } from '../../dist/src/frame/runtime/open-runtime.js';
import { resolveStreamInput } from '../../dist/src/frame/runtime/stream/stream-input.js';
import { parsePipeline } from '../../dist/src/serve/pipeline/load-pipeline.js';
import { parseStream } from '../../dist/src/settings/config/parse-stream.js';

const search = { path: process.env.FFMPEG_PATH, searchPath: process.env.PATH ?? '' };
const config = parsePipeline(
  JSON.stringify({
    name: 'killed',
    description: 'A host that is killed.',
    model: { engine: 'fake', inputSize: '160x96', fake: { callMs: 100 } },
  }),
  'test',
);
const environment = { ffmpegPath: search.path, searchPath: search.searchPath, modelPath: [], cacheDir: '/nowhere' };
const found = await findFfmpeg(search);
// As on a system without the program that lets the kernel end a child.
const without = process.env.WITHOUT_SETPRIV === '1' ? { setpriv: null, sandbox: null } : {};
const ffmpeg = { ...found, confinement: { ...found.confinement, ...without } };
const runtime = await openRuntime({
  ...config,
  ffmpeg,
  sinks: new ResultSinks([]),
  environment,
  onNotice: () => undefined,
});
const expected = new Set();
runtime.published.add(({ streamId }) => {
  if (expected.delete(streamId) && expected.size === 0) console.log('flowing');
});
for (const [i, argument] of process.argv.slice(2).entries()) {
  const [, kind, path] = /^(live|file|silent|rtsp):(.*)$/.exec(argument);
  const id = `s${i}`;
  if (kind === 'live' || kind === 'file') expected.add(id);
  const source = kind === 'rtsp' ? argument : path;
  const stream = parseStream({ id, source, loop: kind === 'live', realtime: kind === 'live' }, {});
  runtime.add(stream, await resolveStreamInput(stream, ffmpeg, null, runtime.spec));
}
