import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { createInterface } from 'node:readline';
import { sharedDir } from './shared.ts';

const PYTHON = '/usr/bin/python3';

/** Where the RTSP server script is, and why none can run where it is null. */
export const rtspScript = findScript();

function findScript(): { path: string | null; reason: string } {
  if (sharedDir === null) return { path: null, reason: 'no shared folder with rtsp_server.py' };
  const path = `${sharedDir}/rtsp/rtsp_server.py`;
  if (!existsSync(path)) return { path: null, reason: `${path} is missing` };
  const probe = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer";
  const { status } = spawnSync(PYTHON, ['-c', probe], { timeout: 10_000 });
  return status === 0 ? { path, reason: '' } : { path: null, reason: 'python3-gi with gst-rtsp-server is missing' };
}

/** Serves a file over RTSP, over TCP and UDP, and can go away and come back on the same port. */
export class RtspServer {
  readonly #video: string;
  #port: number;
  #child: ChildProcess | null = null;

  private constructor(video: string, port: number) {
    this.#video = video;
    this.#port = port;
  }

  static async open(video: string): Promise<RtspServer> {
    const server = new RtspServer(video, await freePort());
    await server.start();
    return server;
  }

  get url(): string {
    return `rtsp://127.0.0.1:${this.#port}/cam`;
  }

  async start(): Promise<void> {
    const child = spawn(PYTHON, [rtspScript.path!, this.#video, String(this.#port)], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    this.#child = child;
    const lines = createInterface({ input: child.stdout });
    await once(lines, 'line');
    lines.close();
  }

  /** Goes away without a farewell. */
  async stop(): Promise<void> {
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }
}

/** A camera that refuses every user, or answers with another error. Counts the requests that it was asked. */
export class RefusingCamera {
  readonly #server: Server;
  requestCount = 0;

  private constructor(refusal: string) {
    this.#server = createServer((socket) => {
      socket.on('error', () => socket.destroy());
      socket.on('data', (data) => {
        const sequence = /CSeq: *(\d+)/i.exec(data.toString())?.[1] ?? '1';
        const isDescribe = data.toString().startsWith('DESCRIBE');
        if (isDescribe) this.requestCount += 1;
        const status = isDescribe ? refusal : '200 OK';
        const header = isDescribe ? 'WWW-Authenticate: Basic realm="camera"\r\n' : 'Public: OPTIONS, DESCRIBE\r\n';
        socket.write(`RTSP/1.0 ${status}\r\nCSeq: ${sequence}\r\n${header}\r\n`);
      });
    });
  }

  static async open(refusal = '401 Unauthorized'): Promise<RefusingCamera> {
    const camera = new RefusingCamera(refusal);
    camera.#server.listen(0, '127.0.0.1');
    await once(camera.#server, 'listening');
    return camera;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    this.#server.close();
  }
}

/** A port of 127.0.0.1 where nothing listens now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
