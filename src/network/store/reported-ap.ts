import type { Manifest } from './manifests.ts';

/** What a manifest says of how good its detector is. */
export interface ReportedSide {
  readonly name: string;
  readonly reported: Manifest['reported'];
  /** Hashes of its files now. */
  readonly weights: readonly (string | null)[];
}

/** AP of two detectors on the same labelled pictures. */
export interface ComparedAp {
  readonly controlAp: number;
  readonly candidateAp: number;
  readonly pictures: number;
  /** Which pictures, for people. */
  readonly on: string;
}

/** On fewer pictures, an AP says little: a manifest has no interval. */
const FEWEST_PICTURES = 100;

/** The labels on which a figure was measured, if other figures on them may be compared with it; null if not. */
export function comparableLabels(reported: Manifest['reported']): string | null {
  const measured = reported?.measured ?? null;
  return measured !== null && measured.pictures >= FEWEST_PICTURES ? measured.labels : null;
}

/**
 * Returns the AP that both manifests report if both were measured with these weights on the same labels, on enough pictures; else one
 * clause that says why they cannot be compared; null if one of them reports none.
 */
export function comparedAp(control: ReportedSide, candidate: ReportedSide): ComparedAp | string | null {
  const [before, after] = [control.reported, candidate.reported];
  if (before === null || after === null) return null;
  const figures = [control, candidate].map(
    ({ name, reported }) => `${name} reports AP ${reported!.ap} on ${reported!.on}`,
  );
  const both = figures.join(', ');
  for (const { name, reported, weights } of [control, candidate]) {
    const { measured } = reported!;
    if (measured === null) return `${both}; of ${name} it is not known on which labels that was measured`;
    if (!measured.weights.every((hash) => weights.includes(hash)))
      return `${both}; that of ${name} was measured with other weights`;
  }
  const { labels, pictures } = after.measured!;
  if (labels !== before.measured!.labels) return `${both}; these are not the same labelled pictures`;
  if (pictures < FEWEST_PICTURES)
    return `${both}; ${pictures} pictures are too few without an interval (at least ${FEWEST_PICTURES})`;
  return { controlAp: before.ap, candidateAp: after.ap, pictures, on: after.on };
}
