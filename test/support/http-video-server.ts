import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream, existsSync, mkdirSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, join } from 'node:path';
import { testFfmpeg } from './made-videos.ts';
import { waitFor } from './wait-for.ts';

/**
 * A web server of videos that can go away and come back on the same port:
 * `/live.ts` never ends, `/clip.ts` ends after a few frames, `/status/NNN` fails, and a packager makes HLS playlists.
 */
export class HttpVideoServer {
  readonly #video: string;
  readonly #folder: string;
  readonly #clip: string;
  readonly #senders = new Set<ChildProcess>();
  readonly #requests: string[] = [];
  readonly #packagers: ChildProcess[] = [];
  #server: Server | null = null;
  #port = 0;

  /**
   * @param video - H.264 with frequent key frames, repeated for ever.
   * @param clip - an MPEG-TS of a few frames.
   * @param folder - for the playlist and its segments.
   */
  constructor(video: string, clip: string, folder: string) {
    this.#video = video;
    this.#clip = clip;
    this.#folder = join(folder, 'hls');
  }

  get origin(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Requests so far whose path contains a text. */
  requestCount(text: string): number {
    return this.#requests.filter((url) => url.includes(text)).length;
  }

  /** Makes the playlist `/hls/NAME.m3u8`, and goes on while the web server is away. */
  async startPackager(name: string, segmentS: number): Promise<void> {
    mkdirSync(this.#folder, { recursive: true });
    const playlist = join(this.#folder, `${name}.m3u8`);
    const shape = ['-hls_time', String(segmentS), '-hls_list_size', '4', '-hls_flags', 'delete_segments'];
    this.#packagers.push(this.#ffmpeg(['-f', 'hls', ...shape, playlist]));
    await waitFor('the playlist', () => existsSync(playlist));
  }

  async start(): Promise<void> {
    const server = createServer((request, response) => this.#answer(request, response));
    server.listen(this.#port, '127.0.0.1');
    await once(server, 'listening');
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  /** Goes away as a machine does: open connections are cut, new ones refused. */
  async stop(): Promise<void> {
    const server = this.#server;
    if (server === null) return;
    this.#server = null;
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    for (const sender of this.#senders) sender.kill('SIGKILL');
    await closed;
  }

  async close(): Promise<void> {
    for (const packager of this.#packagers) packager.kill('SIGKILL');
    await this.stop();
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { pathname } = new URL(request.url ?? '/', 'http://server');
    this.#requests.push(request.url ?? '/');
    const status = /^\/status\/(\d+)$/.exec(pathname)?.[1];
    if (status !== undefined) response.writeHead(Number(status)).end();
    else if (pathname === '/live.ts') this.#stream(response);
    else if (pathname === '/clip.ts') this.#send(response, this.#clip);
    else this.#send(response, join(this.#folder, basename(pathname)));
  }

  #send(response: ServerResponse, path: string): void {
    if (!existsSync(path)) return void response.writeHead(404).end();
    createReadStream(path)
      .on('error', () => response.destroy())
      .pipe(response);
  }

  #stream(response: ServerResponse): void {
    const sender = this.#ffmpeg(['-f', 'mpegts', 'pipe:1']);
    this.#senders.add(sender);
    sender.once('exit', () => {
      this.#senders.delete(sender);
      response.destroy();
    });
    sender.stdout!.pipe(response);
    response.once('close', () => sender.kill('SIGKILL'));
  }

  #ffmpeg(output: readonly string[]): ChildProcess {
    const input = ['-re', '-stream_loop', '-1', '-i', this.#video, '-c', 'copy'];
    return spawn(testFfmpeg.path, ['-hide_banner', '-loglevel', 'quiet', '-nostdin', ...input, ...output], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  }
}
