import type { ModelConfig } from '../config/model-config.ts';
import type { CocoAnnotations } from '../evaluate/coco-dataset.ts';
import { readAnnotations } from '../evaluate/coco-files.ts';
import { iouTypeOf } from '../evaluate/task-iou.ts';
import { loadConfigured } from '../runtime/model/load-detector.ts';
import type { CliIo } from './cli-io.ts';

/** Reads annotations with what a model is judged by. @throws DATASET_INVALID, and as `loadConfigured` */
export async function annotationsFor(
  model: ModelConfig,
  path: string,
  { environment }: Pick<CliIo, 'environment'>,
): Promise<CocoAnnotations> {
  return readAnnotations(path, iouTypeOf(await loadConfigured(model, environment)));
}
