import { z } from 'zod';
import { range, whole } from '../../settings/config/number.ts';
import type { SyncPolicy } from './line-writer.ts';
import type { Sink } from './sink.ts';
import type { OpenedSink, SinkContext } from './sink-kind.ts';
import {
  filter,
  MEGABYTE,
  phases,
  type Sent,
  type SnapshotPart,
  send,
  snapshot,
  streams,
  sync,
} from './sink-settings.ts';
import { takeSpoolFolder } from './spool-folder.ts';
import { SpooledSink, type SpooledSinkOptions } from './spooled-sink.ts';
import type { Transport } from './transport.ts';

/** Results that wait in memory if there is no spool. */
const MEMORY_BYTES = 8 * MEGABYTE;

/** Settings of every kind that keeps what it sends until the receiver has it. */
export const spoolSettings = {
  maxAttempts: whole(1, 100)
    .default(8)
    .describe(
      'Attempts before a request that the receiver refuses is given up. Other failures are retried until they end.',
    ),
  spoolFolder: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Folder of this sink alone where results wait until they are delivered; below the cache folder if absent.',
    ),
  spoolMaxMb: range(0, 1_000_000)
    .default(256)
    .describe(
      'Most megabytes that results of live streams wait in, and as many for files; 0 keeps at most 8 in memory.',
    ),
  sync,
  snapshot,
};

/** Settings of every kind whose receivers are made for events. */
export const messageSettings = { send: send('events'), phases, streams, filter, ...spoolSettings };

interface SpoolSettings {
  readonly maxAttempts: number;
  readonly spoolFolder?: string | undefined;
  readonly spoolMaxMb: number;
  readonly sync: SyncPolicy;
  readonly snapshot?: SnapshotPart | undefined;
}

type SpoolOptionsOfSink = Pick<
  SpooledSinkOptions,
  'spoolFolder' | 'maxSpoolBytes' | 'maxAttempts' | 'sync' | 'snapshot'
>;

/**
 * Finds the spool of a sink and opens the sink with it.
 *
 * @param receiver - what waits for one receiver is never sent to another.
 * @throws SINK_BUSY if another process uses the folder of the settings.
 */
export async function openSpooled(
  { maxAttempts, spoolFolder, spoolMaxMb, sync, snapshot = 'link' }: SpoolSettings,
  receiver: string,
  context: SinkContext,
  open: (options: Omit<SinkContext, 'spoolFolder'> & Required<SpoolOptionsOfSink>) => Sink,
): Promise<OpenedSink> {
  const { folder, lock } =
    spoolMaxMb === 0
      ? { folder: null, lock: null }
      : await takeSpoolFolder({ id: context.id, receiver, folder: spoolFolder, parent: context.spoolFolder });
  const maxSpoolBytes = spoolMaxMb === 0 ? MEMORY_BYTES : Math.round(spoolMaxMb * MEGABYTE);
  return { sink: open({ ...context, maxAttempts, sync, snapshot, spoolFolder: folder, maxSpoolBytes }), lock };
}

/** As `openSpooled`, for a kind that has nothing special but its transport. */
export function openMessages(
  settings: SpoolSettings & Pick<SpooledSinkOptions, 'phases'> & { readonly send: readonly Sent[] },
  receiver: string,
  context: SinkContext,
  transport: Transport,
): Promise<OpenedSink> {
  const { send: sent, phases: only } = settings;
  const more = { transport, send: sent, phases: only, batchMs: 0 };
  return openSpooled(settings, receiver, context, (options) => new SpooledSink({ ...options, ...more }));
}
