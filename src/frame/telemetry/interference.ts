import type { MachineUse } from './machine-counters.ts';

/** How much of the CPU others may take in a window before it is discarded. */
export interface InterferenceLimits {
  /** Share of the machine's CPU that other processes may use. */
  readonly otherRatio: number;
  /** Share that the hypervisor may take. */
  readonly stealRatio: number;
  /** Share of the time in which a CPU limit may hold us back. */
  readonly throttledRatio: number;
}

export const DEFAULT_LIMITS: InterferenceLimits = { otherRatio: 0.1, stealRatio: 0.02, throttledRatio: 0.01 };

/** Nothing is discarded, whatever others take. */
export const NO_LIMITS: InterferenceLimits = {
  otherRatio: Number.POSITIVE_INFINITY,
  stealRatio: Number.POSITIVE_INFINITY,
  throttledRatio: Number.POSITIVE_INFINITY,
};

/**
 * Returns whether others take so much more of the CPU than they usually do that figures of this time tell about them: more than a tenth of
 * what they usually leave. Unknown: no.
 */
export function isDisturbed(othersRatio: number | undefined, usualRatio = 0): boolean {
  return (othersRatio ?? 0) > usualRatio + DEFAULT_LIMITS.otherRatio * (1 - usualRatio);
}

/** Returns what else took the CPU in a window, with figures; null if nothing did, or the system does not report it. */
export function interference(use: MachineUse, limits: InterferenceLimits): string | null {
  const found: string[] = [];
  const add = (ratio: number | null, limit: number, text: (percent: string) => string): void => {
    if (ratio !== null && ratio > limit) found.push(text(`${(ratio * 100).toFixed(0)} %`));
  };
  add(use.otherRatio, limits.otherRatio, (percent) => `other processes used ${percent} of the CPU`);
  add(use.stealRatio, limits.stealRatio, (percent) => `the hypervisor took ${percent} of the CPU`);
  add(use.throttledRatio, limits.throttledRatio, (percent) => `a CPU limit held Sightline back ${percent} of the time`);
  return found.length === 0 ? null : found.join('; ');
}
