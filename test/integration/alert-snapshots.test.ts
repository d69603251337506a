import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { afterAll, expect, it } from 'vitest';
import type { HostReport } from '../../src/wire/protocol/report.ts';
import type { CloudEvent } from '../../src/wire/protocol/rule-event.ts';
import { testFfmpeg, VideoFolder } from '../support/made-videos.ts';
import { serveMail } from '../support/mail-server.ts';
import { waitFor } from '../support/wait-for.ts';

const HOST = fileURLToPath(new URL('../support/killed-rules.mjs', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'sightline-alert-snapshots-'));
const videos = new VideoFolder();
afterAll(() => {
  rmSync(folder, { recursive: true });
  videos.remove();
});

const idsOf = (events: readonly CloudEvent[], type: string): string[] => [
  ...new Set(events.filter((event) => event.type === `io.sightline.event.${type}`).map(({ data }) => data.id)),
];

it('the picture of an event follows its message once, also if the host is killed in between', async () => {
  const told: CloudEvent[] = [];
  const uploads: Buffer[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks);
      if (request.url === '/hook') told.push(...(JSON.parse(body.toString()) as CloudEvent[]));
      else if (request.url!.startsWith('/door?')) uploads.push(body);
      response.writeHead(200).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { url, mails } = await serveMail(() => '250 ok');
  const sinks = [
    { type: 'webhook', url: `${origin}/hook`, send: ['events'], snapshot: 'data' },
    { type: 'webhook', url: `${origin}/door`, send: ['events'], template: 'ntfy' },
    { type: 'mail', url, from: 'host@example.org', to: ['guard@example.org'] },
  ];
  const source = await videos.make('loop.mp4', { frames: 500 });
  const rule = { id: 'seen', kind: 'appears', clip: { before: '1s', after: '4s' } };
  const pipeline = {
    streams: [{ id: 'cam', source, loop: true, track: { minHits: 1, lostMs: 100 }, events: [rule] }],
    alerts: [{ on: ['seen'], to: ['webhook-1', 'webhook-2', 'mail-3'] }],
    sinks,
  };
  const run = (isStopped: boolean) => {
    const files = [join(folder, 'history.db'), join(folder, 'sink.jsonl'), testFfmpeg.path, folder];
    const args = [HOST, ...files, isStopped ? 'stop' : '', JSON.stringify(pipeline)];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    child.stdout.on('data', (text: Buffer) => {
      said += text.toString();
    });
    const ended = new Promise<string>((resolve) => child.once('close', () => resolve(said)));
    return { kill: () => child.kill('SIGKILL'), ended };
  };
  const first = run(false);
  await waitFor('two messages', () => idsOf(told, 'new').length >= 2, { deadlineMs: 60_000 });
  first.kill();
  await first.ended;
  const early = idsOf(told, 'new');
  expect(idsOf(told, 'snapshot')).toEqual([]);
  const second = run(false);
  await waitFor(
    'the picture of an event of each process',
    () => {
      const pictures = idsOf(told, 'snapshot');
      return pictures.includes(early[0]!) && pictures.some((id) => !early.includes(id));
    },
    { deadlineMs: 60_000 },
  );
  second.kill();
  await second.ended;
  const report = JSON.parse((await run(true).ended).replace(/^event\n/gm, '')) as HostReport;
  server.close();
  const pictures = told.filter(({ type }) => type === 'io.sightline.event.snapshot');
  for (const { data } of pictures) {
    expect(idsOf(told, 'new')).toContain(data.id);
    expect(data.snapshot).toBe(`/api/events/${data.id}/snapshot.jpg`);
    const { width, height } = await sharp(Buffer.from(data.jpeg!, 'base64')).metadata();
    expect([width, height]).toEqual([320, 180]);
  }
  // What comes at the moment of a kill may come twice, with the same id.
  expect(new Set(pictures.map(({ id }) => id)).size).toBe(idsOf(told, 'snapshot').length);
  expect((await sharp(uploads[0]!).metadata()).format).toBe('jpeg');
  expect(mails.some((mail) => /^In-Reply-To:/m.test(mail) && mail.includes('image/jpeg'))).toBe(true);
  const { raised, sent, grouped, suppressed, failed, pending, snapshots } = report.alerts!['webhook-1']!;
  expect(raised).toBe(sent + grouped + suppressed.hold + suppressed.quiet + failed + pending);
  expect(snapshots!.sent + snapshots!.failed + snapshots!.pending).toBeGreaterThan(0);
}, 180_000);
