import { SightlineError } from '../../base/errors/sightline-error.ts';
import type { Incidents } from '../../base/flow/incidents.ts';
import type { RolloutAgent } from '../../fleet/control/rollout/rollout-agent.ts';
import { rolloutPanels } from '../../fleet/control/rollout/rollout-panels.ts';
import { isModelPath, type ModelRoots } from '../../network/store/admit-model.ts';
import { COCO } from '../../network/store/class-names.ts';
import type { PipelineConfig } from '../pipeline/pipeline.ts';
import { recordingsFolder } from './open-recorder.ts';
import { configuredVersion, openRollouts, type RolloutRequest, type VersionContext } from './open-rollouts.ts';
import type { PipelineHost } from './pipeline-host.ts';
import { RuntimeTarget } from './runtime-target.ts';

/** The roll-outs of one detector. */
export interface DetectorRollouts {
  readonly agent: RolloutAgent;
  readonly target: RuntimeTarget;
}

/** What roll-outs need of the host and its fleet. */
export interface RolloutContext extends VersionContext, Pick<RolloutRequest, 'fleet' | 'hosts'> {
  /** All streams of the pipeline, on all hosts. */
  readonly streams: () => readonly { readonly id: string; readonly model?: string | undefined }[];
  readonly incidents: Incidents;
}

/** The roll-outs of a host: of the pipeline's own detector, and of each that streams name. */
export class HostRollouts {
  readonly own: DetectorRollouts;
  readonly #named: ReadonlyMap<string, DetectorRollouts>;

  private constructor(own: DetectorRollouts, named: ReadonlyMap<string, DetectorRollouts>) {
    this.own = own;
    this.#named = named;
  }

  /**
   * Opens roll-outs on a host's runtime. The caller starts and closes them.
   *
   * @returns null, with a notice, if the audit log cannot be written: the pipeline runs without roll-outs.
   * @throws MODEL_*
   */
  static async tryOpen(
    host: PipelineHost,
    config: PipelineConfig,
    context: RolloutContext,
  ): Promise<HostRollouts | null> {
    const opened: DetectorRollouts[] = [];
    try {
      const own = await openDetector(host, config, undefined, context);
      opened.push(own);
      const named = new Map<string, DetectorRollouts>();
      for (const [name, model] of Object.entries(config.models)) {
        named.set(name, await openDetector(host, { ...config, model }, name, context));
        opened.push(named.get(name)!);
      }
      return new HostRollouts(own, named);
    } catch (error) {
      await Promise.all(opened.map(closeDetector));
      if (!(error instanceof SightlineError) || error.code !== 'SINK_FAILED') throw error;
      context.onNotice(`roll-outs are off: ${error.message}; rollout.folder names another place`);
      return null;
    }
  }

  /** By names of detectors. */
  get named(): ReadonlyMap<string, RolloutAgent> {
    return new Map([...this.#named].map(([name, { agent }]) => [name, agent]));
  }

  get #all(): readonly DetectorRollouts[] {
    return [this.own, ...this.#named.values()];
  }

  /** @throws CONTROL_UNREACHABLE */
  async start(): Promise<void> {
    await Promise.all(this.#all.map(({ agent }) => agent.start()));
  }

  async close(): Promise<void> {
    await Promise.all(this.#all.map(closeDetector));
  }
}

async function closeDetector({ agent, target }: DetectorRollouts): Promise<void> {
  await agent.close();
  target.close();
}

/** What roll-outs and jobs may name by path: what is below the roots, and what the pipeline file of this host names itself. */
export function modelRootsOf({ model, stages, rollout: { modelRoots: roots } }: PipelineConfig): ModelRoots {
  const files = [model, ...stages.map((stage) => stage.model)].flatMap(({ name, labels }) => [
    ...(isModelPath(name) ? [name] : []),
    ...(labels === undefined || labels === COCO ? [] : [labels]),
  ]);
  return { roots, files };
}

/** @param config - `model` is the detector. @throws MODEL_*, SINK_FAILED */
async function openDetector(
  host: PipelineHost,
  config: PipelineConfig,
  detector: string | undefined,
  { fleet, streams, incidents, hosts, ...context }: RolloutContext,
): Promise<DetectorRollouts> {
  const { runtime, models } = host;
  const { environment, onNotice } = context;
  const initial = await configuredVersion(config, detector, context);
  const modelRoots = modelRootsOf(config);
  const named = detector === undefined ? undefined : { detector, models };
  const { streams: ofHost } = host;
  const target = new RuntimeTarget({
    runtime,
    streams: ofHost,
    named,
    initial,
    environment,
    modelRoots,
    onNotice,
    recordings: recordingsFolder(config, environment),
  });
  const panels = rolloutPanels({
    scoreThreshold: ({ model }) => model.scoreThreshold ?? models.fitOf(detector).scoreThreshold,
    judgesDeviceTime: ({ model }) =>
      model.engine !== 'fake' && model.provider === 'cpu' && runtime.inferenceCpuMs(runtime.primary) !== null,
  });
  const names = (): string[] => streams().flatMap(({ id, model }) => (model === detector ? [id] : []));
  const given = { config, detector, modelRoots, initial, target, panels, fleet, streams: names, incidents };
  const request = { ...given, ...context, ...(hosts === undefined ? {} : { hosts }) };
  const agent = await openRollouts(request).catch((error: unknown) => {
    target.close();
    throw error;
  });
  return { agent, target };
}
