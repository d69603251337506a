import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { JobOrder } from '../../protocol/fleet.ts';

/** Inputs that are worked on before the event loop gets its turn. */
export const INPUTS_AT_ONCE = 1_000;

/**
 * A hash of what an order asks for. Two orders with the same one are the same order; when it was made does not matter, so
 * that a command that is given again after a broken connection finds its job. 100,000 inputs do not block the event loop.
 */
export async function orderDigest(order: JobOrder): Promise<string> {
  const { id, pipeline, inputs, outDir, track, every, segmentSeconds, priority } = order;
  const hash = createHash('sha256');
  hash.update(JSON.stringify([id, pipeline, outDir, plain(track), every, segmentSeconds, priority]));
  for (let at = 0; at < inputs.length; at += INPUTS_AT_ONCE) {
    if (at > 0) await nextTurn();
    hash.update(JSON.stringify(inputs.slice(at, at + INPUTS_AT_ONCE)));
  }
  return hash.digest('base64url');
}

/** The same settings in another order are the same settings. */
function plain(track: JobOrder['track']): unknown {
  return typeof track === 'boolean' ? track : Object.entries(track).sort(([a], [b]) => (a < b ? -1 : 1));
}
