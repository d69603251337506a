/** What gateways of several sites know of each other. */
import { z } from 'zod';
import { record } from './bounds.ts';
import type { SummaryReply } from './keys/reports.ts';

export type { SummaryReply } from './keys/reports.ts';

const sum = z.number();
/** The figures of a gateway in sums: `GET /api/summary`. */
export const summaryReply = record('SummaryReply', {
  timeMs: sum.describe('Of the report, wall clock, milliseconds since 1970.'),
  streams: sum.describe('Number of streams.'),
  running: sum.describe('Of them, those that run.'),
  down: sum.describe('Those that should run and do not.'),
  blind: sum.describe('Those with a sign, such as frozen.'),
  missing: sum.describe('Those that miss a target.'),
  fps: sum.describe('Published frames per second.'),
  hosts: sum.describe('Number of hosts that answer.'),
  overloaded: sum.describe('Of them, those that cannot do what is asked of them.'),
});

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
