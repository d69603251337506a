import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../../../src/base/core/clock.ts';
import { Incidents } from '../../../../src/base/flow/incidents.ts';
import { Sites, summaryOf } from '../../../../src/serve/gateway/sites.ts';
import { SightlineClient } from '../../../../src/wire/client/sightline-client.ts';
import type { SiteReport } from '../../../../src/wire/protocol/site-reports.ts';
import { FleetRig } from '../../../support/fleet-rig.ts';
import { ManualClock } from '../../../support/manual-clock.ts';
import { openGateway } from '../../../support/open-gateways.ts';
import { RuntimeDouble } from '../../../support/runtime-double.ts';
import { streamReport } from '../../../support/sample-reports.ts';
import { waitFor } from '../../../support/wait-for.ts';

const TOKEN = 'a-token-of-another-site';
const servers: Server[] = [];

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

/** A runtime with one stream of each kind of trouble. */
function troubled(): RuntimeDouble {
  const runtime = new RuntimeDouble(['well']);
  runtime.put({ ...streamReport('gone'), state: 'reconnecting' });
  runtime.put({ ...streamReport('dark'), sign: { name: 'black', sinceMs: 1 } });
  runtime.put({ ...streamReport('slow'), isMissing: { fps: true, latency: true } });
  return runtime;
}

describe('sums of a gateway', () => {
  it('count each kind of trouble', () => {
    const { streams, running, down, blind, missing, hosts, overloaded } = summaryOf(troubled().report());
    expect({ streams, running, down, blind, missing }).toEqual({
      streams: 4,
      running: 3,
      down: 1,
      blind: 1,
      missing: 1,
    });
    expect([hosts, overloaded]).toEqual([1, 0]);
  });

  it('are those of all hosts of a fleet that answer', async () => {
    const rig = await FleetRig.open();
    onTestFinished(() => rig.view.close());
    const report = rig.view.report();
    const [first, ...others] = report.fleet!.hosts;
    expect(others).toHaveLength(1);
    const hosts = [{ ...first!, state: 'silent' as const }, ...others];
    expect(summaryOf(report).hosts).toBe(2);
    expect(summaryOf({ ...report, fleet: { ...report.fleet!, hosts } }).hosts).toBe(1);
  });
});

describe('other sites', () => {
  it('are asked with their tokens, and none holds up another', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sites-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const tokenFile = join(folder, 'token');
    writeFileSync(tokenFile, `${TOKEN}\n`);
    const good = await openGateway(troubled(), { token: TOKEN });
    const seen: (string | undefined)[] = [];
    const elsewhere = await serve((request, response) => {
      seen.push(request.headers.authorization);
      response.end('{}');
    });
    const gone = await serve(() => undefined);
    await new Promise((resolve) => servers.pop()!.close(resolve));
    const sites = [
      { name: 'hangs', url: await serve(() => undefined) },
      { name: 'good', url: good.url, tokenFile },
      { name: 'no token', url: good.url },
      { name: 'no file', url: good.url, tokenFile: join(folder, 'none') },
      { name: 'gone', url: gone },
      { name: 'other program', url: await serve((_, response) => response.end('<h1>hello</h1>')) },
      { name: 'other answer', url: await serve((_, response) => response.end('{"streams":"many"}')) },
      {
        name: 'points elsewhere',
        url: await serve((_, response) => response.writeHead(302, { location: elsewhere }).end()),
        tokenFile,
      },
    ];
    const own = await openGateway(new RuntimeDouble(), { sites });
    const client = new SightlineClient({ url: own.url });
    onTestFinished(() => client.close());
    const reports = async (): Promise<readonly SiteReport[]> => (await client.sites()).sites;
    const isAsked = ({ problem }: SiteReport): boolean => problem !== 'it was not asked yet';
    await waitFor('the answers', async () => (await reports()).filter(isAsked).length === sites.length - 1);
    const byName = new Map((await reports()).map((site) => [site.name, site]));
    const problemOf = (name: string): string | null | undefined => byName.get(name)?.problem;
    expect(byName.get('good')).toMatchObject({
      problem: null,
      summary: { streams: 4, down: 1 },
      seenMs: expect.any(Number),
    });
    expect(problemOf('no token')).toContain('token');
    expect(problemOf('no file')).toContain(join(folder, 'none'));
    expect(problemOf('gone')).toContain('ECONNREFUSED');
    expect(problemOf('other program')).toContain('expected a gateway of Sightline');
    expect(byName.get('other answer')).toMatchObject({ summary: null, problem: expect.stringContaining('summary') });
    expect(byName.get('points elsewhere')).toMatchObject({ summary: null, problem: expect.any(String) });
    expect(seen).toEqual([]);
    expect(JSON.stringify([...byName.values()])).not.toContain(TOKEN);
  });

  it('that answer without end are read no further', async () => {
    let isClosed = false;
    let sent = 0;
    const chunk = Buffer.alloc(65_536, ' ');
    const url = await serve((_, response) => {
      const flood = (): void => {
        do sent += chunk.length;
        while (response.write(chunk));
      };
      response.on('drain', flood);
      response.on('close', () => {
        isClosed = true;
      });
      flood();
    });
    const sites = new Sites([{ name: 'endless', url }], systemClock, new Incidents(() => undefined), Date.now);
    onTestFinished(() => sites.close());
    await waitFor('the end of the connection', () => isClosed);
    await waitFor('its problem', () => sites.reports[0]!.problem !== 'it was not asked yet');
    expect(sites.reports[0]!.problem).toContain('the reply has more than 65536 bytes');
    // What the system keeps for both ends of a connection comes on top.
    expect(sent).toBeLessThan(32_000_000);
  });

  it('keep what was seen last, with its time, and are asked again', async () => {
    const clock = new ManualClock();
    let nowMs = 1000;
    const remote = await openGateway(troubled());
    const sites = new Sites(
      [{ name: 'a', url: remote.url }],
      clock,
      new Incidents(() => undefined, systemClock),
      () => nowMs,
    );
    onTestFinished(() => sites.close());
    await waitFor('the first answer', () => sites.reports[0]!.problem === null);
    await remote.close();
    nowMs = 9000;
    await waitFor('the next question', () => {
      clock.advance(5000);
      return sites.reports[0]!.problem !== null;
    });
    expect(sites.reports[0]).toMatchObject({ seenMs: 1000, summary: { streams: 4 }, problem: expect.any(String) });
  });
});
