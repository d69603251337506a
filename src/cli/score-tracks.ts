import { compareMot, readMotBoxes, readMotTruth } from '../network/evaluate/mot-files.ts';
import {
  type TrackingCounts,
  type TrackingFigures,
  trackingCounts,
  trackingFigures,
} from '../network/evaluate/tracking-score.ts';
import { table } from './cli-io.ts';

/** What is known of tracks: figures, and the counts that people compare. */
export interface TracksReport
  extends TrackingFigures,
    Omit<TrackingCounts, 'matches' | 'idMatches' | 'hotaMatches' | 'hotaAssociation'> {
  readonly falsePositives: number;
  readonly misses: number;
}

/** Scores a file of tracks. @throws DATASET_INVALID */
export async function scoreTracks(truthPath: string, tracksPath: string, every: number): Promise<TrackingCounts> {
  const truth = await readMotTruth(truthPath);
  return trackingCounts(compareMot(truth, await readMotBoxes(tracksPath, true), every));
}

export function tracksReport(counts: TrackingCounts): TracksReport {
  const { hotaMatches: _, hotaAssociation: __, idMatches: ___, matches, ...rest } = counts;
  return {
    ...trackingFigures(counts),
    ...rest,
    falsePositives: counts.foundBoxes - matches,
    misses: counts.trueBoxes - matches,
  };
}

/** Formats figures with their meaning. */
export function tracksTable(report: TracksReport): string {
  const ratio = (value: number): string => value.toFixed(4);
  return table([
    ['HOTA', ratio(report.hota), 'detection and association together, mean over IoU 0.05 to 0.95'],
    ['DetA', ratio(report.detA), 'of it how well objects are found'],
    ['AssA', ratio(report.assA), 'and how well they keep their identity'],
    ['IDF1', ratio(report.idf1), 'boxes with the right identity, over whole tracks'],
    ['MOTA', ratio(report.mota), '1 less misses, false boxes and switches, per true box'],
    ['switches', `${report.switches}`, 'a true object goes on under another id'],
    ['fragmentations', `${report.fragmentations}`, 'a true object is found again after a gap'],
    [
      'mostly tracked',
      `${report.mostlyTracked}`,
      `of ${report.trueIds} true objects, found in more than 80 % of their frames`,
    ],
    ['mostly lost', `${report.mostlyLost}`, 'found in less than 20 %'],
    ['false boxes', `${report.falsePositives}`, `of ${report.foundBoxes}`],
    ['misses', `${report.misses}`, `of ${report.trueBoxes} true boxes`],
    ['ids', `${report.foundIds}`, `for ${report.trueIds} true objects in ${report.frames} frames`],
  ]);
}
