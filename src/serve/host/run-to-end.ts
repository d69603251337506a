import { SightlineError } from '../../base/errors/sightline-error.ts';
import type { Runtime } from '../../frame/runtime/runtime.ts';
import type { RuntimeStream } from '../../frame/runtime/stream/runtime-stream.ts';

/** How a stream of a file ended. */
export interface StreamEnd {
  readonly stream: RuntimeStream;
  /** Why it failed; also that frames were given up: a file must not lose any. */
  readonly error: SightlineError | null;
  /** It was removed before its end. */
  readonly isStopped: boolean;
}

/**
 * Runs a stream of a runtime to the end of its source, and removes it.
 *
 * @param start - adds the stream.
 * @param stop - removes it before its end.
 * @throws what `start` throws
 */
export async function runToEnd(
  runtime: Runtime,
  start: () => Promise<RuntimeStream>,
  stop: AbortSignal,
): Promise<StreamEnd> {
  const stream = await start();
  let removal: Promise<void> | null = null;
  const remove = (): void => {
    removal ??= runtime.remove(stream.id);
  };
  stop.addEventListener('abort', remove);
  if (stop.aborted) remove();
  try {
    await stream.settled();
    const { failure, state, droppedCount } = stream;
    const isStopped = failure === null && state !== 'ended' && (state === 'removed' || stop.aborted);
    const lost = isStopped || droppedCount === 0 ? null : lostFrames(stream);
    return { stream, error: failure ?? lost, isStopped };
  } finally {
    stop.removeEventListener('abort', remove);
    if (stream.state !== 'removed') remove();
    await removal;
  }
}

function lostFrames({ input, droppedCount }: RuntimeStream): SightlineError {
  return new SightlineError(
    'ENGINE_FAILED',
    `${input.label}: ${droppedCount} frames were dropped because their inference failed several times`,
  );
}
