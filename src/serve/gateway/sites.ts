import { resolve } from 'node:path';
import type { FastifyInstance } from 'fastify';
import type { Clock } from '../../base/core/clock.ts';
import { MIB, readGivenText } from '../../base/disk/given-file.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import type { Incidents } from '../../base/flow/incidents.ts';
import { readBounded } from '../../base/flow/read-bounded.ts';
import type { SiteConfig } from '../../settings/config/gateway.ts';
import { SightlineClient } from '../../wire/client/sightline-client.ts';
import type { RuntimePort } from '../../wire/protocol/ports/runtime-port.ts';
import { type SiteReport, type SitesReply, type SummaryReply, summaryReply } from '../../wire/protocol/site-reports.ts';
import { described } from './route-schema.ts';

const POLL_MS = 5_000;
/** A site that takes longer counts as one that does not answer. */
const ANSWER_MS = 4_000;
/** A summary has some hundred bytes. */
const MOST_REPLY_BYTES = MIB / 16;
const TOKEN_FILE = { code: 'CONFIG_INVALID', mostBytes: MIB / 256 } as const;

/** Asks the gateways of other sites for their summaries, all at once, every five seconds; one that hangs holds up none. */
export class Sites {
  readonly #sites: readonly Site[];
  readonly #cancels = new Map<Site, () => void>();

  /** @param incidents - counts what goes wrong here, of which nothing is expected. */
  constructor(configs: readonly SiteConfig[], clock: Clock, incidents: Incidents, wallMs: () => number) {
    this.#sites = configs.map((config) => new Site(config, wallMs));
    const timers = incidents.clock('the sites', clock);
    const poll = async (site: Site): Promise<void> => {
      await site.ask();
      if (this.#cancels.has(site))
        this.#cancels.set(
          site,
          timers.setTimer(() => void poll(site), POLL_MS),
        );
    };
    for (const site of this.#sites) {
      this.#cancels.set(site, () => undefined);
      void poll(site);
    }
  }

  get reports(): readonly SiteReport[] {
    return this.#sites.map(({ report }) => report);
  }

  close(): void {
    for (const cancel of this.#cancels.values()) cancel();
    this.#cancels.clear();
    for (const site of this.#sites) site.close();
  }
}

class Site {
  readonly #config: SiteConfig;
  readonly #wallMs: () => number;
  readonly #closing = new AbortController();
  #report: SiteReport;

  constructor(config: SiteConfig, wallMs: () => number) {
    this.#config = config;
    this.#wallMs = wallMs;
    const { name, url } = config;
    this.#report = { name, url, summary: null, seenMs: null, problem: 'it was not asked yet' };
  }

  get report(): SiteReport {
    return this.#report;
  }

  /** Never rejects. */
  async ask(): Promise<void> {
    const { name, url, tokenFile } = this.#config;
    try {
      // Read each time, so that a token can be replaced.
      const token = tokenFile === undefined ? null : (await readGivenText(resolve(tokenFile), TOKEN_FILE)).trim();
      // A token must not go to where an answer points to.
      const follow: typeof fetch = async (input, init) => {
        const response = await fetch(input, { ...init, redirect: 'error' });
        return new Response(await readBounded(response, MOST_REPLY_BYTES), response);
      };
      const client = new SightlineClient({ url, token, timeoutMs: ANSWER_MS, fetch: follow });
      try {
        const found = summaryReply.safeParse(await client.summary({ signal: this.#closing.signal }));
        if (!found.success)
          throw new SightlineError('GATEWAY_UNREACHABLE', `${url}: its summary is none of this version`);
        this.#report = { name, url, summary: found.data, seenMs: this.#wallMs(), problem: null };
      } finally {
        client.close();
      }
    } catch (error) {
      // What was seen last stays, with its time.
      this.#report = { ...this.#report, problem: (error as Error).message };
    }
  }

  close(): void {
    this.#closing.abort(new Error('the gateway is closing'));
  }
}

/** Adds `/api/summary`, and `/api/sites` with those of other gateways. */
export function addSiteRoutes(app: FastifyInstance, port: RuntimePort, sites: Sites): void {
  app.get(
    '/api/summary',
    described('The sums of all streams.', { reply: summaryReply }),
    (): SummaryReply => summaryOf(port.report()),
  );
  app.get('/api/sites', described('The sums of other sites.'), (): SitesReply => ({ sites: sites.reports }));
}

/** Sums the figures of all streams up. */
export function summaryOf({ timeMs, streams, host, fleet }: ReturnType<RuntimePort['report']>): SummaryReply {
  const count = (is: (stream: (typeof streams)[number]) => boolean): number => streams.filter(is).length;
  const hosts = fleet?.hosts.filter(({ state }) => state !== 'silent');
  return {
    timeMs,
    streams: streams.length,
    running: count(({ state }) => state === 'running'),
    down: count(({ state }) => state === 'starting' || state === 'reconnecting' || state === 'failed'),
    blind: count(({ sign }) => sign !== undefined && sign !== null),
    missing: count(({ isMissing }) => isMissing.fps || isMissing.latency),
    fps: streams.reduce((sum, { fps }) => sum + fps.published, 0),
    hosts: hosts?.length ?? 1,
    overloaded:
      hosts === undefined
        ? Number(host.overload !== undefined)
        : hosts.filter((each) => each.overload !== undefined).length,
  };
}
