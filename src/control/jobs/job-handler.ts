import type { TaskHandler } from '../control-plane.ts';
import { doSegment } from './do-segment.ts';
import type { JobTools } from './job-tools.ts';
import { mergeFile } from './merge-file.ts';
import { splitFile } from './split-file.ts';

/**
 * Does the tasks of bulk jobs: for each input file one JSONL file in the order's `outDir`, exactly what `sightline detect`
 * writes for it, however it was cut and however often a task was repeated or killed half-way.
 */
export function jobHandler(tools: JobTools): TaskHandler {
  return (task, order, context) => {
    switch (task.kind) {
      case 'split':
        return splitFile(tools, task, order, context);
      case 'segment':
        return doSegment(tools, task, order, context);
      case 'merge':
        return mergeFile(tools, task, order, context);
    }
  };
}
