import { once } from 'node:events';
import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Server as TcpServer } from 'node:net';
import { monoNowMs } from '../../../base/core/clock.ts';
import type { Ffmpeg } from '../../../base/process/confinement.ts';
import type { CameraSpec } from './camera-plan.ts';
import { ClockEncoder } from './clock-encoder.ts';
import { type CodedClip, encodeClip } from './coded-clip.ts';
import type { CodedFrame } from './flv-reader.ts';
import { MpegTsWriter } from './mpegts-writer.ts';
import { MAX_UNREAD_BYTES, type PlayableCamera, RtspSession } from './rtsp-session.ts';
import {
  type CameraClock,
  type CameraCounts,
  type CameraReader,
  type PictureSource,
  VirtualCamera,
} from './virtual-camera.ts';

export interface CameraPorts {
  readonly http: number;
  readonly rtsp: number;
}

/** Counts since the start, and use of the machine by this process and its children. */
export interface CameraServerStats {
  readonly cameras: readonly CameraCounts[];
  /** Time of the CPU, encoding of clips included. */
  readonly cpuMs: number;
  readonly rssBytes: number;
  /** The longest that a frame was sent after its time since the last call: how punctual the cameras are. */
  readonly lateMs: number;
  /** Cameras that draw their clock: mean time to encode a picture; null without such cameras. */
  readonly encodeMs: number | null;
}

const CLOCK: CameraClock = {
  now: monoNowMs,
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
};

/** Virtual cameras and their servers: `http://HOST:PORT/ID.ts` (MPEG-TS) and `rtsp://HOST:PORT/ID`. */
export class CameraServer {
  readonly #ffmpeg: Ffmpeg;
  readonly #cameras = new Map<string, PlayableCamera>();
  readonly #clips = new Map<string, Promise<CodedClip>>();
  readonly #encoders = new Map<string, ClockEncoder>();
  readonly #http: Server = createHttpServer((request, response) => this.#stream(request, response));
  readonly #rtsp: TcpServer;
  #sessions = 0;

  private constructor(ffmpeg: Ffmpeg) {
    this.#ffmpeg = ffmpeg;
    this.#rtsp = createTcpServer((socket) => {
      new RtspSession(socket, ++this.#sessions, (id) => this.#cameras.get(id) ?? null);
    });
  }

  /** @param host - address to listen on. @throws the system's error. */
  static async open(ffmpeg: Ffmpeg, host: string): Promise<CameraServer> {
    const server = new CameraServer(ffmpeg);
    for (const each of [server.#http, server.#rtsp]) {
      each.listen(0, host);
      await once(each, 'listening');
    }
    return server;
  }

  get ports(): CameraPorts {
    const portOf = (server: TcpServer): number => (server.address() as AddressInfo).port;
    return { http: portOf(this.#http), rtsp: portOf(this.#rtsp) };
  }

  /** Adds cameras; those of one size and rate share a clip. @throws FFMPEG_MISSING, SOURCE_UNREADABLE */
  async add(specs: readonly CameraSpec[]): Promise<void> {
    for (const spec of specs) {
      const { source, keyFrame } = await this.#pictures(spec);
      this.#cameras.set(spec.id, { camera: new VirtualCamera(spec, source, CLOCK), keyFrame });
    }
  }

  remove(ids: readonly string[]): void {
    for (const id of ids) {
      this.#cameras.get(id)?.camera.close();
      this.#cameras.delete(id);
      this.#encoders.delete(id);
    }
  }

  stats(): CameraServerStats {
    const { user, system } = process.cpuUsage();
    const encoders = [...this.#encoders.values()];
    const all = [...this.#cameras.values()];
    return {
      cameras: all.map(({ camera }) => camera.counts),
      cpuMs: (user + system) / 1000,
      rssBytes: process.memoryUsage.rss(),
      lateMs: Math.max(0, ...all.map(({ camera }) => camera.takeLateMs())),
      encodeMs:
        encoders.length === 0 ? null : encoders.reduce((sum, each) => sum + each.meanEncodeMs, 0) / encoders.length,
    };
  }

  close(): void {
    this.remove([...this.#cameras.keys()]);
    this.#http.close();
    this.#http.closeAllConnections();
    this.#rtsp.close();
  }

  async #pictures(spec: CameraSpec): Promise<{ source: PictureSource; keyFrame: CodedFrame }> {
    const { width, height, fps, pictures } = spec;
    if (pictures.kind === 'clock') {
      const encoder = new ClockEncoder(this.#ffmpeg, { width, height, fps });
      this.#encoders.set(spec.id, encoder);
      const keyFrame = await new Promise<CodedFrame>((resolve) => encoder.next(0, resolve));
      return { source: encoder, keyFrame };
    }
    const key = JSON.stringify([width, height, fps, pictures]);
    const known = this.#clips.get(key) ?? encodeClip(this.#ffmpeg, { width, height, fps }, pictures);
    this.#clips.set(key, known);
    const { frames } = await known;
    const source: PictureSource = {
      next: (index, onFrame) => onFrame(frames[index % frames.length]!),
      close: () => undefined,
    };
    return { source, keyFrame: frames[0]! };
  }

  #stream(request: IncomingMessage, response: ServerResponse): void {
    const id = /^\/([^/]+)\.ts$/.exec(new URL(request.url ?? '/', 'http://camera').pathname)?.[1] ?? '';
    const found = this.#cameras.get(decodeURIComponent(id));
    if (found === undefined) return void response.writeHead(404).end();
    // Like a host that is switched off: no answer.
    if (found.camera.isAway) return void request.socket.destroy();
    response.writeHead(200, { 'content-type': 'video/mp2t' });
    response.flushHeaders();
    response.socket?.setNoDelay(true);
    const writer = new MpegTsWriter();
    const reader: CameraReader = {
      take: (frame, pts) => {
        if (response.writableLength + (response.socket?.writableLength ?? 0) > MAX_UNREAD_BYTES) return false;
        response.write(writer.frame(frame, pts));
        return true;
      },
      end: () => response.destroy(),
    };
    response.once('close', () => found.camera.removeReader(reader));
    found.camera.addReader(reader);
  }
}
