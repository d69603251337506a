/** What gateways of several sites know of each other. */
import { z } from 'zod';

/** The figures of a gateway in sums: `GET /api/summary`. */
export interface SummaryReply {
  /** Of the report, wall clock, milliseconds since 1970. */
  readonly timeMs: number;
  /** Number of streams. */
  readonly streams: number;
  /** Of them, those that run. */
  readonly running: number;
  /** Those that should run and do not. */
  readonly down: number;
  /** Those with a sign, such as frozen. */
  readonly blind: number;
  /** Those that miss a target. */
  readonly missing: number;
  /** Published frames per second. */
  readonly fps: number;
  /** Number of hosts that answer. */
  readonly hosts: number;
  /** Of them, those that cannot do what is asked of them. */
  readonly overloaded: number;
}

const sum = z.number();
/** What another gateway may answer. */
export const summaryReply = z.object({
  timeMs: sum,
  streams: sum,
  running: sum,
  down: sum,
  blind: sum,
  missing: sum,
  fps: sum,
  hosts: sum,
  overloaded: sum,
} satisfies Record<keyof SummaryReply, typeof sum>);

/** What is known of the gateway of another site. */
export interface SiteReport {
  /** As `gateway.sites` names it. */
  readonly name: string;
  /** Address of its gateway. */
  readonly url: string;
  /** Its newest summary; null before the first one. */
  readonly summary: SummaryReply | null;
  /** When that came, milliseconds since 1970; null before the first one. */
  readonly seenMs: number | null;
  /** Why it gave none when it was last asked; null if it did. */
  readonly problem: string | null;
}

/** The gateways of other sites: `GET /api/sites`. */
export interface SitesReply {
  /** As `gateway.sites` orders them. */
  readonly sites: readonly SiteReport[];
}
