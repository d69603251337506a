import { createHash } from 'node:crypto';
import { mkdir, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { OutputLock } from './output-lock.ts';

/** More processes of one pipeline than this on one machine share no default folder. */
const MOST_SPOOLS = 100;

interface SpoolPlace {
  /** Name of the sink, for messages. */
  readonly id: string;
  /** Who gets the results. What waits for one receiver must never be sent to another. */
  readonly receiver: string;
  /** As configured; absent for one of the folders in `parent`. */
  readonly folder?: string | undefined;
  /** If absent too, results wait in memory. */
  readonly parent?: string | undefined;
}

/**
 * Finds the folder of a sink's spool and locks it. If the settings name none, it is one of `RECEIVER-N`, the first that no other process
 * and no other sink uses. So a restarted process finds its own results, also if its sink has another place in the list.
 *
 * @throws SINK_BUSY if another process uses the folder of the configuration.
 */
export async function takeSpoolFolder({
  id,
  receiver,
  folder,
  parent,
}: SpoolPlace): Promise<{ folder: string | null; lock: OutputLock | null }> {
  if (folder !== undefined) return { folder, lock: await lock(folder, id) };
  if (parent === undefined) return { folder: null, lock: null };
  const key = createHash('sha256').update(receiver).digest('hex').slice(0, 8);
  const left = await foldersOf(parent, key);
  const names = Array.from({ length: MOST_SPOOLS }, (_, i) => `${key}-${i + 1}`);
  const places = [...new Set([...left, ...names])];
  let busy: unknown;
  for (const path of places.map((name) => join(parent, name))) {
    try {
      return { folder: path, lock: await lock(path, id) };
    } catch (error) {
      if (!(error instanceof SightlineError) || error.code !== 'SINK_BUSY') throw error;
      busy = error;
    }
  }
  throw busy;
}

/** Folders that earlier processes left for a receiver. Version 0.2 put the place of the sink in front: `webhook-1-RECEIVER-1`. */
async function foldersOf(parent: string, key: string): Promise<string[]> {
  const pattern = new RegExp(`^(?:[a-z]+-\\d+-)?${key}-\\d+$`);
  const names = await readdir(parent).catch(() => []);
  return names.filter((name) => pattern.test(name)).sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
}

/** Returns null where no lock can be made; then the spool reports that it cannot be written. */
async function lock(folder: string, id: string): Promise<OutputLock | null> {
  await mkdir(dirname(folder), { recursive: true }).catch(() => undefined);
  return OutputLock.take(folder, id);
}
