import { join } from 'node:path';
import { systemClock } from '../../base/core/clock.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import type { Incidents } from '../../base/flow/incidents.ts';
import type { FleetBus } from '../../fleet/control/control-plane.ts';
import { MemoryBus } from '../../fleet/control/memory/memory-bus.ts';
import { AuditLog } from '../../fleet/control/rollout/audit-log.ts';
import { RolloutAgent } from '../../fleet/control/rollout/rollout-agent.ts';
import type { GuardPanels } from '../../fleet/control/rollout/rollout-panels.ts';
import type { RolloutStore } from '../../fleet/control/rollout/rollout-store.ts';
import type { RolloutTarget } from '../../fleet/control/rollout/rollout-target.ts';
import { StartLog } from '../../fleet/control/rollout/start-log.ts';
import { rolledSettings } from '../../fleet/control/rollout/stream-changes.ts';
import { firstVersion, type VersionParts } from '../../fleet/control/rollout/versions.ts';
import { KeptRollouts } from '../../fleet/control/state/kept-rollouts.ts';
import { MemoryStore } from '../../fleet/control/store/memory-store.ts';
import { loadConfigured } from '../../frame/runtime/model/load-detector.ts';
import { defaultLanes } from '../../frame/runtime/open-runtime.ts';
import type { ModelRoots } from '../../network/store/admit-model.ts';
import { sha256OfFile } from '../../network/store/file-hash.ts';
import { findWeights } from '../../network/store/find-weights.ts';
import { modelSpec } from '../../network/store/manifests.ts';
import type { BatchConfig } from '../../settings/config/batch.ts';
import type { Environment } from '../../settings/config/environment.ts';
import type { ModelConfig } from '../../settings/config/model-config.ts';
import type { Version } from '../../wire/protocol/rollout-records.ts';
import type { PipelineConfig } from '../pipeline/pipeline.ts';

export interface VersionContext {
  readonly environment: Environment;
  readonly onNotice: (text: string) => void;
}

export interface RolloutRequest extends VersionContext {
  /** `model` is the detector whose versions are rolled out. */
  readonly config: PipelineConfig;
  /** Its name among `models`; undefined: the pipeline's own. */
  readonly detector: string | undefined;
  /** The files that a version may be made of that somebody names over the network. */
  readonly modelRoots: ModelRoots;
  /** The version that the configuration names, see `configuredVersion`. The target has loaded it. */
  readonly initial: Version;
  readonly target: RolloutTarget;
  readonly panels: GuardPanels;
  /** null: this host is alone, and keeps the state of its roll-outs in a folder. */
  readonly fleet: FleetRollouts | null;
  /** Names of all streams that use it, on all hosts. */
  readonly streams: () => readonly string[];
  /** Ids of all hosts that run the pipeline; absent if this host is alone. */
  readonly hosts?: () => readonly string[];
  readonly incidents: Incidents;
}

/** Where the hosts of a fleet keep roll-outs. */
interface FleetRollouts {
  readonly hostId: string;
  /** @param key - see `rolloutKey`. */
  readonly storeOf: (key: string) => RolloutStore;
  readonly bus: FleetBus;
}

/** Under which the roll-outs of a detector are kept and announced: the name of the pipeline, and that of the detector if it has one. */
function rolloutKey(pipeline: string, detector: string | undefined): string {
  return detector === undefined ? pipeline : `${pipeline}:${detector}`;
}

/** Name of a host without a fleet in decisions. */
const ALONE = 'this-host';

/**
 * Opens this host's part in roll-outs. The caller starts and closes it.
 *
 * @throws SINK_FAILED if the audit log cannot be written.
 */
export async function openRollouts(request: RolloutRequest): Promise<RolloutAgent> {
  const { config, detector, environment, fleet, onNotice, initial, target, panels, streams, incidents } = request;
  const pipeline = rolloutKey(config.name, detector);
  const { folder = join(environment.cacheDir, 'rollouts'), warmMs } = config.rollout;
  const { beatMs, leaseMs } = config.fleet;
  const hostId = fleet?.hostId ?? ALONE;
  const { hosts = () => [hostId] } = request;
  const fileOf = (what: string): string => join(folder, `${encodeURIComponent(pipeline)}-${hostId}-${what}`);
  return new RolloutAgent({
    store:
      fleet?.storeOf(pipeline) ??
      new KeptRollouts({ store: new MemoryStore(systemClock), leaseMs, pipeline, folder, onNotice }),
    bus: fleet?.bus ?? new MemoryBus(incidents),
    audit: await AuditLog.open(fileOf('audit.jsonl'), onNotice),
    starts: new StartLog(fileOf('starts.json'), onNotice),
    running: {
      lanes: config.lanes ?? defaultLanes(),
      ...rolledSettings({ defaults: config.defaults, streams: config.streams }),
    },
    resolve: (parts) => resolveVersion(parts, request, request.modelRoots),
    detectorOf: async (model) => {
      const manifest = await loadConfigured(model, environment, request.modelRoots);
      const { family, reported } = manifest;
      return { family, reported, found: modelSpec(manifest) };
    },
    target,
    panels,
    hostId,
    pipeline,
    detector,
    initial,
    streams,
    hosts,
    beatMs,
    warmMs,
    onNotice,
    incidents,
  });
}

/** Names the version that a configuration describes. @throws MODEL_* */
export async function configuredVersion(
  { name, model, batch }: PipelineConfig,
  detector: string | undefined,
  context: VersionContext,
): Promise<Version> {
  return firstVersion(rolloutKey(name, detector), await resolveVersion({ model, batch }, context), Date.now());
}

/** Finds, or fetches, the files of a network, with their hashes: a hash of the manifest has been verified. @throws MODEL_* */
async function resolveVersion(
  { model, batch }: { readonly model: ModelConfig; readonly batch: BatchConfig },
  { environment, onNotice }: VersionContext,
  modelRoots?: ModelRoots,
): Promise<VersionParts> {
  const manifest = await loadConfigured(model, environment, modelRoots);
  // The fake engine needs a network's shape and classes, not its weights.
  if (model.engine === 'fake') return { model, batch, weights: [] };
  const { modelPath: searchPath, cacheDir } = environment;
  const paths = await findWeights(manifest, { searchPath, cacheDir, onNotice });
  const weights = await Promise.all(paths.map((path, i) => manifest.files[i]!.sha256 ?? hashOf(path)));
  return { model, batch, weights };
}

async function hashOf(path: string): Promise<string> {
  const hash = await sha256OfFile(path);
  if (hash !== null) return hash;
  throw new SightlineError('MODEL_WEIGHTS_MISSING', `${path}: the file has just disappeared`, { path });
}
