import type { Command } from 'commander';
import { COCO_FIGURES, type CocoFigures, scoreDetections } from '../evaluate/average-precision.ts';
import { readAnnotations, readResults } from '../evaluate/coco-files.ts';
import { type CliIo, print, printJson } from './cli-io.ts';
import { table } from './table.ts';

export function addScore(program: Command, io: CliIo): void {
  program
    .command('score')
    .argument('<annotations>', 'COCO annotations, such as instances_val2017.json')
    .argument('<results>', 'COCO results: [{image_id, category_id, bbox: [x, y, w, h], score}]')
    .option('--json', 'one JSON document on standard output')
    .addHelpText(
      'after',
      '\nExample:\n  sightline detect photos/ --coco results.json && sightline score instances.json results.json\n\nThe figures equal those of pycocotools.',
    )
    .action(async (annotationsPath: string, resultsPath: string, { json }: { json?: boolean }) => {
      const annotations = await readAnnotations(annotationsPath);
      const figures = scoreDetections(annotations, await readResults(resultsPath));
      if (json === true) printJson(io, figures);
      else print(io, figuresTable(figures));
    });
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
