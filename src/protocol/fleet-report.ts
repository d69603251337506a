/** A gateway's report of the whole fleet: the `fleet` part of `stats`, `GET /api/hosts` and `/api/scale`. */
import type { HostCard, JobReport } from './fleet.ts';

/** ready: takes work. draining: an operator is emptying it. silent: sent nothing for some seconds; it will be removed. */
export const FLEET_HOST_STATES = ['ready', 'draining', 'silent'] as const;
type FleetHostState = (typeof FLEET_HOST_STATES)[number];

export interface FleetHost extends HostCard {
  readonly state: FleetHostState;
  /** Time of its newest message, milliseconds since 1970. */
  readonly lastSeenMs: number;
}

/** Number of ordered streams by placement. */
export interface PlacementReport {
  /** A host runs it. */
  readonly placed: number;
  /** No host runs it yet. */
  readonly waiting: number;
  readonly paused: number;
}

/** Tasks of all jobs. */
export interface QueueReport {
  readonly waiting: number;
  readonly active: number;
  readonly oldestWaitingMs: number;
}

/** The recommended number of hosts and the reason. Loads are in inferences per second; docs/fleet.md has the formulas. */
export interface ScaleReport {
  /** `(active + waiting) / capacity`; above 1, work is waiting. */
  readonly loadRatio: number;
  readonly active: number;
  readonly waiting: number;
  readonly capacity: number;
  /** Waiting tasks, and the age of the oldest in seconds. */
  readonly queueDepth: number;
  readonly oldestWaitingS: number;
  /** Number of ready hosts. */
  readonly hosts: number;
  readonly recommendedHosts: number;
  /** One English sentence with the figures. */
  readonly reason: string;
  /** When this number was first recommended, milliseconds since 1970. */
  readonly sinceMs: number;
}

export interface FleetReport {
  readonly hosts: readonly FleetHost[];
  readonly placement: PlacementReport;
  /** All unfinished jobs and the newest finished ones, newest first. */
  readonly jobs: readonly JobReport[];
  readonly queue: QueueReport;
  /** null before the first estimate. */
  readonly scale: ScaleReport | null;
}
