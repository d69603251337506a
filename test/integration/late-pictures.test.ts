import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { LiveRuntime } from '../support/live-runtime.ts';
import { testFfmpeg } from '../support/made-videos.ts';
import { waitFor } from '../support/wait-for.ts';

/** A live camera behind a server that queues: it sends each connection what it has, as slowly as it is told. */
class QueueingServer {
  readonly #server: Server = createServer((_, response) => this.#serve(response));
  readonly #queues = new Set<{ readonly chunks: Buffer[]; readonly response: ServerResponse }>();
  #camera: ChildProcess | null = null;
  #timer: NodeJS.Timeout | undefined;
  connections = 0;
  /** Share of what the camera sends that goes on. */
  share = 1;

  async start(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    const camera = spawn(testFfmpeg.path, [
      ...['-loglevel', 'error', '-re', '-f', 'lavfi', '-i', 'testsrc2=size=320x180:rate=25'],
      ...['-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-g', '12', '-b:v', '200k'],
      ...['-f', 'mpegts', '-flush_packets', '1', 'pipe:1'],
    ]);
    camera.stdout.on('data', (chunk: Buffer) => {
      for (const { chunks } of this.#queues) chunks.push(chunk);
    });
    this.#camera = camera;
    let due = 0;
    this.#timer = setInterval(() => {
      for (const { chunks, response } of this.#queues) {
        due += this.share;
        // Chunks come at a steady rate, about one a frame.
        const count = this.share === 1 ? (chunks.length > 50 ? 1 : chunks.length) : Math.floor(due);
        due = this.share === 1 ? 0 : due - count;
        for (const chunk of chunks.splice(0, count)) response.write(chunk);
      }
    }, 40);
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/live.ts`;
  }

  #serve(response: ServerResponse): void {
    this.connections += 1;
    const queue = { chunks: [], response };
    this.#queues.add(queue);
    response.writeHead(200, { 'content-type': 'video/mp2t' });
    response.on('close', () => this.#queues.delete(queue));
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#camera?.kill('SIGKILL');
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

let server: QueueingServer;
let live: LiveRuntime;
beforeAll(async () => {
  server = new QueueingServer();
  live = await LiveRuntime.open();
});
afterAll(async () => {
  expect(await live.close()).toEqual([]);
  server.stop();
});

it('pictures that come at the usual rate and late are said to be late, and the source is opened again for the newest ones', async () => {
  const source = await server.start();
  await live.add({ id: 'cam', source, policy: 'live' });
  await live.flows('cam', 50);
  const opened = server.connections;
  server.share = 0.4;
  const late = () =>
    live.events.find(({ kind, message }) => kind === 'stream-state' && /pictures come \d+ s late/.test(message));
  await waitFor('the late pictures to be said', () => late() !== undefined, { deadlineMs: 90_000 });
  expect(live.report('cam').lateMs).toBeGreaterThanOrEqual(2_500);
  expect(live.runtime.streams[0]!.lateMs).toBe(live.report('cam').lateMs);
  const said = (kind: string) => live.events.filter((event) => event.kind === kind).map(({ message }) => message);
  expect(said('stream-late')).toEqual([expect.stringMatching(/^the pictures of cam are [5-9] s late: /)]);
  server.share = 1;
  expect(late()!.message).toMatch(/its pictures come 1\d s late; it is opened again for the newest ones/);
  await waitFor('another connection', () => server.connections > opened, { deadlineMs: 20_000 });
  await live.flows('cam', 50);
  await waitFor('pictures in time', () => live.report('cam').lateMs === null, { deadlineMs: 40_000 });
  expect(said('stream-in-time')).toEqual(['the pictures of cam are not late any more']);
});
