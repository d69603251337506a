import { BUSY_STAGES, type BusyStage } from '../protocol/report.ts';

/** What one stage costs, and how many frames it works on at the same time. */
export interface StageCost {
  readonly servers: number;
  /** Time of a frame on one server, in milliseconds. */
  readonly serviceMs: number;
  /** CPU time of a frame. Less than `serviceMs` if the stage has a device of its own. */
  readonly cpuMs: number;
}

export type StageCosts = Readonly<Record<BusyStage, StageCost>>;

/**
 * Predicts the frames per second of files read as fast as possible: the slowest stage, or all stages together on the
 * cores that they share.
 *
 *     rate = min( min over stages of servers / service time,  cores / CPU time of a frame )
 *
 * The first term is the bound of the bottleneck of a closed queueing network (Denning and Buzen, 1978).
 */
export function predictRate(stages: StageCosts, cores: number): number {
  return Math.min(cpuLimit(stages, cores), ...BUSY_STAGES.map((stage) => stageLimit(stages[stage])));
}

/** Frames per second that a stage alone could do. */
export function stageLimit({ servers, serviceMs }: StageCost): number {
  return serviceMs <= 0 ? Number.POSITIVE_INFINITY : (servers * 1000) / serviceMs;
}

/** Frames per second for which the cores have time. */
export function cpuLimit(stages: StageCosts, cores: number): number {
  const cpuMs = BUSY_STAGES.reduce((sum, stage) => sum + stages[stage].cpuMs, 0);
  return cpuMs <= 0 ? Number.POSITIVE_INFINITY : (cores * 1000) / cpuMs;
}
