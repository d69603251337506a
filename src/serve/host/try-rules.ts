import { basename, extname } from 'node:path';
import { z } from 'zod';
import type { WatchedFrame } from '../../after/events/stream-events.ts';
import type { Attribute } from '../../base/core/detection.ts';
import { MOST_BYTES, openGiven, readGivenTextSync } from '../../base/disk/given-file.ts';
import { readLines } from '../../base/disk/read-lines.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import type { ModelConfig } from '../../settings/config/model-config.ts';
import { requireFit } from '../../settings/config/model-fit.ts';
import { parseStream } from '../../settings/config/parse-stream.ts';
import { parseYaml } from '../../settings/config/parse-yaml.ts';
import type { StreamConfig } from '../../settings/config/stream.ts';
import { checkPipeline, inspectPipeline } from '../pipeline/load-pipeline.ts';
import type { PipelineConfig } from '../pipeline/pipeline.ts';
import { PipelineHost } from './pipeline-host.ts';
import type { ProcessContext } from './process-context.ts';

/** Rules, and the settings of a stream that they depend on. */
export interface GivenRules {
  readonly path: string;
  /** The stream that has them: of a pipeline file, or as it was given; absent if nobody has named one. */
  readonly stream?: string | undefined;
  /** Settings of a stream as they are written, without its id and source. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Of the pipeline file that has them; absent if the file has rules only. */
  readonly model?: ModelConfig;
  readonly pipeline?: PipelineConfig;
}

/**
 * Reads rules: from a pipeline file, of one of its streams, or from a file with settings of a stream, such as `events`, `zones` and `lines`.
 *
 * @param stream - which stream of a pipeline file; may be absent if it has one.
 * @throws CONFIG_NOT_FOUND, CONFIG_INVALID
 */
export function readRules(path: string, stream: string | undefined): GivenRules {
  const text = readGivenTextSync(path, { code: 'CONFIG_NOT_FOUND', mostBytes: MOST_BYTES.settings });
  const { value, faults } = parseYaml(text);
  const wrong = (what: string): SightlineError =>
    new SightlineError('CONFIG_INVALID', `${path}: ${what}`, { where: path });
  const [fault] = faults;
  if (fault !== undefined) throw wrong(`${fault.place}not valid YAML: ${fault.what}`);
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw wrong('expected a pipeline, or settings of a stream such as events, zones and lines');
  if (!('streams' in value)) return { path, stream, settings: value as Record<string, unknown> };
  const { config, faults: mistakes } = inspectPipeline(text);
  if (config === null) throw wrong(mistakes.join('; '));
  const chosen = config.streams.filter(({ id }) => stream === undefined || id === stream);
  if (chosen.length !== 1) {
    const ids = config.streams.map(({ id }) => id).join(', ') || 'none';
    throw wrong(
      `expected one stream${stream === undefined ? ', or --stream that names one' : ` "${stream}"`}; it has ${ids}`,
    );
  }
  const { id, source: _source, ...settings } = chosen[0]!;
  return { path, stream: id, settings, model: config.model, pipeline: config };
}

/**
 * @param named - id of the stream; default: after its source.
 * @throws CONFIG_INVALID for rules that cannot be used.
 */
export function ruledStream({ path, settings }: GivenRules, source: string, named?: string): StreamConfig {
  const id =
    named ??
    basename(source, extname(source))
      .replaceAll(/[^A-Za-z0-9._-]/g, '-')
      .slice(0, 64);
  try {
    return parseStream({ ...settings, id, source }, {});
  } catch (error) {
    const { message, details } = SightlineError.from(error, 'CONFIG_INVALID');
    throw new SightlineError('CONFIG_INVALID', `${path}: ${message.replace(/^stream: /, '')}`, {
      ...details,
      where: path,
    });
  }
}

/** Settings that do not change what happens in a recording, but how its stream is run. */
const OF_LIVE_STREAMS = [
  'policy',
  'loop',
  'realtime',
  'target',
  'queueSize',
  'maxAgeMs',
  'priority',
  'weight',
  'record',
  'live',
  'restream',
] as const;

/**
 * Follows the objects of a recording with a detector, and passes each result to `onFrame`.
 *
 * @throws what opening the pipeline and reading the file throws.
 */
export async function followObjects(
  config: StreamConfig,
  model: ModelConfig,
  onFrame: (frame: WatchedFrame) => void,
  context: ProcessContext & { readonly onNotice: (text: string) => void },
): Promise<void> {
  const { environment, stdout, onNotice, stop } = context;
  // The rules see the results here. The stream only needs the identity of objects.
  const kept = Object.entries(config).filter(([key]) => !(OF_LIVE_STREAMS as readonly string[]).includes(key));
  const stream = {
    ...Object.fromEntries(kept),
    track: config.track === false ? true : config.track,
    policy: 'file',
    events: [],
    lines: [],
  };
  const pipeline: PipelineConfig = checkPipeline(
    { name: 'events', description: 'Tries rules on a recording.', model, streams: [stream] },
    config.id,
  );
  const admit = (): Promise<void> => Promise.resolve();
  const host = await PipelineHost.open(pipeline, { environment, stdout, onNotice, admit, signal: stop });
  try {
    requireFit(config, host.runtime);
    // The run is that of this command, not of the recording.
    host.onPublished(({ run: _run, ...frame }) => onFrame(frame));
    await host.start();
    const running = host.runtime.stream(config.id);
    const removed = (): void => void host.runtime.remove(config.id).catch(() => undefined);
    stop.addEventListener('abort', removed, { once: true });
    await running.settled();
    stop.removeEventListener('abort', removed);
    stop.throwIfAborted();
    if (running.failure !== null) throw running.failure;
  } finally {
    await host.stop();
  }
}

/**
 * Reads the results that `detect --track`, or a job with `--track`, wrote.
 *
 * @param needsTracks - whether rules follow objects.
 * @param onFrame - also receives the name of the recording, since a file can have the results of several.
 * @throws SOURCE_NOT_FOUND; CONFIG_INVALID if it has other lines, or no tracks.
 */
export async function readResults(
  path: string,
  needsTracks: boolean,
  onFrame: (frame: WatchedFrame, source: string | undefined) => Promise<void>,
): Promise<void> {
  const { handle } = await openGiven(path, { code: 'SOURCE_NOT_FOUND', mostBytes: Number.MAX_SAFE_INTEGER });
  try {
    let line = 0;
    let [hasObjects, hasTracks] = [false, !needsTracks];
    for await (const { bytes } of readLines(handle)) {
      line += 1;
      if (bytes.length === 0) continue;
      const { source, stream, ...result } = resultOf(bytes.toString(), `${path}:${line}`);
      hasObjects ||= result.detections.length > 0;
      hasTracks ||= result.detections.some(({ trackId }) => trackId !== undefined);
      await onFrame(result, source ?? stream);
    }
    if (hasObjects && !hasTracks)
      throw new SightlineError(
        'CONFIG_INVALID',
        `${path}: expected objects with a trackId, since the rules follow objects; it has none: write it with --track`,
      );
    if (line === 0)
      throw new SightlineError('CONFIG_INVALID', `${path}: expected results, a JSON line each; it has none`);
  } finally {
    await handle.close();
  }
}

interface RecordedResult extends WatchedFrame {
  readonly source?: string | undefined;
  readonly stream?: string | undefined;
}

/** What rules need of a result. */
const recordedResult = z.looseObject({
  frame: z.int(),
  ptsUs: z.int(),
  width: z.number().positive(),
  height: z.number().positive(),
  capturedAt: z.iso.datetime({ offset: true }).optional(),
  source: z.string().optional(),
  stream: z.string().optional(),
  detections: z.array(
    z.object({
      classId: z.number(),
      label: z.string(),
      score: z.number(),
      box: z.tuple([z.number(), z.number(), z.number(), z.number()]),
      trackId: z.int().optional(),
      attributes: z
        .record(z.string(), z.custom<Attribute>(isAttribute, 'expected what a second stage says'))
        .optional(),
    }),
  ),
});

/** Rules read labels. */
function isAttribute(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return !('label' in value) || typeof value.label === 'string';
}

function resultOf(text: string, where: string): RecordedResult {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // It is no result either.
  }
  const { success, data } = recordedResult.safeParse(value);
  if (!success)
    throw new SightlineError(
      'CONFIG_INVALID',
      `${where}: expected a result as detect --track --out writes it (docs/results.md), received ${text.slice(0, 60)}`,
    );
  const { capturedAt, detections, frame, ptsUs, width, height, source, stream } = data;
  return {
    frame,
    ptsUs,
    width,
    height,
    source,
    stream,
    detections: detections.map(({ trackId, attributes, ...each }) => ({
      ...each,
      ...(trackId === undefined ? {} : { trackId }),
      ...(attributes === undefined ? {} : { attributes }),
    })),
    ...(capturedAt === undefined ? {} : { capturedAtMs: Date.parse(capturedAt) }),
  };
}
