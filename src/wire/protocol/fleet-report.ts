/** A gateway's report of the whole fleet: the `fleet` part of `stats`, `GET /api/hosts` and `/api/scale`. */
import type { HostCard, JobReport } from './fleet.ts';

/** ready: takes work. draining: an operator is emptying it. silent: sent nothing for some seconds; it will be removed. */
export const FLEET_HOST_STATES = ['ready', 'draining', 'silent'] as const;
/** State of a host in the fleet. */
export type FleetHostState = (typeof FLEET_HOST_STATES)[number];

/** A host as the fleet sees it. */
export interface FleetHost extends HostCard {
  /** Whether it takes work. */
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
  /** An operator has paused it. */
  readonly paused: number;
}

/** Tasks of all jobs. */
export interface QueueReport {
  /** Tasks that no host has taken yet. */
  readonly waiting: number;
  /** Tasks that a host works on. */
  readonly active: number;
  /** Age of the oldest waiting task, in milliseconds; 0 if none waits. */
  readonly oldestWaitingMs: number;
}

/** The recommended number of hosts and the reason. Loads are in inferences per second; docs/fleet.md has the formulas. */
export interface ScaleReport {
  /** `(active + waiting) / capacity`; above 1, work is waiting. */
  readonly loadRatio: number;
  /** Inferences per second that run. */
  readonly active: number;
  /** Inferences per second that wait for a host. */
  readonly waiting: number;
  /** Inferences per second that the ready hosts have for live streams. */
  readonly capacity: number;
  /** Waiting tasks. */
  readonly queueDepth: number;
  /** Age of the oldest waiting task, in seconds; 0 if none waits. */
  readonly oldestWaitingS: number;
  /** Number of ready hosts. */
  readonly hosts: number;
  /** Number of hosts that the load needs. */
  readonly recommendedHosts: number;
  /** One English sentence with the figures. */
  readonly reason: string;
  /** When this number was first recommended, milliseconds since 1970. */
  readonly sinceMs: number;
}

/** A report of the whole fleet. */
export interface FleetReport {
  /** All hosts, by name. */
  readonly hosts: readonly FleetHost[];
  /** Where the ordered streams run. */
  readonly placement: PlacementReport;
  /** All unfinished jobs and the newest finished ones, newest first. */
  readonly jobs: readonly JobReport[];
  /** Tasks of all jobs. */
  readonly queue: QueueReport;
  /** The recommended number of hosts; null before the first estimate. */
  readonly scale: ScaleReport | null;
}
