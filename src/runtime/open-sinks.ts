import type { PipelineConfig } from '../config/pipeline.ts';
import type { SinkConfig } from '../config/sinks.ts';
import type { SightlineError } from '../errors/sightline-error.ts';
import { CocoSink } from '../sinks/coco-sink.ts';
import { JsonlSink } from '../sinks/jsonl-sink.ts';
import type { Sink } from '../sinks/sink.ts';
import { WebhookSink } from '../sinks/webhook-sink.ts';
import { ResultSinks, type SinkBinding } from './result-sinks.ts';

export interface SinkSurroundings {
  /** Labels of the model that runs. */
  readonly classes: readonly string[];
  readonly stdout: NodeJS.WritableStream;
  readonly onFailure: (error: SightlineError) => void;
  readonly onRecovery: (sinkId: string) => void;
}

/**
 * Opens the sinks of a pipeline that need no pictures; `video` comes later, when the size of its pictures is known.
 * Failures come later, through `onFailure` and at close: a sink never stops a stream.
 */
export function openSinks(configs: PipelineConfig['sinks'], surroundings: SinkSurroundings): ResultSinks {
  const bindings: SinkBinding[] = [];
  configs.forEach((config, i) => {
    if (config.type === 'video') return;
    const streams = config.streams === undefined ? null : new Set(config.streams);
    bindings.push({ sink: openSink(config, `${config.type}-${i + 1}`, surroundings), streams });
  });
  return new ResultSinks(bindings);
}

function openSink(
  config: Exclude<SinkConfig, { type: 'video' }>,
  id: string,
  { classes, stdout, onFailure, onRecovery }: SinkSurroundings,
): Sink {
  switch (config.type) {
    case 'jsonl':
      return new JsonlSink({ id, path: config.path, stdout: stdout as never, onFailure });
    case 'coco':
      return new CocoSink({ id, path: config.path, classes, onFailure });
    case 'webhook': {
      const { url, batchSize, maxAttempts } = config;
      return new WebhookSink({
        id,
        url,
        policy: 'live',
        batchResults: batchSize,
        maxAttempts,
        onFailure,
        onRecovery: () => onRecovery(id),
      });
    }
  }
}
