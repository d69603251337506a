/** What a gateway tells people and machines of the whole fleet: the `fleet` part of `stats`, `GET /api/hosts`, `/api/scale`. */
import type { HostCard, JobReport } from './fleet.ts';

/** ready: takes work. draining: an operator wants it empty. silent: not heard of for some seconds; it will vanish. */
export const FLEET_HOST_STATES = ['ready', 'draining', 'silent'] as const;
export type FleetHostState = (typeof FLEET_HOST_STATES)[number];

export interface FleetHost extends HostCard {
  readonly state: FleetHostState;
  /** Newest sign of life, milliseconds since 1970. */
  readonly lastSeenMs: number;
}

/** Streams by what has become of their orders. */
export interface PlacementReport {
  /** A host runs it. */
  readonly placed: number;
  /** Nobody runs it yet. */
  readonly waiting: number;
  readonly paused: number;
}

/** Tasks of all jobs. */
export interface QueueReport {
  readonly waiting: number;
  readonly active: number;
  readonly oldestWaitingMs: number;
}

/** How many hosts the fleet should have, and why. Loads are in inferences a second; docs/fleet.md has the formulas. */
export interface ScaleReport {
  /** `(active + waiting) / capacity`; above 1 something waits. */
  readonly loadRatio: number;
  readonly active: number;
  readonly waiting: number;
  readonly capacity: number;
  /** Tasks that nobody has begun, and the age of the oldest in seconds. */
  readonly queueDepth: number;
  readonly oldestWaitingS: number;
  /** That are ready. */
  readonly hosts: number;
  readonly recommendedHosts: number;
  /** One English sentence with the figures. */
  readonly reason: string;
  /** Since when this number has been recommended, milliseconds since 1970. */
  readonly sinceMs: number;
}

export interface FleetReport {
  readonly hosts: readonly FleetHost[];
  readonly placement: PlacementReport;
  /** Unfinished ones and the newest of the others, newest first. */
  readonly jobs: readonly JobReport[];
  readonly queue: QueueReport;
  /** null before the first estimate. */
  readonly scale: ScaleReport | null;
}
