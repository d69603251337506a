import type { Command } from 'commander';
import { counted } from '../core/counted.ts';
import { COCO_FIGURES, type CocoFigures, scoreDetections } from '../evaluate/average-precision.ts';
import { readAnnotations, readResults } from '../evaluate/coco-files.ts';
import { unknownCategories } from '../evaluate/match-dataset.ts';
import { type CliIo, JSON_FLAG, type JsonFlag, note, show } from './cli-io.ts';
import { table } from './table.ts';

const MOST_NAMED = 10;

export function addScore(program: Command, io: CliIo): void {
  program
    .command('score')
    .argument('<annotations>', 'COCO annotations, such as instances_val2017.json')
    .argument('<results>', 'COCO results: [{image_id, category_id, bbox: [x, y, w, h], score}]')
    .option(...JSON_FLAG)
    .addHelpText(
      'after',
      '\nExample:\n  sightline detect photos/ --coco results.json && sightline score instances.json results.json\n\nThe figures equal those of pycocotools.',
    )
    .action(async (annotationsPath: string, resultsPath: string, flags: JsonFlag) => {
      const annotations = await readAnnotations(annotationsPath);
      const results = await readResults(resultsPath);
      const figures = scoreDetections(annotations, results, resultsPath);
      const unknown = unknownCategories(annotations, results);
      if (unknown.size > 0) note(io, unknownText(annotationsPath, unknown));
      show(io, flags, figures, () => figuresTable(figures));
    });
}

/** @param unknown - number of results by category. */
function unknownText(annotationsPath: string, unknown: ReadonlyMap<number, number>): string {
  const results = [...unknown.values()].reduce((sum, count) => sum + count, 0);
  const named = [...unknown].slice(0, MOST_NAMED).map(([id, count]) => `${id} (${counted(count, 'result')})`);
  const more = unknown.size > MOST_NAMED ? ` and ${unknown.size - MOST_NAMED} more` : '';
  return `warning: ${counted(results, 'result')} left out, of categories that ${annotationsPath} does not have: ${named.join(', ')}${more}`;
}

/** Formats the twelve figures with their meaning, in COCO's order. */
export function figuresTable(figures: CocoFigures): string {
  return table(COCO_FIGURES.map((name) => [name, figures[name].toFixed(4), MEANING[name]]));
}

const MEANING: Readonly<Record<keyof CocoFigures, string>> = {
  AP: 'average precision, IoU 0.50 to 0.95',
  AP50: 'at IoU 0.50',
  AP75: 'at IoU 0.75',
  APs: 'small objects (area below 32x32 pixels)',
  APm: 'medium objects',
  APl: 'large objects (area above 96x96 pixels)',
  AR1: 'average recall with 1 detection per image',
  AR10: 'with 10',
  AR100: 'with 100',
  ARs: 'small objects',
  ARm: 'medium objects',
  ARl: 'large objects',
};
