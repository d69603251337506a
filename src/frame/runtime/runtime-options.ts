import type { ModelSpec } from '../../base/core/model.ts';
import type { Incidents } from '../../base/flow/incidents.ts';
import type { BatchConfig } from '../../settings/config/batch.ts';
import type { PreviewConfig } from '../../settings/config/gateway.ts';
import type { ModelConfig } from '../../settings/config/model-config.ts';
import type { HostReport, StreamReport } from '../../wire/protocol/report.ts';
import type { EngineInfo, EngineRequest } from '../../wire/protocol/threads.ts';
import type { FfmpegBinary } from '../decode/ffmpeg-binary.ts';
import type { FrameTracer } from '../telemetry/frame-tracer.ts';
import type { OtherModel } from '../telemetry/judge-overload.ts';
import type { ResultOutlet } from './results/result-outlet.ts';
import type { FakeDetect } from './stream/stream-port.ts';

export interface RuntimeOptions {
  readonly engine: EngineRequest;
  /** The measured times by which engine `auto` chose, for the report. */
  readonly comparison?: string | undefined;
  readonly model: ModelConfig;
  readonly batch: BatchConfig;
  readonly preview: PreviewConfig;
  readonly ffmpeg: FfmpegBinary;
  readonly lanes: number;
  readonly inferenceThreads: number;
  readonly sinks: ResultOutlet;
  /** Counts exceptions of listeners. */
  readonly incidents?: Incidents;
  readonly fakeDetect?: FakeDetect | undefined;
  readonly tracer?: FrameTracer | undefined;
  /** Other detectors that could be used, for what a report says in an overload. */
  readonly modelsAtHand?: (runtime: {
    readonly spec: ModelSpec;
    readonly engineInfo: EngineInfo;
  }) => Promise<readonly OtherModel[]>;
}

/** The figures of all streams and of the host, made once a second. */
export interface RuntimeReport {
  /** Wall clock, milliseconds since 1970. */
  readonly timeMs: number;
  /** The figures of each stream. */
  readonly streams: readonly StreamReport[];
  /** The figures of this process. */
  readonly host: HostReport;
}
