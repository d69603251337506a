import { z } from 'zod';
import { eValue, type HarmEvidence } from '../../measure/harm-evidence.ts';

/** The e-value that makes a part suspect. Without harm it is reached in at most a third of all cases. */
export const SUSPECT_E_VALUE = 3;
export const SUSPECT_BLOCKS = 3;
/**
 * After this time without new evidence a suspicion no longer stops the roll-out: a class that was seen once may never come back.
 */
export const SUSPICION_MS = 30 * 60_000;

export const harmEvidenceState = z.object({
  blocks: z.number(),
  sum: z.number(),
  wealth: z.array(z.number()).min(1).readonly(),
});

/** What is known of one part of the whole: a stream, a class, or a class on a stream. */
export interface PartFinding {
  /** `On stream "gate"`. */
  readonly where: string;
  /** What differs, and by how much: `the share of ... is 100 % in 18 blocks of 4 s`. */
  readonly what: string;
  readonly estimate: number;
  readonly limit: number;
  /** `30 %`. */
  readonly limitText: string;
  /** fail: harm is certain. suspect: it is likely, so the guard does not pass until that is decided. */
  readonly verdict: 'fail' | 'suspect';
  /** Time until harm is certain if it goes on like this; null if unknown. */
  readonly leftMs: number | null;
  /** Harm is certain, but only a person can say whether it is wanted. */
  readonly isForPerson?: boolean;
}

/** @param alpha - probability of a wrong failure. @param lastMs - time of the newest block. */
export function verdictOn(
  evidence: HarmEvidence,
  alpha: number,
  lastMs: number,
  nowMs: number,
): PartFinding['verdict'] | null {
  const value = eValue(evidence);
  if (value >= 1 / alpha) return 'fail';
  const isSuspect = evidence.blocks >= SUSPECT_BLOCKS && value >= SUSPECT_E_VALUE;
  return isSuspect && nowMs - lastMs < SUSPICION_MS ? 'suspect' : null;
}

/** Time until a suspicion is certain, if the evidence grows as it did. */
export function leftUntilCertain(evidence: HarmEvidence, alpha: number, elapsedMs: number): number {
  return elapsedMs * Math.max(0, -Math.log(alpha) / Math.log(eValue(evidence)) - 1);
}

export function percent(share: number): string {
  return `${+(share * 100).toFixed(1)} %`;
}
