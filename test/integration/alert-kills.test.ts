import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { seededRandom } from '../../src/base/core/seeded-random.ts';
import type { HostReport } from '../../src/wire/protocol/report.ts';
import type { CloudEvent } from '../../src/wire/protocol/rule-event.ts';
import { testFfmpeg } from '../support/made-videos.ts';
import { serveMail } from '../support/mail-server.ts';

const HOST = fileURLToPath(new URL('../support/killed-rules.mjs', import.meta.url));
const KILLS = 6;
const PER_HOUR = 3;
const folder = mkdtempSync(join(tmpdir(), 'sightline-alert-kills-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs the host until an event was sent, and a random time more. @returns its last report if it may stop. */
async function run(pipeline: object, afterMs: number | null): Promise<HostReport | null> {
  const files = [join(folder, 'history.db'), join(folder, 'sink.jsonl'), testFfmpeg.path, folder];
  const how = [...(afterMs === null ? ['stop'] : ['']), JSON.stringify(pipeline)];
  const child = spawn(process.execPath, [HOST, ...files, ...how], { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  child.stdout.on('data', (text: Buffer) => {
    if (said === '' && afterMs !== null) setTimeout(() => child.kill('SIGKILL'), afterMs);
    said += text.toString();
  });
  await new Promise((resolve) => child.once('close', resolve));
  return afterMs === null ? (JSON.parse(said.slice(said.indexOf('{'))) as HostReport) : null;
}

it(`hold and perHour count on over ${KILLS} kills at random moments, and every event is accounted for`, async () => {
  const told: CloudEvent[] = [];
  const server = createServer((request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    request.on('end', () => {
      told.push(...(JSON.parse(text) as CloudEvent[]));
      response.writeHead(204).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const hook = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { url, mails } = await serveMail(() => '250 ok');
  const pipeline = {
    alerts: [{ on: ['seen'], to: ['webhook-1'], hold: '1h' }],
    sinks: [
      { type: 'webhook', url: hook, send: ['events'] },
      { type: 'mail', url, from: 'host@example.org', to: ['guard@example.org'], perHour: PER_HOUR },
    ],
  };
  const random = seededRandom(5);
  for (let kill = 0; kill < KILLS; kill++) await run(pipeline, random() * 1200);
  const report = (await run(pipeline, null))!;
  server.close();
  // What came at the moment of a kill may come twice; it has the same id.
  expect(new Set(told.map(({ id }) => id)).size).toBe(1);
  const ids = new Set(mails.map((mail) => /^Message-ID: (.*)$/m.exec(mail)![1]));
  expect(ids.size).toBe(PER_HOUR);
  const { raised, sent, grouped, suppressed, failed, pending } = report.alerts!['webhook-1']!;
  expect(raised).toBe(sent + grouped + suppressed.hold + suppressed.quiet + failed + pending);
});
