import { join } from 'node:path';
import type { AlertDesk } from '../../after/events/alert-desk.ts';
import { Recorder } from '../../after/recording/recorder.ts';
import { systemClock } from '../../base/core/clock.ts';
import { MIB } from '../../base/disk/given-file.ts';
import type { Runtime } from '../../frame/runtime/runtime.ts';
import { openSource } from '../../frame/source/open/open-source.ts';
import { parseSource } from '../../frame/source/parse-source.ts';
import type { Environment } from '../../settings/config/environment.ts';
import { sourceText } from '../../settings/config/placeholders.ts';
import type { PipelineConfig } from '../pipeline/pipeline.ts';
import type { LayeredSettings } from './layered-settings.ts';
import type { SourceRules } from './source-rules.ts';

/** An RTMP server that is silent for so long is given up. */
const TARGET_TIMEOUT_MS = 30_000;

interface RecorderPorts {
  readonly sourceRules: Pick<SourceRules, 'accessOf'>;
  readonly settings: Pick<LayeredSettings, 'file'>;
  readonly alerts: Pick<AlertDesk, 'onPicture'>;
}

/** States in which a stream gives no packets until somebody acts. */
const STOPPED: ReadonlySet<unknown> = new Set(['ended', 'failed', 'paused']);

/** Returns where a pipeline keeps its recordings. */
export function recordingsFolder(
  { name, recording }: Pick<PipelineConfig, 'name' | 'recording'>,
  { cacheDir }: Pick<Environment, 'cacheDir'>,
): string {
  return recording.folder ?? join(cacheDir, 'recordings', encodeURIComponent(name).replaceAll('.', '%2E'));
}

/** Returns what keeps clips and recordings of the streams of a runtime. It touches no disk before a stream asks for it. */
export function openRecorder(
  runtime: Runtime,
  config: PipelineConfig,
  environment: Pick<Environment, 'cacheDir'>,
  { sourceRules, settings, alerts }: RecorderPorts,
): Recorder {
  const { days, eventDays, labelDays, maxMb, ringMb } = config.recording;
  const recorder = new Recorder({
    folder: recordingsFolder(config, environment),
    ringBytes: ringMb * MIB,
    retention: { days, eventDays, labelDays, clipDays: config.history.days, maxBytes: maxMb * MIB },
    ffmpeg: runtime.ffmpeg,
    configOf: (id) => runtime.find(id)?.config ?? null,
    onState: (problem) => {
      if (problem === null) runtime.emitEvent('recording-recovered', undefined, 'clips and recordings are kept again');
      else runtime.emitEvent('recording-failed', undefined, problem);
    },
    onNotice: (stream, text) => runtime.emitEvent('stream-warning', stream, text),
    openTarget: (address, stream) =>
      openSource(
        parseSource(sourceText(address, settings.file.placeholders?.sources), {
          loop: false,
          realtime: false,
          rtspTransport: 'tcp',
          readTimeoutMs: TARGET_TIMEOUT_MS,
          access: sourceRules.accessOf(address, stream),
        }),
      ),
    onPicture: alerts.onPicture,
    clock: systemClock,
    wallMs: Date.now,
  });
  runtime.packets.add((packets) => recorder.onPackets(packets));
  runtime.published.add((frame) => recorder.onFrame(frame));
  runtime.reports.add(({ streams }) => {
    for (const { id } of streams) recorder.follow(id);
  });
  runtime.events.add(({ kind, stream, details }) => {
    const isGone = kind === 'stream-removed';
    if (isGone || (kind === 'stream-state' && STOPPED.has(details?.to))) return recorder.onStopped(stream!, isGone);
    return undefined;
  });
  return recorder;
}
