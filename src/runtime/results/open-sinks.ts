import type { PipelineConfig } from '../../config/pipeline.ts';
import type { SinkConfig } from '../../config/sinks.ts';
import { compressionProblem } from '../../disk/compression.ts';
import { SightlineError } from '../../errors/sightline-error.ts';
import { CocoSink } from '../../sinks/coco-sink.ts';
import { JsonlSink } from '../../sinks/jsonl-sink.ts';
import { OutputLock } from '../../sinks/output-lock.ts';
import type { Sink } from '../../sinks/sink.ts';
import { WebhookSink } from '../../sinks/webhook-sink.ts';
import { ResultSinks, type SinkBinding } from './result-sinks.ts';

export interface SinkContext {
  /** Class labels of the model. */
  readonly classes: readonly string[];
  readonly stdout: NodeJS.WritableStream;
  readonly onFailure: (error: SightlineError) => void;
  readonly onRecovery: (sinkId: string, lostResults: number) => void;
  readonly onNotice: (text: string) => void;
}

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
  // Identifies the run, since frame numbers and media times restart with each.
  const run = new Date().toISOString();
  const bindings: SinkBinding[] = [];
  configs.forEach((config, i) => {
    if (config.type === 'video') return;
    const streams = config.streams === undefined ? null : new Set(config.streams);
    bindings.push({ sink: openSink(config, sinkId(config, i), run, context), streams });
  });
  return new ResultSinks(bindings, locks);
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
  run: string,
  { classes, stdout, onFailure, onRecovery, onNotice }: SinkContext,
): Sink {
  const listeners = { onFailure, onNotice, onRecovery: (lostResults = 0) => onRecovery(id, lostResults) };
  switch (config.type) {
    case 'jsonl':
      return new JsonlSink({ id, path: config.path, append: true, run, stdout: stdout as never, ...listeners });
    case 'coco':
      return new CocoSink({ id, path: config.path, classes, keepsEarlier: true, ...listeners });
    case 'webhook': {
      const { url, batchSize, maxAttempts } = config;
      return new WebhookSink({
        id,
        url,
        batchResults: batchSize,
        maxAttempts,
        onFailure,
        onRecovery: () => onRecovery(id, 0),
      });
    }
  }
}
