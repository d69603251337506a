import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { PipelineConfig } from '../../config/pipeline.ts';
import type { RotateConfig, SinkConfig } from '../../config/sinks.ts';
import { compressionProblem } from '../../disk/compression.ts';
import { SightlineError } from '../../errors/sightline-error.ts';
import { CocoSink } from '../../sinks/coco-sink.ts';
import { JsonlSink, type JsonlSinkOptions } from '../../sinks/jsonl-sink.ts';
import { OutputLock } from '../../sinks/output-lock.ts';
import type { Sink } from '../../sinks/sink.ts';
import { WebhookSink } from '../../sinks/webhook-sink.ts';
import { ResultSinks, type SinkBinding } from './result-sinks.ts';

type WebhookConfig = Extract<SinkConfig, { type: 'webhook' }>;

export interface SinkContext {
  /** Class labels of the model. */
  readonly classes: readonly string[];
  readonly stdout: NodeJS.WritableStream;
  readonly onFailure: (error: SightlineError) => void;
  readonly onRecovery: (sinkId: string, lostResults: number) => void;
  readonly onNotice: (text: string) => void;
  /** Folder for the spools of webhooks that name none; if absent, their results wait in memory. */
  readonly spoolFolder?: string | undefined;
}

/** More processes of one pipeline than this on one machine share no default folder. */
const MOST_SPOOLS = 100;
const MEGABYTE = 1_000_000;
/** Results that wait in memory if a webhook has no spool. */
const MEMORY_BYTES = 8 * MEGABYTE;
const MS_PER_MINUTE = 60_000;

/**
 * Opens the sinks of a pipeline that need no pictures; `video` sinks are opened later, when the size of their pictures
 * is known. The files of all sinks are locked now. Other failures are reported later, through `onFailure` and at close:
 * a sink never stops a stream.
 *
 * @throws SINK_BUSY if another pipeline writes one of the files, CONFIG_INVALID if one cannot be compressed here.
 */
export async function openSinks(configs: PipelineConfig['sinks'], context: SinkContext): Promise<ResultSinks> {
  configs.forEach((config, i) => {
    const problem = config.type === 'jsonl' ? compressionProblem(config.path) : null;
    if (problem !== null) throw new SightlineError('CONFIG_INVALID', `sinks.${i}.path: ${problem}`);
  });
  const locks = await lockOutputs(
    configs.flatMap((config, i) => ('path' in config ? [{ id: sinkId(config, i), path: config.path }] : [])),
  );
  const bindings: SinkBinding[] = [];
  try {
    for (const [i, config] of configs.entries()) {
      if (config.type === 'video') continue;
      const id = sinkId(config, i);
      const spool = config.type === 'webhook' ? await takeSpool(config, id, context) : { folder: null, lock: null };
      if (spool.lock !== null) locks.push(spool.lock);
      const streams = config.streams === undefined ? null : new Set(config.streams);
      const filter = 'filter' in config ? config.filter : undefined;
      bindings.push({ sink: openSink(config, id, spool.folder, context), streams, filter });
    }
  } catch (error) {
    await new ResultSinks(bindings, locks).close();
    throw error;
  }
  return new ResultSinks(bindings, locks);
}

/**
 * Finds the folder of a webhook's spool and locks it. Without a name in the configuration, the processes of a pipeline on one
 * machine use folders with numbers, each the first that is free: a restarted process finds its own results.
 *
 * @throws SINK_BUSY if another process uses the folder of the configuration.
 */
async function takeSpool(
  { url, spoolFolder, spoolMaxMb }: WebhookConfig,
  id: string,
  context: SinkContext,
): Promise<{ folder: string | null; lock: OutputLock | null }> {
  if (spoolMaxMb === 0) return { folder: null, lock: null };
  if (spoolFolder !== undefined) return { folder: spoolFolder, lock: await lockSpool(spoolFolder, id) };
  if (context.spoolFolder === undefined) return { folder: null, lock: null };
  // Results that wait for one receiver must never be sent to another.
  const name = `${id}-${createHash('sha256').update(url).digest('hex').slice(0, 8)}`;
  for (let n = 1; ; n++) {
    const folder = join(context.spoolFolder, `${name}-${n}`);
    try {
      return { folder, lock: await lockSpool(folder, id) };
    } catch (error) {
      const isBusy = error instanceof SightlineError && error.code === 'SINK_BUSY';
      if (!isBusy || n === MOST_SPOOLS) throw error;
    }
  }
}

/** Returns null where no lock can be made; then the spool reports that it cannot be written. */
async function lockSpool(folder: string, id: string): Promise<OutputLock | null> {
  await mkdir(dirname(folder), { recursive: true }).catch(() => undefined);
  return OutputLock.take(folder, id);
}

/** Returns a sink's name for messages: `jsonl-1`. */
export function sinkId({ type }: SinkConfig, index: number): string {
  return `${type}-${index + 1}`;
}

/** Locks all of these files or none. @throws SINK_BUSY */
export async function lockOutputs(outputs: readonly { id: string; path: string }[]): Promise<OutputLock[]> {
  const locks: OutputLock[] = [];
  try {
    for (const { id, path } of outputs) {
      const lock = path === '-' ? null : await OutputLock.take(path, id);
      if (lock !== null) locks.push(lock);
    }
  } catch (error) {
    await Promise.all(locks.map((lock) => lock.release()));
    throw error;
  }
  return locks;
}

function openSink(
  config: Exclude<SinkConfig, { type: 'video' }>,
  id: string,
  spoolFolder: string | null,
  { classes, stdout, onFailure, onRecovery, onNotice }: SinkContext,
): Sink {
  const listeners = { onFailure, onNotice, onRecovery: (lostResults = 0) => onRecovery(id, lostResults) };
  switch (config.type) {
    case 'jsonl': {
      const { path, sync, rotate } = config;
      const rotation = rotate === undefined ? undefined : rotationOf(rotate);
      return new JsonlSink({ id, path, append: true, stdout: stdout as never, sync, rotation, ...listeners });
    }
    case 'coco':
      return new CocoSink({ id, path: config.path, classes, keepsEarlier: true, sync: config.sync, ...listeners });
    case 'webhook': {
      const { url, headers, batchSize, maxAttempts, secret, spoolMaxMb, sync } = config;
      const maxSpoolBytes = spoolMaxMb === 0 ? MEMORY_BYTES : Math.round(spoolMaxMb * MEGABYTE);
      const spool = { spoolFolder, maxSpoolBytes, sync };
      const request = { url, secret, ...(headers === undefined ? {} : { headers }) };
      return new WebhookSink({ id, ...request, batchResults: batchSize, maxAttempts, ...spool, ...listeners });
    }
  }
}

function rotationOf({ maxMb, everyMinutes }: NonNullable<RotateConfig>): JsonlSinkOptions['rotation'] {
  return {
    maxBytes: maxMb === undefined ? undefined : Math.round(maxMb * MEGABYTE),
    periodMs: everyMinutes === undefined ? undefined : everyMinutes * MS_PER_MINUTE,
  };
}
