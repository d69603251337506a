import { z } from 'zod';
import { range } from '../../../../settings/config/number.ts';
import { hardSettings } from '../hard-guards.ts';
import { recordedSettings } from '../recorded-verdict.ts';
import { agreement } from './agreement-guard.ts';
import { blind } from './blind-guard.ts';
import { boxes } from './boxes-guard.ts';
import { confidence } from './confidence-guard.ts';
import { deviceTime } from './device-time-guard.ts';
import { drops } from './drops-guard.ts';
import { fps } from './fps-guard.ts';
import type { Guard } from './guard.ts';
import { p99 } from './p99-guard.ts';

/** The guards that compare the candidate with the control, in the order of reports. */
export const GUARDS = { agreement, p99, fps, drops, boxes, confidence, deviceTime, blind } as const satisfies Record<
  string,
  Guard
>;

type Guards = typeof GUARDS;
/** Name of a guard that compares. */
export type GuardName = keyof Guards;
export const GUARD_NAMES = Object.keys(GUARDS) as readonly GuardName[];

/** A guard that judges parts, and so has a setting `partMargin`. */
type PartGuardName = {
  [G in GuardName]: Guards[G] extends { readonly ofStreams: object } | { readonly ofClasses: object } ? G : never;
}[GuardName];
/** A rule on parts, with its guard and the name of its evidence. */
export type Named<Rule> = Rule & { readonly kind: string; readonly guard: PartGuardName };

/** Returns a guard, with all keys that a guard may have. */
export function guardOf(name: GuardName): Guard {
  return GUARDS[name];
}

/** How evidence of single streams, and of classes, is judged. */
export const STREAM_RULES = rulesOf(({ ofStreams }) => ofStreams);
export const CLASS_RULES = rulesOf(({ ofClasses }) => ofClasses);

function rulesOf<Rule>(part: (guard: Guard) => Readonly<Record<string, Rule>> | undefined): readonly Named<Rule>[] {
  return GUARD_NAMES.flatMap((guard) =>
    Object.entries(part(guardOf(guard)) ?? {}).map(([kind, rule]) => ({
      ...rule,
      kind,
      guard: guard as PartGuardName,
    })),
  );
}

/** The sums that rules declare, by name, each with the guard of its rule. */
export function declaredSums<Sum>(
  rules: readonly Named<{ readonly sums?: Readonly<Record<string, Sum>> }>[],
): ReadonlyMap<string, { readonly of: Sum; readonly guard: PartGuardName }> {
  return new Map(
    rules.flatMap(({ sums, guard }) => Object.entries(sums ?? {}).map(([name, of]) => [name, { of, guard }] as const)),
  );
}

/** When a roll-out goes on, and when it goes back. */
export const guardsConfig = z.strictObject({
  alpha: range(0.0001, 0.2)
    .default(0.05)
    .describe(
      'Probability that a guard passes a candidate beyond its margin in a step, however often it is looked at.',
    ),
  rollbackAlpha: range(0.00001, 0.2)
    .default(0.01)
    .describe(
      'Probability that a candidate within all margins is rolled back, in all steps, streams and classes together.',
    ),
  ...(Object.fromEntries(GUARD_NAMES.map((name) => [name, GUARDS[name].settings])) as {
    [G in GuardName]: Guards[G]['settings'];
  }),
  hard: hardSettings,
  recorded: recordedSettings,
});

export type GuardsConfig = z.infer<typeof guardsConfig>;

/** How much weaker than published a box may be on one side, from the settings in a record. */
export function scoreSlackOf(settings: Readonly<Record<string, unknown>>): number {
  return guardsConfig.catch(guardsConfig.parse({})).parse(settings).agreement.scoreSlack;
}

/** How far a part may differ by a guard that judges parts; such a guard needs the setting. */
export function partMargin(guards: GuardsConfig, name: PartGuardName): number {
  return guards[name].partMargin;
}
