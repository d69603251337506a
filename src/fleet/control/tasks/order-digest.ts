import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { JobOrder } from '../../../wire/protocol/fleet.ts';

/** Inputs that are processed before yielding to the event loop. */
export const INPUTS_AT_ONCE = 1_000;

/**
 * Hashes the content of an order. Orders with the same digest are the same order; the creation time is left out, so that a
 * command repeated after a broken connection finds its job. Yields to the event loop, since there may be 100,000 inputs.
 */
export async function orderDigest(order: JobOrder): Promise<string> {
  const { id, pipeline, inputs, outDir, track, every, segmentSeconds, priority, parquet, stages } = order;
  const hash = createHash('sha256');
  hash.update(JSON.stringify([id, pipeline, outDir, sortedKeys(track), every, segmentSeconds, priority]));
  // Absent settings add nothing: orders of earlier versions keep their digest.
  if (parquet === true) hash.update('parquet');
  // What a schema returned has its keys in one order.
  if (stages !== undefined) hash.update(JSON.stringify(stages));
  for (let at = 0; at < inputs.length; at += INPUTS_AT_ONCE) {
    if (at > 0) await nextTurn();
    hash.update(JSON.stringify(inputs.slice(at, at + INPUTS_AT_ONCE)));
  }
  return hash.digest('base64url');
}

/** Sorts the keys, so that their order does not change the digest. */
function sortedKeys(track: JobOrder['track']): unknown {
  return typeof track === 'boolean' ? track : Object.entries(track).sort(([a], [b]) => (a < b ? -1 : 1));
}
