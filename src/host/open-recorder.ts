import { join } from 'node:path';
import type { Environment } from '../config/environment.ts';
import { systemClock } from '../core/clock.ts';
import { MIB } from '../disk/given-file.ts';
import type { PipelineConfig } from '../pipeline/pipeline.ts';
import { Recorder, type RecorderOptions } from '../recording/recorder.ts';
import type { Runtime } from '../runtime/runtime.ts';

/** States in which a stream gives no packets until somebody acts. */
const STOPPED: ReadonlySet<unknown> = new Set(['ended', 'failed', 'paused']);

/** Returns what keeps clips and recordings of the streams of a runtime. It touches no disk before a stream asks for it. */
export function openRecorder(
  runtime: Runtime,
  { name, recording, history }: PipelineConfig,
  { cacheDir }: Pick<Environment, 'cacheDir'>,
  onPicture: RecorderOptions['onPicture'] & {},
): Recorder {
  const { days, eventDays, maxMb, ringMb } = recording;
  const recorder = new Recorder({
    folder: recording.folder ?? join(cacheDir, 'recordings', encodeURIComponent(name).replaceAll('.', '%2E')),
    ringBytes: ringMb * MIB,
    retention: { days, eventDays, clipDays: history.days, maxBytes: maxMb * MIB },
    ffmpeg: runtime.ffmpeg,
    configOf: (id) => runtime.streams.find((stream) => stream.id === id)?.config ?? null,
    onState: (problem) => {
      if (problem === null) runtime.emitEvent('recording-recovered', undefined, 'clips and recordings are kept again');
      else runtime.emitEvent('recording-failed', undefined, `no clip and no recording is kept: ${problem}`);
    },
    onNotice: (stream, text) => runtime.emitEvent('stream-warning', stream, text),
    onPicture,
    clock: systemClock,
    wallMs: Date.now,
  });
  runtime.packets.add((packets) => recorder.onPackets(packets));
  runtime.events.add(({ kind, stream, details }) => {
    const isGone = kind === 'stream-removed';
    if (isGone || (kind === 'stream-state' && STOPPED.has(details?.to))) return recorder.onStopped(stream!, isGone);
    return undefined;
  });
  return recorder;
}
