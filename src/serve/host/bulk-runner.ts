import { SightlineError } from '../../base/errors/sightline-error.ts';
import { unpackRows } from '../../base/geometry/task-rows.ts';
import type { Ffmpeg } from '../../base/process/confinement.ts';
import type { SegmentRunner, Stretch, StretchFrame, StretchSummary } from '../../fleet/control/jobs/segment-runner.ts';
import { lookedAt } from '../../frame/runtime/load-stages.ts';
import type { Runtime } from '../../frame/runtime/runtime.ts';
import { StreamStages } from '../../frame/runtime/stages/stream-stages.ts';
import { resolveStreamInput } from '../../frame/runtime/stream/stream-input.ts';
import type { BulkWork, StreamInput } from '../../frame/runtime/stream/stream-port.ts';
import { SceneSteps } from '../../frame/track/scene-steps.ts';
import { parseStream } from '../../settings/config/parse-stream.ts';
import { runToEnd } from './run-to-end.ts';

/** Below every priority that a user can configure. */
const BULK_PRIORITY = -101;

/** Prefix of the stream ids of segments. */
export const BULK_ID_PREFIX = 'bulk-segment-';

/**
 * Infers stretches of files on a runtime beside its streams. Each is a separate stream, `bulk-segment-1` and so on,
 * with a lower priority than those started before it: they end one after the other, and while one starts its decoder,
 * another has frames ready.
 */
export function segmentRunner(runtime: Runtime, ffmpeg: Ffmpeg): SegmentRunner {
  const priorityOf = new Map<number, number>();
  return {
    classes: runtime.spec.classes,
    reportScore: runtime.scoreThreshold,
    run: async (stretch, take, signal) => {
      signal.throwIfAborted();
      // The lowest free number limits the number of stream ids in the metrics.
      let number = 1;
      while (priorityOf.has(number)) number += 1;
      const priority = Math.min(BULK_PRIORITY + 1, ...priorityOf.values()) - 1;
      priorityOf.set(number, priority);
      try {
        return await runStretch(runtime, ffmpeg, { id: `${BULK_ID_PREFIX}${number}`, priority }, stretch, take, signal);
      } finally {
        priorityOf.delete(number);
      }
    },
  };
}

async function runStretch(
  runtime: Runtime,
  ffmpeg: Ffmpeg,
  { id, priority }: { readonly id: string; readonly priority: number },
  stretch: Stretch,
  take: (frame: StretchFrame) => Promise<unknown> | null,
  signal: AbortSignal,
): Promise<StretchSummary> {
  const { path, label, window, every, track, stages } = stretch;
  const own = { ...parseStream({ id, source: path, policy: 'file', every }, {}), priority };
  const looked = lookedAt(
    { ...own, track: stages.length > 0 && track },
    stages.map((stage) => stage.config),
  );
  const resolved = await resolveStreamInput(looked.config, ffmpeg, looked.need, runtime.spec);
  const source = window === null ? resolved.source! : { ...resolved.source!, window };
  const input: StreamInput = {
    ...resolved,
    source: { ...source, label },
    label,
    bulk: bulkWork(runtime, stretch, resolved.picture, (frame) => (signal.aborted ? null : take(frame))),
  };
  signal.throwIfAborted();
  const { stream, error, isStopped } = await runToEnd(runtime, async () => runtime.add(looked.config, input), signal);
  signal.throwIfAborted();
  if (isStopped)
    throw new SightlineError('LANE_FAILED', `${label}: it was stopped before its end; it can be tried again`);
  if (error !== null) throw error;
  return { decodeErrors: stream.decoding.errors };
}

/** Where second stages look, objects are tracked: what they were before, the frame in flight still has. */
function bulkWork(
  { spec, scoreThreshold: reportScore }: Runtime,
  { stages, scoreThreshold, track }: Stretch,
  picture: StreamInput['picture'],
  take: (frame: StretchFrame) => Promise<unknown> | null,
): BulkWork {
  const steps = new SceneSteps();
  const common = { isBackground: true, isTrackedLater: track !== false };
  if (stages.length === 0)
    return {
      ...common,
      scoreThreshold,
      take: (frame, { meta }) => take({ ...frame, moved: steps.to(meta.shift) }),
    };
  return {
    ...common,
    scoreThreshold: reportScore,
    stagesOf: (settings, classCount) => new StreamStages(() => stages, settings, classCount),
    take: (frame, { rows, readings, meta }) => {
      const raw = unpackRows(rows ?? new Float32Array(0), spec.classes, spec);
      const detections = raw.filter(({ score }) => score >= scoreThreshold);
      return take({ ...frame, detections, picture, readings: readings ?? [], moved: steps.to(meta.shift) });
    },
  };
}
