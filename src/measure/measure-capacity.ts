import type { FfmpegBinary } from '../decode/ffmpeg-binary.ts';
import { parseStream } from '../pipeline/load-pipeline.ts';
import type { Runtime } from '../runtime/runtime.ts';
import { resolveStreamInput } from '../runtime/stream/stream-input.ts';
import { measureRun } from './measure-run.ts';

/** Generating it costs ffmpeg about as much as decoding a picture of this size. */
const SOURCE = 'synthetic:testsrc2=size=640x360:rate=25';
const SECONDS = 2;
const WARM_UP_SECONDS = 0.5;

/**
 * Measures the inferences per second that this machine sustains, through every stage, with a source that is read at
 * full speed. Takes 2.5 seconds. The runtime must have no other streams.
 */
export async function measureCapacity(runtime: Runtime, ffmpeg: FfmpegBinary, signal: AbortSignal): Promise<number> {
  const config = parseStream({ id: 'capacity', source: SOURCE, policy: 'file' }, {});
  const input = { ...(await resolveStreamInput(config, ffmpeg, null, runtime.spec)), isKeptFromSinks: true };
  const options = { streams: [{ config, input }], seconds: SECONDS, warmUpSeconds: WARM_UP_SECONDS, signal };
  return (await measureRun(runtime, options)).fps;
}
