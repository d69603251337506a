import { identityLoss } from '../../../network/evaluate/identity-loss.ts';
import type { BootstrapOptions } from '../../../network/evaluate/loss-bootstrap.ts';
import { compareMot, type MotBox } from '../../../network/evaluate/mot-files.ts';
import type { RecordedResults } from '../../../network/evaluate/recorded-results.ts';
import { pooledTracking, type TrackingCounts, trackingFigures } from '../../../network/evaluate/tracking-score.ts';
import { framesOf } from './collect-results.ts';
import { type GateVerdict, IDENTITIES } from './gate-verdict.ts';
import { conclude, figure, intervalText, judgeLosses } from './loss-verdict.ts';
import { FEWEST_TRACKS, motBoxesOf, TRACKED_LABEL, type TrackSequence } from './track-sequence.ts';

/** IDF1 may fall by so many times `maxLoss`, as a share of the reference's: as recall and precision may. */
const FACTOR = 5;

/** Sequences whose true tracks are known, and the media time at which the clip of each begins. */
export interface TrackGround {
  readonly sequences: readonly TrackSequence[];
  readonly startsUs: readonly number[];
}

interface IdentityOptions extends BootstrapOptions {
  readonly maxLoss: number;
  readonly level: number;
}

/**
 * Judges whether a candidate keeps the identities of objects whose true tracks are known: the loss of IDF1, by a paired bootstrap over the objects.
 *
 * @param reference, candidate - what both publish for each frame of the sequences, one clip after the other, each box with its identity.
 */
export async function judgeIdentities(
  reference: RecordedResults,
  candidate: RecordedResults,
  { sequences, startsUs }: TrackGround,
  { maxLoss: allowed, level, ...bootstrap }: IdentityOptions,
): Promise<GateVerdict> {
  const compared = sequences.map(({ truth }, clip) => ({
    reference: compareMot(truth, boxesIn(reference, startsUs, clip)),
    candidate: compareMot(truth, boxesIn(candidate, startsUs, clip)),
  }));
  const found = await identityLoss(compared, { ...bootstrap, level });
  const { idf1, objects } = found;
  const factor = FACTOR * idf1.reference;
  const losses = [{ estimate: idf1, factor }];
  const { worstLoss, ...judged } = judgeLosses(losses, allowed, { units: objects, fewestUnits: FEWEST_TRACKS, level });
  const [before, after] = [figuresOf(found.reference), figuresOf(found.candidate)];
  const frames = compared.reduce((sum, { reference: all }) => sum + all.length, 0);
  const text = `${IDENTITIES} ${figure(idf1.candidate)} against ${figure(idf1.reference)} on ${objects} true tracks, a loss of ${figure(idf1.loss)} (${intervalText(idf1.interval, level)}) where ${figure(factor * allowed)} is allowed, with ${after.switches} switches against ${before.switches}`;
  const facts = {
    measure: IDENTITIES as typeof IDENTITIES,
    ...idf1,
    level,
    allowed: factor * allowed,
    worstLoss,
    pictures: frames,
    evidence: objects,
    isLossJudged: false,
    bySize: [],
    byClass: [],
    byTag: [],
    published: null,
    warnings: [],
    video: null,
    identities: { hota: [before.hota, after.hota], switches: [before.switches, after.switches] },
    differences: [],
  } as const;
  if (idf1.reference === 0)
    return {
      ...facts,
      objections: [],
      picturesThatWouldDecide: null,
      verdict: 'inconclusive',
      reason: `the reference follows none of the ${objects} true tracks, so nothing can be judged`,
    };
  const said = conclude({ text, objections: [], judged, pieces: objects, noun: 'true tracks', piecesOfUnit: 1 });
  return { ...facts, ...said };
}

function figuresOf(counts: readonly TrackingCounts[]): { readonly hota: number; readonly switches: number } {
  const pooled = pooledTracking(counts);
  return { hota: trackingFigures(pooled).hota, switches: pooled.switches };
}

function boxesIn(results: RecordedResults, startsUs: readonly number[], clip: number): MotBox[] {
  const frames = framesOf(results.frames, startsUs, clip);
  const first = frames[0]?.frame ?? 0;
  return frames.flatMap(({ frame, detections }) =>
    motBoxesOf(
      frame - first + 1,
      detections.filter(({ label, score }) => label === TRACKED_LABEL && score >= results.scoreThreshold),
    ),
  );
}
