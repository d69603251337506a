import type { RolloutAgent } from '../control/rollout/rollout-agent.ts';
import { rolloutPanels } from '../control/rollout/rollout-panels.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import type { Incidents } from '../flow/incidents.ts';
import type { PipelineConfig } from '../pipeline/pipeline.ts';
import { isModelPath, type ModelRoots } from '../store/admit-model.ts';
import { COCO } from '../store/class-names.ts';
import { configuredVersion, openRollouts, type RolloutRequest, type VersionContext } from './open-rollouts.ts';
import type { PipelineHost } from './pipeline-host.ts';
import { RuntimeTarget } from './runtime-target.ts';

export interface HostRollouts {
  readonly agent: RolloutAgent;
  readonly target: RuntimeTarget;
  close(): Promise<void>;
}

/** As `openHostRollouts`; null, with a notice, if the audit log cannot be written: the pipeline runs without roll-outs. */
export async function tryHostRollouts(
  ...[host, config, request]: Parameters<typeof openHostRollouts>
): Promise<HostRollouts | null> {
  try {
    return await openHostRollouts(host, config, request);
  } catch (error) {
    if (!(error instanceof SightlineError) || error.code !== 'SINK_FAILED') throw error;
    request.onNotice(`roll-outs are off: ${error.message}; rollout.folder names another place`);
    return null;
  }
}

/** What a roll-out may name by path: what is below the roots, and what the pipeline file of this host names itself. */
function modelRootsOf({ model: { name, labels }, rollout: { modelRoots: roots } }: PipelineConfig): ModelRoots {
  const files = [...(isModelPath(name) ? [name] : []), ...(labels === undefined || labels === COCO ? [] : [labels])];
  return { roots, files };
}

/**
 * Opens roll-outs on a host's runtime. The caller starts the agent.
 *
 * @param fleet - null if the host is alone.
 * @param streams - names of all streams of the pipeline, on all hosts.
 * @throws MODEL_*, SINK_FAILED
 */
export async function openHostRollouts(
  host: PipelineHost,
  config: PipelineConfig,
  {
    fleet,
    streams,
    incidents,
    ...context
  }: VersionContext & Pick<RolloutRequest, 'fleet' | 'streams' | 'hosts'> & { readonly incidents: Incidents },
): Promise<HostRollouts> {
  const { runtime } = host;
  const { environment, onNotice } = context;
  const initial = await configuredVersion(config, context);
  const modelRoots = modelRootsOf(config);
  const target = new RuntimeTarget({ runtime, streams: host.streams, initial, environment, modelRoots, onNotice });
  const panels = rolloutPanels({
    scoreThreshold: ({ model }) => model.scoreThreshold ?? runtime.scoreThreshold,
    judgesDeviceTime: ({ model }) =>
      model.engine !== 'fake' && model.provider === 'cpu' && runtime.inferenceCpuMs(runtime.primary) !== null,
  });
  const request = { config, modelRoots, initial, target, panels, fleet, streams, incidents, ...context };
  const agent = await openRollouts(request).catch((error: unknown) => {
    target.close();
    throw error;
  });
  return {
    agent,
    target,
    close: async () => {
      await agent.close();
      target.close();
    },
  };
}
