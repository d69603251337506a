import { parseStream } from '../config/load-pipeline.ts';
import type { FfmpegBinary } from '../decode/ffmpeg-binary.ts';
import type { Runtime } from '../runtime/runtime.ts';
import { resolveStreamInput } from '../runtime/stream-input.ts';
import { measureRun } from './measure-run.ts';

/** Drawing it costs ffmpeg about what decoding a picture of this size does. */
const SOURCE = 'synthetic:testsrc2=size=640x360:rate=25';
const SECONDS = 2;
const WARM_UP_SECONDS = 0.5;

/**
 * Measures what this machine sustains: inferences a second of a picture read as fast as it can be, through every stage.
 * Takes 2.5 seconds. The runtime must have no other streams.
 */
export async function measureCapacity(runtime: Runtime, ffmpeg: FfmpegBinary, signal: AbortSignal): Promise<number> {
  const config = parseStream({ id: 'capacity', source: SOURCE, policy: 'file' }, {});
  const input = await resolveStreamInput(config, ffmpeg, null, runtime.spec);
  const options = { streams: [{ config, input }], seconds: SECONDS, warmUpSeconds: WARM_UP_SECONDS, signal };
  return (await measureRun(runtime, options)).fps;
}
