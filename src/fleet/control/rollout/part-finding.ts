import { z } from 'zod';
import {
  addBlock,
  eValue,
  type HarmEvidence,
  harmEvidence,
  NO_EVIDENCE_OF_HARM,
} from '../../../base/statistics/harm-evidence.ts';
import type { PartRule } from './guards/guard.ts';
import { type GuardName, type GuardsConfig, type Named, partMargin } from './guards/guards.ts';
import { percent } from './observed.ts';

/** The e-value that makes a part suspect. Without harm it is reached in at most a third of all cases. */
const SUSPECT_E_VALUE = 3;
const SUSPECT_BLOCKS = 3;
/**
 * After this time without new evidence a suspicion no longer stops the roll-out: a class that was seen once may never come back.
 */
export const SUSPICION_MS = 30 * 60_000;

/** The evidence of a part, by the names of the rules. */
export const partEvidenceState = z.record(z.string(), harmEvidence);
type PartEvidence = z.infer<typeof partEvidenceState>;

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

/** The strongest evidence of harm; null if there is none. */
export function worstOf(found: Iterable<readonly [unknown, PartFinding]>): PartFinding | null {
  let suspect: PartFinding | null = null;
  for (const [, finding] of found) {
    if (finding.verdict === 'fail') return finding;
    suspect ??= finding;
  }
  return suspect;
}

/** How a rule looks at a part. */
export interface PartLook {
  readonly where: string;
  /** Blocks in words, after their number: `turns`. */
  readonly unit: string;
  /** Probability of a wrong failure. */
  readonly alpha: number;
  /** When the part was first seen, and the time of its newest block. */
  readonly fromMs: number;
  readonly lastMs: number;
  /** Certain harm is for a person to decide. */
  readonly isForPerson?: boolean;
  /** Suspect from the first block on, if that is beyond the limit. */
  readonly isEarly?: boolean;
}

/** A part with its evidence. */
interface Judged {
  readonly evidence: PartEvidence;
}

/** Collects the evidence of parts by the rules of all guards, and finds the worst part. */
export class PartJudge<Block, Rule extends PartRule<Block>> {
  readonly #rules: readonly Named<Rule>[];
  readonly #guards: GuardsConfig;

  constructor(rules: readonly Named<Rule>[], guards: GuardsConfig) {
    this.#rules = rules;
    this.#guards = guards;
  }

  /** Adds a block to the evidence, by each rule that has a figure of it. */
  add(evidence: PartEvidence, block: Block): void {
    for (const { kind, guard, figure } of this.#rules) {
      const judged = figure(block, partMargin(this.#guards, guard));
      if (judged !== null) evidence[kind] = addBlock(of(evidence, kind), judged.figure, judged.limit);
    }
  }

  /** Whether a part needs no look: by each rule there are enough blocks without suspicion. */
  isClear(evidence: PartEvidence): boolean {
    return this.#rules.every(({ kind }) => {
      const own = of(evidence, kind);
      return own.blocks >= SUSPECT_BLOCKS && eValue(own) < SUSPECT_E_VALUE;
    });
  }

  /**
   * Every part with evidence of harm.
   *
   * @param look - the share of the risk of one of so many rules is what `alpha` says; null: this rule does not judge the part.
   */
  *findings<Part extends Judged>(
    guard: GuardName,
    parts: Iterable<Part>,
    nowMs: number,
    look: (part: Part, rule: Rule, rules: number) => PartLook | null,
  ): Generator<readonly [Part, PartFinding]> {
    const rules = this.#rules.filter((rule) => rule.guard === guard);
    for (const part of parts)
      for (const rule of rules) {
        const seen = look(part, rule, rules.length);
        const found = seen === null ? null : this.#judge(rule, of(part.evidence, rule.kind), seen, nowMs);
        if (found !== null) yield [part, found];
      }
  }

  /** Whether there is evidence about a part, for or against it. */
  isJudged(guard: GuardName, { evidence }: Judged): boolean {
    return this.#rules.some((rule) => rule.guard === guard && of(evidence, rule.kind).blocks > 0);
  }

  #judge(rule: Named<Rule>, evidence: HarmEvidence, look: PartLook, nowMs: number): PartFinding | null {
    const { where, unit, alpha, fromMs, lastMs, isForPerson = false, isEarly = false } = look;
    const { blocks, sum } = evidence;
    const margin = partMargin(this.#guards, rule.guard);
    const limit = rule.limit(margin);
    const value = eValue(evidence);
    const isCertain = value >= 1 / alpha;
    const isLikely = blocks < SUSPECT_BLOCKS ? isEarly && blocks > 0 && sum / blocks > limit : value >= SUSPECT_E_VALUE;
    if (!isCertain && !(isLikely && nowMs - lastMs < SUSPICION_MS)) return null;
    return {
      where,
      what: rule.says(percent(sum / blocks), `${blocks} ${unit}`, margin),
      limit,
      limitText: percent(limit),
      estimate: sum / blocks,
      verdict: isCertain && !isForPerson ? 'fail' : 'suspect',
      // If the evidence grows as it did.
      leftMs: isCertain && isForPerson ? null : (nowMs - fromMs) * Math.max(0, -Math.log(alpha) / Math.log(value) - 1),
      isForPerson: isCertain && isForPerson,
    };
  }
}

function of(evidence: PartEvidence, kind: string): HarmEvidence {
  return evidence[kind] ?? NO_EVIDENCE_OF_HARM;
}
