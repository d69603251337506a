import { SightlineError } from '../../base/errors/sightline-error.ts';
import type { StreamInput } from '../../frame/runtime/stream/stream-port.ts';
import type { StreamConfig } from '../../settings/config/stream.ts';

/** Source of a stream whose pictures the program hands over. */
export const PUSHED = 'push';

/** @throws CONFIG_INVALID for settings that choose frames, or another source. */
export function requirePushable({ id, source, every, maxFps }: StreamConfig): void {
  const wrong = source !== PUSHED ? 'source' : every !== 1 ? 'every' : maxFps === undefined ? null : 'maxFps';
  if (wrong === null) return;
  throw new SightlineError(
    'CONFIG_INVALID',
    `stream "${id}": ${wrong}: the program hands over each picture of this stream; leave it out`,
  );
}

/** `auto` loses no picture: each has a caller who waits for its result. */
export function pushPolicy({ policy }: StreamConfig): StreamInput['policy'] {
  return policy === 'live' ? 'live' : 'file';
}
