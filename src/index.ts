/**
 * Sightline as a library: the same parts that the command line is made of. Importing it starts nothing.
 *
 * A pipeline: `loadPipeline` -> `PipelineHost.open` -> listen -> `host.runtime.stop()`.
 * Streams of your own: `openRuntime` -> `runtime.add(config, await resolveStreamInput(...))`.
 */

export type { Environment } from './config/environment.ts';
export { loadPipeline, parsePipeline, parseStream } from './config/load-pipeline.ts';
export type { PipelineConfig } from './config/pipeline.ts';
export type { StreamConfig } from './config/stream.ts';
export type { Box, Detection } from './core/detection.ts';
export { DROP_REASONS, type DropReason, type FrameTimes, type PublishedFrame } from './core/frame.ts';
export type { CompiledModel, ModelSpec } from './core/model.ts';
export { ERROR_CODES, type ErrorCode } from './errors/error-codes.ts';
export { SightlineError, type WireError } from './errors/sightline-error.ts';
export { COCO_FIGURES, type CocoFigures, scoreDetections } from './evaluate/average-precision.ts';
export { readAnnotations, readResults } from './evaluate/coco-files.ts';
export { startGateway } from './gateway/server.ts';
export { PipelineHost } from './host/pipeline-host.ts';
export type { ClientMessage, EventMessage, ServerMessage } from './protocol/feed.ts';
export type { HostReport, StreamReport, StreamState } from './protocol/report.ts';
export { type ResultRecord, resultRecord } from './protocol/result-record.ts';
export { type OpenOptions, openRuntime } from './runtime/open-runtime.ts';
export { ResultSinks } from './runtime/results/result-sinks.ts';
export type { Runtime, RuntimeReport } from './runtime/runtime.ts';
export { resolveStreamInput } from './runtime/stream/stream-input.ts';
export type { Sink } from './sinks/sink.ts';
