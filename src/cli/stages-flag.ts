import { resolve } from 'node:path';
import { SightlineError } from '../base/errors/sightline-error.ts';
import { isModelPath } from '../network/store/admit-model.ts';
import { COCO } from '../network/store/class-names.ts';
import { inspectStages } from '../serve/host/host-stages.ts';
import { parsePipeline, readPipelineText } from '../serve/pipeline/load-pipeline.ts';
import { type StageConfig, stagesConfig } from '../settings/config/stages.ts';
import { type CliIo, note, wrongCommand } from './cli-io.ts';

/** Returns the second stages of the pipeline file that `--stages` names. @throws COMMAND_INVALID, CONFIG_INVALID */
export function stagesIn(path: string): readonly StageConfig[] {
  const { stages } = parsePipeline(readPipelineText(path), path);
  if (stages.length > 0) return stages;
  throw wrongCommand(`--stages ${path}: expected a pipeline with stages, received one without`);
}

/**
 * Returns the second stages of `--stages` for the hosts of a fleet, with absolute paths: a relative one has another meaning on each host.
 *
 * @throws COMMAND_INVALID, CONFIG_INVALID if they do not fit each other or models that are on this machine.
 */
export async function stagesForHosts(path: string, io: CliIo): Promise<readonly StageConfig[]> {
  const stages = stagesIn(path).map((stage) => {
    const { name, labels } = stage.model;
    const files = {
      ...(isModelPath(name) ? { name: resolve(name) } : {}),
      ...(labels === undefined || labels === COCO ? {} : { labels: resolve(labels) }),
    };
    return { ...stage, model: { ...stage.model, ...files } };
  });
  // Files of jobs have no zones.
  const pipeline = { stages: stagesConfig.parse(stages), streams: [], defaults: {} };
  const { mistakes, warnings } = await inspectStages(pipeline, [], io.environment, 'elsewhere');
  for (const warning of warnings) note(io, `warning: ${warning}; the hosts must have it`);
  if (mistakes.length > 0) throw new SightlineError('CONFIG_INVALID', `--stages ${path}: ${mistakes.join('; ')}`);
  return stages;
}
