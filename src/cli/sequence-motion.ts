import { ResultSinks } from '../after/sinks/result-sinks.ts';
import type { SceneShift } from '../base/core/frame.ts';
import { openRuntime } from '../frame/runtime/open-runtime.ts';
import { resolveStreamInput } from '../frame/runtime/stream/stream-input.ts';
import type { StreamInput } from '../frame/runtime/stream/stream-port.ts';
import { runToEnd } from '../serve/host/run-to-end.ts';
import { batchConfig } from '../settings/config/batch.ts';
import { check } from '../settings/config/check.ts';
import { modelConfig } from '../settings/config/model-config.ts';
import { parseStream } from '../settings/config/parse-stream.ts';
import { type CliIo, note } from './cli-io.ts';

/** Where the pictures of a sequence are: a video, or files in order; null if it has none. */
export type SequencePictures = { readonly video: string } | { readonly paths: readonly string[] } | null;

/** What a detector's input usually is. */
const INPUT_SIZE = '416x416';

/**
 * Reads the pictures of a sequence as a stream does, without a detector, to see how the camera moves.
 *
 * @returns how far it had moved at each frame, by its number from 0; empty without pictures.
 * @throws the errors of the video, or of a picture.
 */
export async function sceneShifts(
  pictures: SequencePictures,
  every: number,
  io: CliIo,
): Promise<ReadonlyMap<number, SceneShift>> {
  const shifts = new Map<number, SceneShift>();
  if (pictures === null) return shifts;
  const model = check(modelConfig, { engine: 'fake', inputSize: INPUT_SIZE, fake: { callMs: 0 } }, 'model');
  const runtime = await openRuntime({
    model,
    batch: check(batchConfig, {}, 'batch'),
    environment: io.environment,
    sinks: new ResultSinks([]),
    signal: io.stop,
    onNotice: (text) => note(io, text),
  });
  try {
    const bulk: StreamInput['bulk'] = {
      scoreThreshold: 1,
      isBackground: false,
      isTrackedLater: true,
      take: ({ frame }, { meta }) => {
        shifts.set('video' in pictures ? frame : frame * every, meta.shift);
        return null;
      },
    };
    const source = 'video' in pictures ? pictures.video : 'pictures';
    const config = parseStream({ id: 'sequence', source, policy: 'file', every: 'video' in pictures ? every : 1 }, {});
    const start = async () => {
      if ('video' in pictures) {
        const input = await resolveStreamInput(config, runtime.ffmpeg, null, runtime.spec);
        return runtime.add(config, { ...input, bulk });
      }
      const imagePaths = pictures.paths.filter((_, i) => i % every === 0);
      return runtime.add(config, { source: null, imagePaths, label: source, policy: 'file', picture: null, bulk });
    };
    const { error } = await runToEnd(runtime, start, io.stop);
    if (error !== null) throw error;
    return shifts;
  } finally {
    await runtime.stop();
  }
}
