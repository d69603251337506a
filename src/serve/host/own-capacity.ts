import { setTimeout as sleep } from 'node:timers/promises';
import type { FfmpegBinary } from '../../frame/decode/ffmpeg-binary.ts';
import type { Runtime } from '../../frame/runtime/runtime.ts';
import { resolveStreamInput } from '../../frame/runtime/stream/stream-input.ts';
import { parseStream } from '../../settings/config/parse-stream.ts';

/** Generating it costs ffmpeg about as much as decoding a picture of this size. */
const SOURCE = 'synthetic:testsrc2=size=640x360:rate=25';
const MEASURED_MS = 2_000;
/** While ffmpeg opens the source. */
const WARM_UP_MS = 500;

/**
 * Measures the frames per second that this machine publishes, through every stage, with a source that is read at full speed. Takes 2.5 seconds.
 * The runtime must have no other streams.
 *
 * @throws the failure of the stream; the signal's reason.
 */
export async function measureCapacity(runtime: Runtime, ffmpeg: FfmpegBinary, signal: AbortSignal): Promise<number> {
  const config = parseStream({ id: 'capacity', source: SOURCE, policy: 'file' }, {});
  const input = { ...(await resolveStreamInput(config, ffmpeg, null, runtime.spec)), isKeptFromSinks: true };
  const stream = runtime.add(config, input);
  let published = 0;
  const stop = runtime.published.add(() => {
    published += 1;
  });
  const pause = (ms: number): Promise<unknown> => Promise.race([stream.settled(), sleep(ms, undefined, { signal })]);
  try {
    await pause(WARM_UP_MS);
    const [before, beganMs] = [published, performance.now()];
    await pause(MEASURED_MS);
    if (stream.failure !== null) throw stream.failure;
    return ((published - before) * 1000) / (performance.now() - beganMs);
  } finally {
    stop();
    await runtime.remove(stream.id);
  }
}
