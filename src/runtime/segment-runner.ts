import { parseStream } from '../config/load-pipeline.ts';
import type { SegmentRunner, Stretch, StretchSummary } from '../control/jobs/segment-runner.ts';
import type { PublishedFrame } from '../core/frame.ts';
import type { FfmpegBinary } from '../decode/ffmpeg-binary.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import type { Runtime } from './runtime.ts';
import type { StreamInput } from './session-port.ts';
import { resolveStreamInput } from './stream-input.ts';
import type { StreamSession } from './stream-session.ts';

/** Below every stream that a user can configure to be live. */
const BULK_PRIORITY = -101;

/** Ids of streams that are segments begin with this. */
export const BULK_ID_PREFIX = 'bulk-segment-';

/**
 * Infers stretches of files on a runtime beside its streams. Each is a stream of its own, `bulk-segment-1` and on, and gives
 * way to those begun before it: so they end one after the other, and while one starts its decoder, another has frames ready.
 */
export function segmentRunner(runtime: Runtime, ffmpeg: Pick<FfmpegBinary, 'path' | 'major'>): SegmentRunner {
  const priorityOf = new Map<number, number>();
  return {
    classes: runtime.spec.classes,
    reportScore: runtime.scoreThreshold,
    run: async (stretch, take, signal) => {
      signal.throwIfAborted();
      // The lowest free number, so that figures by stream id stay few.
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
  ffmpeg: Pick<FfmpegBinary, 'path' | 'major'>,
  { id, priority }: { readonly id: string; readonly priority: number },
  stretch: Stretch,
  take: (frame: PublishedFrame) => Promise<unknown> | null,
  signal: AbortSignal,
): Promise<StretchSummary> {
  const { path, label, window, every, scoreThreshold } = stretch;
  const config = { ...parseStream({ id, source: path, policy: 'file', every }, {}), priority };
  const resolved = await resolveStreamInput(config, ffmpeg, null, runtime.spec);
  const source = window === null ? resolved.source! : { ...resolved.source!, window };
  const input: StreamInput = {
    ...resolved,
    source: { ...source, label },
    label,
    bulk: { scoreThreshold, take: (frame) => (signal.aborted ? null : take(frame)) },
  };
  signal.throwIfAborted();
  const session = runtime.add(config, input);
  let removal: Promise<void> | null = null;
  const onAbort = (): void => {
    removal ??= runtime.remove(id);
  };
  signal.addEventListener('abort', onAbort);
  try {
    await session.settled();
    signal.throwIfAborted();
    const failure = session.failure ?? lostFrames(session, label);
    if (failure !== null) throw failure;
    return { decodeErrors: session.decodeErrorCount };
  } finally {
    signal.removeEventListener('abort', onAbort);
    if (removal === null && session.state !== 'removed') removal = runtime.remove(id);
    await removal;
  }
}

/** What was removed by others, with the runtime that stops, has not been done. */
function lostFrames(session: StreamSession, label: string): SightlineError | null {
  if (session.state === 'removed')
    return new SightlineError('LANE_FAILED', `${label}: it was stopped before its end; another try does it anew`);
  if (session.droppedCount === 0) return null;
  return new SightlineError(
    'ENGINE_FAILED',
    `${label}: ${session.droppedCount} frames were given up after several failed inferences`,
  );
}
