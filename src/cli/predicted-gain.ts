import { join } from 'node:path';
import { z } from 'zod';
import { MOST_BYTES, readGivenTextSync } from '../disk/given-file.ts';
import { type Prediction, prediction } from '../protocol/rollout-records.ts';

const positive = z.number().positive();
/** The outcome of `optimize`; of its keys only the gain counts here. */
const outcome = z.object({ speedup: z.object({ ratio: positive, interval: z.tuple([positive, positive]) }) });

/**
 * Returns the gain that a report of `optimize` predicts, from its `result.json`; null if the folder has none or it cannot be read: a
 * roll-out does not depend on it.
 */
export function predictedGain(folder: string): Prediction | null {
  let raw: unknown;
  try {
    const path = join(folder, 'result.json');
    raw = JSON.parse(readGivenTextSync(path, { code: 'CONFIG_INVALID', mostBytes: MOST_BYTES.json }));
  } catch {
    return null;
  }
  const { data } = outcome.safeParse(raw);
  if (data === undefined) return null;
  const { ratio, interval } = data.speedup;
  const [low, high] = interval;
  if (low > ratio || ratio > high) return null;
  return prediction.safeParse({ ratio, low, high }).data ?? null;
}
