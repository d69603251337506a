import { resolve } from 'node:path';
import { kindOf, type SinkConfig, sinkId } from '../../after/sinks/sink-kinds.ts';
import { systemClock } from '../../base/core/clock.ts';
import type { ModelSpec } from '../../base/core/model.ts';
import { redact, redactSource } from '../../base/core/redact.ts';
import { FREE_ACCESS } from '../../base/core/source.ts';
import { readAuthorities } from '../../base/disk/read-authorities.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { Admission } from '../../fleet/control/orders/admission.ts';
import { loadConfigured } from '../../frame/runtime/model/load-detector.ts';
import { checkModel } from '../../frame/runtime/model/prepare-model.ts';
import { notDetector } from '../../frame/runtime/open-runtime.ts';
import { parseSource, sourceScheme } from '../../frame/source/parse-source.ts';
import { findWeights } from '../../network/store/find-weights.ts';
import { modelSpec } from '../../network/store/manifests.ts';
import type { Environment } from '../../settings/config/environment.ts';
import type { ModelConfig } from '../../settings/config/model-config.ts';
import {
  allClasses,
  type FittedModel,
  mixedModels,
  modelFaults,
  requireFits,
  unknownLabel,
  unknownLabels,
  unknownModel,
} from '../../settings/config/model-fit.ts';
import { hasPlaceholder, type Placeholders, sourceText } from '../../settings/config/placeholders.ts';
import { addressesOf, hasClips, modelsOf, type StreamConfig, tapsPackets } from '../../settings/config/stream.ts';
import { ProxyUsers } from '../gateway/access/proxy-users.ts';
import { GatewayAccess, tokensFileOf } from '../gateway/gateway-access.ts';
import { type InspectedPipeline, inspectPipeline, readPipelineText } from '../pipeline/load-pipeline.ts';
import type { PipelineConfig } from '../pipeline/pipeline.ts';
import { inspectStages, requireStages } from './host-stages.ts';
import { type Overlay, overlaid, type WantedStream } from './overlay/overlay.ts';
import { type OverlayPlace, overlayPath, readOverlay } from './overlay/overlay-file.ts';
import { rateWarnings } from './rate-warnings.ts';

export interface PipelineCheck {
  readonly path: string;
  /** The file has no mistake. What it names may still be missing on this machine: see `warnings`. */
  readonly isValid: boolean;
  readonly mistakes: readonly string[];
  readonly warnings: readonly string[];
  /** What would be opened; null if the file cannot be read as a pipeline. */
  readonly opens: PipelineOpens | null;
}

export interface PipelineOpens {
  readonly name: string;
  readonly model: {
    readonly name: string;
    /** WIDTHxHEIGHT; null if the detector cannot be found. */
    readonly input: string | null;
    readonly engine: string;
    readonly provider: string;
    readonly precision: string;
  };
  /** Detectors that streams name, and second stages: the model of each. */
  readonly models: readonly { readonly id: string; readonly name: string }[];
  readonly stages: readonly { readonly id: string; readonly name: string }[];
  readonly streams: readonly {
    readonly id: string;
    readonly source: string;
    /** Media server that gets its video; null if none does. */
    readonly restream: string | null;
    readonly isPaused: boolean;
    /** Whether the overlay says something of it. */
    readonly from: 'file' | 'overlay';
  }[];
  readonly sinks: readonly { readonly id: string; readonly to: string; readonly streams: readonly string[] | null }[];
  readonly gateway: { readonly host: string; readonly port: number; readonly tls: boolean };
  /** Path of the overlay that applies; null if there is none. */
  readonly overlay: string | null;
}

export interface CheckOptions {
  readonly environment: Environment;
  /** False: what REST and the dashboard changed is left out. */
  readonly usesOverlay: boolean;
  /** Overrides the address of the file. */
  readonly address: { readonly host?: string; readonly port?: number };
}

interface Findings {
  readonly mistakes: string[];
  readonly warnings: string[];
}

/** Finds every mistake of a pipeline file, and what `run` would open, without opening a source, a model, a sink or a port. */
export async function examinePipeline(path: string, options: CheckOptions): Promise<PipelineCheck> {
  const found: Findings = { mistakes: [], warnings: [] };
  const { config, rest } = readConfig(path, options.environment, found);
  const inspected = config ?? rest?.config;
  const opens =
    inspected === undefined ? null : await inspectParts(path, inspected, options, found, rest?.isComplete ?? true);
  return { path, isValid: found.mistakes.length === 0, ...found, opens: config === null ? null : opens };
}

function readConfig(
  path: string,
  { variables }: Environment,
  { mistakes }: Findings,
): Pick<InspectedPipeline, 'config' | 'rest'> {
  try {
    const inspected = inspectPipeline(readPipelineText(path), variables);
    mistakes.push(...inspected.faults);
    return inspected;
  } catch (error) {
    mistakes.push((error as Error).message);
    return { config: null };
  }
}

/** @param isComplete - false: the settings lack streams or sinks of the file, so nothing that refers to them is checked. */
async function inspectParts(
  path: string,
  config: PipelineConfig,
  options: CheckOptions,
  found: Findings,
  isComplete: boolean,
): Promise<PipelineOpens> {
  const { environment, address } = options;
  const model = await inspectModel(config.model, 'model', environment, found);
  const fits = new Map<string | undefined, FittedModel | null>([[undefined, model]]);
  for (const [name, other] of Object.entries(config.models)) {
    const fit = await inspectModel(other, `models.${name}`, environment, found);
    fits.set(name, fit);
  }
  const known = [...fits.values()].flatMap((fit) => (fit === null ? [] : [fit.spec]));
  // Of a detector that was not found nothing is known.
  const isKnown = known.length === fits.size;
  const classes = isKnown ? allClasses(known) : null;
  const stages = await inspectStages(config, isKnown ? known : [], environment);
  found.mistakes.push(...stages.mistakes);
  found.warnings.push(...stages.warnings);
  const fitOf = (name: string | undefined): FittedModel | undefined => {
    if (!fits.has(name))
      throw new SightlineError('CONFIG_INVALID', unknownModel('model', name!, Object.keys(config.models)));
    return fits.get(name) ?? undefined;
  };
  const stageNames = config.stages.map(({ name }) => name);
  const requireFit = (stream: StreamConfig): void => requireFits(requireStages(stream, stageNames), fitOf);
  const overlayOptions = isComplete ? options : withoutOverlay(options);
  const { streams, overlay } = await streamsOf(path, config, overlayOptions, requireFit, found);
  for (const { config: stream } of streams) {
    const models = new Map(modelsOf(stream).map((name) => [name, fits.get(name) ?? null]));
    inspectStream(stream, config.placeholders?.sources, models, found);
    const specs = [...models.values()].flatMap((fit) => (fit === null ? [] : [fit.spec]));
    const idle = specs.length < models.size ? [] : stages.idleOn(stream, specs);
    found.warnings.push(...idle.map((why) => `stream "${stream.id}": ${why}`));
    const given = (stream.stages ?? stageNames).map((name) => stages.attributes.get(name) ?? null);
    if (!given.includes(null)) found.warnings.push(...unknownAttributes(stream, given.flat() as string[]));
  }
  if (isComplete) inspectSinks(config, streams, classes, found);
  found.warnings.push(...keptWarnings(config, streams, classes));
  await inspectAccess(config, options, found);
  const { name, engine, provider, precision } = config.model;
  const { host, port, tls } = { ...config.gateway, ...withoutAbsent(address) };
  return {
    name: config.name,
    model: { name: redact(name), input: model?.input ?? null, engine, provider, precision },
    streams: streams.map(({ config: { id, source, restream }, isPaused }) => ({
      id,
      source: redactSource(source),
      isPaused,
      restream: restream === undefined ? null : redactSource(restream),
      from: Object.hasOwn(overlay, id) ? 'overlay' : 'file',
    })),
    sinks: config.sinks.map((sink, i) => ({
      id: sinkId(sink, i),
      to: targetOf(sink),
      streams: sink.streams ?? null,
    })),
    models: Object.entries(config.models).map(([id, { name: of }]) => ({ id, name: redact(of) })),
    stages: config.stages.map(({ name: id, model: { name: of } }) => ({ id, name: redact(of) })),
    gateway: { host, port, tls: tls !== undefined },
    overlay: Object.keys(overlay).length === 0 ? null : overlayPath(placeOf(path, config, options)),
  };
}

function withoutOverlay(options: CheckOptions): CheckOptions {
  return { ...options, usesOverlay: false };
}

function placeOf(pipelinePath: string, { name }: PipelineConfig, { environment }: CheckOptions): OverlayPlace {
  return { pipeline: name, pipelinePath, cacheDir: environment.cacheDir };
}

async function inspectModel(
  model: ModelConfig,
  at: string,
  environment: Environment,
  { mistakes, warnings }: Findings,
): Promise<(FittedModel & { readonly spec: ModelSpec; readonly input: string }) | null> {
  try {
    const manifest = await loadConfigured(model, environment);
    const fault = notDetector(manifest);
    if (fault !== null) throw new SightlineError('CONFIG_INVALID', fault);
    const { modelPath: searchPath, cacheDir } = environment;
    const weights = { searchPath, cacheDir, onNotice: () => undefined, mayFetch: false };
    if (model.engine !== 'fake') {
      const paths = await findWeights(manifest, weights).catch((error: Error) => {
        warnings.push(`${at}: ${error.message}`);
        return null;
      });
      if (paths !== null) await checkModel(manifest, paths, model);
    }
    return {
      spec: modelSpec(manifest),
      scoreThreshold: model.scoreThreshold ?? manifest.scoreThreshold,
      input: model.inputSize ?? `${manifest.input.width}x${manifest.input.height}`,
    };
  } catch (error) {
    mistakes.push(`${at}: ${(error as Error).message}`);
    return null;
  }
}

async function streamsOf(
  path: string,
  config: PipelineConfig,
  options: CheckOptions,
  requireFit: (stream: StreamConfig) => void,
  { warnings }: Findings,
): Promise<{ readonly streams: readonly WantedStream[]; readonly overlay: Overlay }> {
  let overlay: Overlay = {};
  try {
    if (options.usesOverlay) overlay = await readOverlay(placeOf(path, config, options));
  } catch (error) {
    warnings.push(`${(error as Error).message}; it would not be used`);
  }
  const { streams, notes } = overlaid(config, overlay, requireFit);
  warnings.push(...notes);
  // A note says why the others would fail.
  return { streams: streams.filter(({ isUnfit }) => isUnfit !== true), overlay };
}

function inspectStream(
  stream: StreamConfig,
  placeholders: Placeholders['sources'] | undefined,
  models: ReadonlyMap<string | undefined, FittedModel | null>,
  { mistakes, warnings }: Findings,
): void {
  const { id, source, loop, realtime, transport } = stream;
  for (const address of addressesOf(stream)) {
    // A placeholder without a value is a mistake that was named already.
    if (address === 'demo' || (hasPlaceholder(address) && placeholders?.has(address) !== true)) continue;
    try {
      parseSource(sourceText(address, placeholders), {
        loop,
        realtime: realtime ?? loop,
        rtspTransport: transport,
        readTimeoutMs: 0,
        access: FREE_ACCESS,
      });
    } catch (thrown) {
      const error = SightlineError.from(thrown, 'SOURCE_UNREADABLE');
      const isMissing = error.code === 'SOURCE_NOT_FOUND';
      const text = `stream "${id}": ${error.message}`;
      if (isMissing) warnings.push(`${text}; the stream would be tried again until it appears`);
      else mistakes.push(text);
    }
  }
  const fitted = new Map([...models].flatMap(([name, model]) => (model === null ? [] : [[name, model] as const])));
  const faults = [...fitted.values()].flatMap((model) => modelFaults(stream, model));
  faults.push(...mixedModels(fitted));
  mistakes.push(...new Set(faults.map((fault) => `stream "${id}": ${fault}`)));
  if (tapsPackets(stream) && sourceScheme(source) === 'synthetic')
    warnings.push(
      `stream "${id}": a test picture has no packets, so it has no clips, no recording, no live video and no restream`,
    );
  warnings.push(...rateWarnings(stream));
}

/** Warns of days by label that nothing has, or that clips do not reach. */
function keptWarnings(
  { recording: { labelDays }, history }: PipelineConfig,
  streams: readonly WantedStream[],
  classes: readonly string[] | null,
): string[] {
  const mayKeepClips = streams.some(({ config }) => hasClips(config));
  return Object.entries(labelDays).flatMap(([label, days]) => {
    const at = `recording.labelDays.${label}`;
    if (classes !== null && !classes.includes(label)) return unknownLabel(at, label, classes);
    if (!mayKeepClips || days <= history.days) return [];
    return [`${at}: recordings are kept ${days} days, clips with their events ${history.days} (history.days)`];
  });
}

/** Warns of rules that ask for an attribute which nothing sets. @param given - names of those that the stream's second stages give. */
function unknownAttributes({ id, events }: StreamConfig, given: readonly string[]): string[] {
  return events.flatMap(({ when = '' }, i) => {
    const asked = [...when.matchAll(/\battributes\s*(?:\.\s*(\w+)|\[\s*["']([^"']+)["']\s*\])/g)];
    const unknown = new Set(asked.map(([, name, quoted]) => name ?? quoted!).filter((name) => !given.includes(name)));
    const known = given.join(', ') || 'there are none';
    return [...unknown].map(
      (name) =>
        `stream "${id}": events[${i}].when: expected attributes of its second stages: ${known}; received ${name}, which nothing sets`,
    );
  });
}

function targetOf(sink: SinkConfig): string {
  const kind = kindOf(sink);
  const path = kind.file(sink);
  if (path === null) return kind.target?.(sink) ?? sink.type;
  return path === '-' ? 'standard output' : resolve(path);
}

function inspectSinks(
  { sinks, alerts }: PipelineConfig,
  streams: readonly WantedStream[],
  classes: readonly string[] | null,
  { mistakes, warnings }: Findings,
): void {
  const ids = new Set(streams.map(({ config }) => config.id));
  for (const [i, sink] of sinks.entries()) {
    const problem = kindOf(sink).problem?.(sink) ?? null;
    if (problem !== null) mistakes.push(`sinks[${i}].${problem}`);
    const unknown = (sink.streams ?? []).filter((id) => !ids.has(id));
    if (unknown.length > 0)
      warnings.push(`sinks[${i}].streams: there is no stream ${unknown.join(', ')} now; the sink gets nothing of it`);
    const labels = 'filter' in sink ? (sink.filter?.labels ?? []) : [];
    if (classes !== null) warnings.push(...unknownLabels(`sinks[${i}].filter.labels`, labels, classes));
  }
  for (const [i, alert] of alerts.entries()) {
    const unknown = (alert.streams ?? []).filter((id) => !ids.has(id));
    if (unknown.length > 0) warnings.push(`alerts[${i}].streams: there is no stream ${unknown.join(', ')} now`);
    const of = streams.filter(({ config }) => alert.streams?.includes(config.id) !== false);
    const rules = new Set(of.flatMap(({ config }) => config.events.map(({ id }) => id)));
    const missing = alert.on.filter((id) => !rules.has(id));
    if (missing.length > 0)
      warnings.push(`alerts[${i}].on: no stream has a rule ${missing.join(', ')} now; nothing is sent about it`);
  }
}

/** Files of the gateway and of sources, and rules for others. */
async function inspectAccess(
  config: PipelineConfig,
  { environment, address }: CheckOptions,
  { mistakes }: Findings,
): Promise<void> {
  const { host, tls, allowedOrigins, proxyUsers = null } = config.gateway;
  const { caFile } = config.tls;
  const attempts: readonly (() => unknown)[] = [
    () => new Admission(config.fleet),
    () => (caFile === undefined ? null : readAuthorities(caFile, 'tls.caFile')),
    () =>
      GatewayAccess.open({
        host: address.host ?? host,
        token: environment.token,
        tokensFile: tokensFileOf(config.gateway.tokensFile, environment),
        tls,
        allowedOrigins,
        clock: systemClock,
        wallMs: Date.now,
        proxyUsers: proxyUsers === null ? null : new ProxyUsers(proxyUsers, config.gateway.trustedProxies),
      }),
  ];
  for (const attempt of attempts) {
    try {
      await attempt();
    } catch (error) {
      mistakes.push((error as Error).message);
    }
  }
}

function withoutAbsent({ host, port }: CheckOptions['address']): { host?: string; port?: number } {
  return { ...(host === undefined ? {} : { host }), ...(port === undefined ? {} : { port }) };
}
