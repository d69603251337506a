import type { Command } from 'commander';
import { counted } from '../base/core/counted.ts';
import { type Figures, scoreResults } from '../network/evaluate/average-precision.ts';
import { readAnnotations, readTypedResults } from '../network/evaluate/coco-files.ts';
import { IOU_TYPES, type IouType } from '../network/evaluate/coco-rules.ts';
import { unknownCategories } from '../network/evaluate/match-dataset.ts';
import { type CliIo, JSON_FLAG, note, show, table, wrongCommand } from './cli-io.ts';
import { addFlags, type FlagsOf, flagTable, whole } from './flag-values.ts';
import { scoreTracks, tracksReport, tracksTable } from './score-tracks.ts';

const MOST_NAMED = 10;

/** What the flag of commands that score says. */
export const IOU_TYPE_MEANS = 'what is compared: boxes, masks, keypoints, oriented boxes, or classes of whole pictures';

const FLAGS = flagTable({
  '--iou-type <type>': [`${IOU_TYPE_MEANS} (default: what the first result has)`, IOU_TYPES],
  '--every <n>': ['tracks: compare every n-th frame', whole('--every', 1, 1000), 1],
  ...JSON_FLAG,
});

export function addScore(program: Command, io: CliIo): void {
  const command = program
    .command('score')
    .argument(
      '<annotations>',
      'COCO annotations, such as instances_val2017.json; or the gt.txt of a MOTChallenge sequence',
    )
    .argument(
      '<results>',
      'COCO results: [{image_id, category_id, bbox: [x, y, w, h], score}]; or tracks, such as those of `detect --out x.mot.txt`',
    );
  addFlags(command, FLAGS)
    .addHelpText(
      'after',
      '\nExample:\n  sightline detect photos/ --coco results.json && sightline score instances.json results.json\n  sightline score instances.json results.json --iou-type segm\n  sightline detect video.mp4 --classes person --track --out tracks.mot.txt && sightline score gt.txt tracks.mot.txt\n\nThe figures equal those of pycocotools. Results with keypoints are scored by them, with an angle or four corners as oriented boxes, with a mask by\nmasks, else by boxes. --iou-type classes takes results without a place: [{image_id, category_id, score}].\nTracks are scored by HOTA, IDF1 and MOTA, equal to those of trackeval; ground truth of nine columns by the rules of MOT17 for what is not evaluated.',
    )
    .action(async (annotationsPath: string, resultsPath: string, flags: FlagsOf<typeof FLAGS>) => {
      if (isTextFile(annotationsPath)) {
        if (flags.iouType !== undefined) throw wrongCommand('--iou-type: tracks are compared by their boxes');
        const report = tracksReport(await scoreTracks(annotationsPath, resultsPath, flags.every));
        return show(io, flags, report, () => tracksTable(report));
      }
      const { iouType, results } = await readTypedResults(resultsPath, flags.iouType);
      const annotations = await readAnnotations(annotationsPath, iouType);
      const figures = scoreResults(annotations, results, resultsPath);
      const unknown = unknownCategories(annotations, results);
      if (unknown.size > 0) note(io, unknownText(annotationsPath, unknown));
      show(io, flags, figures, () => figuresTable(figures, iouType));
    });
}

/** Annotations of COCO are JSON; those of MOTChallenge text. */
function isTextFile(path: string): boolean {
  return path.toLowerCase().endsWith('.txt');
}

/** @param unknown - number of results by category. */
function unknownText(annotationsPath: string, unknown: ReadonlyMap<number, number>): string {
  const results = [...unknown.values()].reduce((sum, count) => sum + count, 0);
  const named = [...unknown].slice(0, MOST_NAMED).map(([id, count]) => `${id} (${counted(count, 'result')})`);
  const more = unknown.size > MOST_NAMED ? ` and ${unknown.size - MOST_NAMED} more` : '';
  return `warning: ${counted(results, 'result')} left out, of categories that ${annotationsPath} does not have: ${named.join(', ')}${more}`;
}

/** Formats the figures with their meaning, in COCO's order. */
export function figuresTable(figures: Figures, iouType: IouType): string {
  const by = COMPARED[iouType];
  return table(
    Object.entries(figures).map(([name, value]) => [name, value.toFixed(4), MEANING[name]!.replace('IoU', by)]),
  );
}

/** What thresholds are of. */
const COMPARED: Readonly<Record<IouType, string>> = {
  bbox: 'IoU',
  segm: 'IoU of masks',
  keypoints: 'similarity of keypoints (OKS)',
  'oriented-boxes': 'IoU of oriented boxes',
  classes: '',
};

const MEANING: Readonly<Record<string, string>> = {
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
  AR: 'average recall with 20 detections per image',
  AR50: 'at IoU 0.50',
  AR75: 'at IoU 0.75',
  top1: 'pictures whose first class is a label',
  top5: 'pictures with a label among the first five classes',
};
