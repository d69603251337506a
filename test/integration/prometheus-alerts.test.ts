import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { Sightline } from '../../src/index.ts';
import { BrokerProcess } from '../support/broker-process.ts';
import { cliHere } from '../support/cli-here.ts';
import { alertmanagerPlan, prometheusPlan } from '../support/prometheus.ts';
import { waitFor } from '../support/wait-for.ts';

/** What Alertmanager posts. */
interface Notification {
  readonly alerts: readonly {
    readonly status: 'firing' | 'resolved';
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
  }[];
}

const missing =
  BrokerProcess.missing(prometheusPlan('', '', 0)) ?? BrokerProcess.missing(alertmanagerPlan('http://127.0.0.1'));
const folder = mkdtempSync(join(tmpdir(), 'sightline-alerting-'));
const closing: (() => unknown)[] = [() => rmSync(folder, { recursive: true })];
afterAll(async () => {
  for (const close of closing.toReversed()) await close();
});

/** Every 20th frame of 20 a second, where 5 are expected. */
const PIPELINE = `
name: watched
description: For a test.
model: { engine: fake }
gateway: { port: 0 }
streams:
  - id: door
    source: 'synthetic:testsrc2=size=160x90:rate=20'
    realtime: true
    policy: live
    every: 20
    target: { fps: 5 }
`;

async function receiver(got: Notification['alerts'][number][]): Promise<string> {
  const server: Server = createServer(async (request, response) => {
    let text = '';
    for await (const part of request.setEncoding('utf8')) text += part as string;
    got.push(...(JSON.parse(text) as Notification).alerts);
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

describe.skipIf(missing !== null)('a real Prometheus and Alertmanager (skipped where they are not installed)', () => {
  it('tell people that a stream misses its target, and that it meets it again', async () => {
    const path = join(folder, 'watched.yaml');
    writeFileSync(path, PIPELINE);
    const { stdout } = await cliHere(['alerts', path]);
    // The rules as they are, in seconds instead of minutes.
    const rules = stdout.replaceAll(/\bfor: \d+m/g, 'for: 1s').replaceAll(/\[\d+m\]/g, '[8s]');
    expect(rules).not.toBe(stdout);

    const engine = await Sightline.open({ pipeline: path, cacheDir: join(folder, 'cache') });
    closing.push(() => engine.close());
    const { url, port } = await engine.serve({ port: 0 });
    const got: Notification['alerts'][number][] = [];
    const alertmanager = await BrokerProcess.open(alertmanagerPlan(await receiver(got)));
    closing.push(() => alertmanager.close());
    const prometheus = await BrokerProcess.open(prometheusPlan(rules, `127.0.0.1:${port}`, alertmanager.port));
    closing.push(() => prometheus.close());

    const find = (status: string) =>
      got.find((each) => each.status === status && each.labels.alertname === 'SightlineStreamMissesRate');
    await waitFor('the alert', () => find('firing') !== undefined, { deadlineMs: 40_000 });
    expect(find('firing')).toMatchObject({
      labels: { stream: 'door', severity: 'warning', target: '5 fps', instance: `127.0.0.1:${port}` },
      annotations: { summary: expect.stringMatching(/^door publishes \d+\.\d frames\/s; expected are 5$/) },
    });
    expect(find('resolved')).toBeUndefined();

    const reply = await fetch(`${url}/api/streams/door`, {
      method: 'PATCH',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ every: 1 }),
    });
    expect(reply.status).toBe(200);
    await waitFor('the end of the alert', () => find('resolved') !== undefined, { deadlineMs: 60_000 });
    expect(got.filter(({ labels }) => labels.alertname === 'SightlineStreamAbsent')).toEqual([]);
  });
});
