import type { TaskHandler } from '../control-plane.ts';
import { doSegment } from './do-segment.ts';
import type { JobTools } from './job-tools.ts';
import { mergeFile } from './merge-file.ts';
import { splitFile } from './split-file.ts';

/**
 * Returns the handler for the tasks of bulk jobs. Each input file gets one JSONL file in the order's `outDir`, identical to
 * the output of `sightline detect`, however the file was cut and however often a task was repeated or killed.
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
