import { z } from 'zod';
import { sinkConfig } from '../../after/sinks/sink-kinds.ts';
import { alertConfig } from '../../settings/config/alerts.ts';
import { batchConfig } from '../../settings/config/batch.ts';
import { decoderConfig } from '../../settings/config/decoder-config.ts';
import { duration, durationMs } from '../../settings/config/duration.ts';
import { fleetConfig } from '../../settings/config/fleet-config.ts';
import { gatewayConfig, previewConfig } from '../../settings/config/gateway.ts';
import { id } from '../../settings/config/id.ts';
import { limitsConfig } from '../../settings/config/limits.ts';
import { modelConfig } from '../../settings/config/model-config.ts';
import { whole } from '../../settings/config/number.ts';
import type { Placeholders } from '../../settings/config/placeholders.ts';
import { requestsConfig } from '../../settings/config/requests.ts';
import { mayHoldPlaceholders } from '../../settings/config/schema-text.ts';
import { stagesConfig } from '../../settings/config/stages.ts';
import { streamConfig, streamDefaults } from '../../settings/config/stream.ts';
import { tracingConfig } from '../../settings/config/tracing.ts';

const rolloutConfig = z.strictObject({
  folder: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Folder of the audit log and, without Redis, of the state of roll-outs; the folder rollouts in the cache if absent.',
    ),
  modelRoots: z
    .array(z.string().min(1))
    .default([])
    .describe(
      'Folders below which a roll-out may name a model or its class names by path; if empty, names of the model store only.',
    ),
  warmMs: whole(0, 86_400_000)
    .default(600_000)
    .describe('How long the other version stays loaded after a roll-out, so that undo takes effect at once.'),
});

const historyConfig = z.strictObject({
  path: z
    .string()
    .min(1)
    .optional()
    .describe('SQLite file. If absent, NAME-PORT.db in the folder history of the cache; in memory if the port is 0.'),
  maxMb: whole(1, 100_000).default(256).describe('Most MiB of the file; the oldest figures go first, events last.'),
  days: whole(1, 36_500).default(90).describe('Days after which everything is deleted.'),
  embeddings: duration
    // They are written and deleted once a minute.
    .refine((text) => !(durationMs(text) < 60_000), 'expected a time of at least 1m, at most 7d')
    .optional()
    .describe(
      'How long embeddings of objects are kept, to find them again, 1m to 7d: at most 100,000, in half of `maxMb`. None if absent; see docs/second-stages.md.',
    ),
});

const recordingConfig = z.strictObject({
  folder: z
    .string()
    .min(1)
    .optional()
    .describe('Folder of clips and recordings; the folder recordings/NAME of the cache if absent.'),
  days: whole(1, 36_500).default(7).describe('Days after which recordings are deleted.'),
  eventDays: whole(1, 36_500)
    .default(30)
    .describe(
      'Days after which recordings of times with events are deleted; clips go with their events (`history.days`).',
    ),
  labelDays: z
    .record(z.string().min(1).max(512), whole(1, 36_500))
    .default({})
    .describe(
      'Whole days from 1 to 36500 by the label of an event, such as { person: 30, car: 3 }, instead of eventDays; of several labels, the longest counts. Its clip is kept as long, but never after the event (`history.days`).',
    ),
  maxMb: whole(16, 1_000_000_000)
    .default(51_200)
    .describe(
      'Most MiB of all files, with the pictures and boxes of clips; recordings go first, then those with events, then clips; of each, first what would be kept for the shortest time.',
    ),
  ringMb: whole(1, 100_000)
    .default(64)
    .describe('Most MiB of packets in memory, for each stream with clips or recordings.'),
});

const tlsConfig = z.strictObject({
  caFile: z
    .string()
    .min(1)
    .optional()
    .describe('PEM file of certificate authorities that sources may use besides the well-known ones.'),
});

export const pipelineConfig = z.strictObject({
  name: z.string().min(1).describe('Name of the pipeline.'),
  description: mayHoldPlaceholders(z.string()).default('').describe('When to use it, in a sentence.'),
  model: modelConfig.prefault({}).describe('The detector and how it runs.'),
  models: z
    .record(
      id.refine((name) => name !== 'default', "expected another name: default is the pipeline's own model"),
      modelConfig,
    )
    .default({})
    .describe('Other detectors by name, each with settings as `model` has them, for `streams[].model`.'),
  stages: stagesConfig
    .default([])
    .describe(
      'Second stages: models on crops of the objects that are found, see docs/second-stages.md. Read again with the file.',
    ),
  batch: batchConfig.prefault({}).describe('How frames of different streams are batched.'),
  lanes: whole(1, 64).optional().describe('Threads that read and preprocess; half the cores if absent.'),
  decoder: decoderConfig
    .prefault({})
    .describe('What the ffmpeg processes that read media may use, since media may be made by anybody.'),
  defaults: streamDefaults.prefault({}).describe('Settings of every stream that does not set them itself.'),
  streams: z.array(streamConfig).default([]).describe('Where pictures come from; more can be added while it runs.'),
  sinks: z.array(sinkConfig).default([]).describe('Where results go besides the WebSocket.'),
  alerts: z.array(alertConfig).max(200).default([]).describe('Which sinks send messages to people about which events.'),
  gateway: gatewayConfig.prefault({}).describe('HTTP and WebSocket.'),
  history: historyConfig
    .prefault({})
    .describe('Events, counts, occupancy, heat maps and figures of the past; docs/history.md describes the tables.'),
  recording: recordingConfig
    .prefault({})
    .describe('Clips and recordings of streams whose rules have `clip`, or that have `record`; see docs/recording.md.'),
  requests: requestsConfig
    .prefault({})
    .describe('Pictures that clients send over HTTP, see docs/requests.md. Frames of streams go first.'),
  limits: limitsConfig.prefault({}).describe('What this host accepts at most.'),
  fleet: fleetConfig.prefault({}).describe('How this host takes part in a fleet (sightline host).'),
  tracing: tracingConfig
    .optional()
    .describe(
      'Sends traces of frames, requests and log lines to an OpenTelemetry collector. Absent: nothing is traced, at no cost.',
    ),
  tls: tlsConfig.prefault({}).describe('Which certificates of https:// and rtsps:// sources are trusted.'),
  rollout: rolloutConfig.prefault({}).describe('Where roll-outs are kept.'),
  preview: previewConfig.prefault({}).describe('Pictures for the dashboard.'),
});

/** A pipeline with all its settings filled in; docs/config.md describes each. */
export type PipelineConfig = z.infer<typeof pipelineConfig> & {
  /** No setting: what the file's placeholders stand for. Absent if it has none, or if they were not resolved. */
  readonly placeholders?: Placeholders;
};
