import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { passthrough } from '../../src/frame/decode/ffmpeg-arguments.ts';
import { testFfmpeg } from './made-videos.ts';
import { freePort } from './rtsp-server.ts';
import { waitFor } from './wait-for.ts';

/** Takes what is pushed to `/door`, as GStreamer's RTSP server does, and writes it as an H.264 byte stream. */
const RECORDER = `
import sys, gi
gi.require_version('Gst', '1.0')
gi.require_version('GstRtspServer', '1.0')
from gi.repository import GLib, Gst, GstRtspServer
path, port = sys.argv[1:3]
Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address('127.0.0.1')
server.set_service(port)
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(f'( rtph264depay name=depay0 ! h264parse ! video/x-h264,stream-format=byte-stream ! filesink location={path} append=true buffer-mode=2 )')
factory.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
server.get_mount_points().add_factory('/door', factory)
server.attach(None)
print('ready', flush=True)
GLib.MainLoop().run()
`;

/** A media server in a process of its own, which can be stopped, hung and started again on the same port. */
export class MediaServer {
  readonly port: number;
  readonly #start: (port: number) => Promise<ChildProcess>;
  #child: ChildProcess | null = null;

  private constructor(port: number, start: (port: number) => Promise<ChildProcess>) {
    this.port = port;
    this.#start = start;
  }

  /** @param path - of the file with what it gets; appended to. */
  static async rtsp(path: string): Promise<MediaServer> {
    return new MediaServer(await freePort(), async (port) => {
      const child = spawn('/usr/bin/python3', ['-c', RECORDER, path, String(port)], {
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      const lines = createInterface({ input: child.stdout });
      await once(lines, 'line');
      lines.close();
      return child;
    });
  }

  /** ffmpeg, which takes one push. @param url - with `PORT`. */
  static async ffmpeg(path: string, url: string): Promise<MediaServer> {
    return new MediaServer(await freePort(), async (port) => {
      const at = url.replace('PORT', String(port));
      const more = passthrough(testFfmpeg.major).flatMap((each) => each.split(' '));
      const listens = url.startsWith('rtmp') ? ['-listen', '1'] : [];
      const args = ['-hide_banner', '-loglevel', 'error', '-y', ...listens, '-i', at, '-c', 'copy', ...more, path];
      const child = spawn(testFfmpeg.path, args, { stdio: 'ignore' });
      await waitFor('ffmpeg to listen', () => isBound(port));
      return child;
    });
  }

  async start(): Promise<void> {
    this.#child = await this.#start(this.port);
  }

  hang(): void {
    this.#child!.kill('SIGSTOP');
  }

  async kill(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    child.kill('SIGCONT');
    await gone;
  }

  /** @returns once it has ended by itself. */
  async ended(): Promise<void> {
    const child = this.#child!;
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }
}

/** Returns whether something has a port, by TCP or UDP. A connection would be the only one that ffmpeg takes. */
function isBound(port: number): boolean {
  const local = `:${port.toString(16).toUpperCase().padStart(4, '0')} `;
  return ['tcp', 'udp'].some((kind) =>
    readFileSync(`/proc/net/${kind}`, 'utf8')
      .split('\n')
      .some((line) => line.slice(0, 22).includes(local)),
  );
}

/** Answers each request of RTSP with one status, or not at all. */
export class StubbornServer {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly port: number;
  connections = 0;

  private constructor(server: Server, port: number, status: string | null) {
    this.#server = server;
    this.port = port;
    server.on('connection', (socket) => {
      this.connections += 1;
      this.#sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('data', (bytes) => {
        const sequence = /CSeq: *(\d+)/i.exec(bytes.toString('latin1'))?.[1];
        if (status !== null && sequence !== undefined) socket.write(`RTSP/1.0 ${status}\r\nCSeq: ${sequence}\r\n\r\n`);
      });
    });
  }

  static async open(status: string | null): Promise<StubbornServer> {
    const [server, port] = [createServer(), await freePort()];
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return new StubbornServer(server, port, status);
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
