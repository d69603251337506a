import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { redact } from '../../../base/core/redact.ts';
import type { SourceInput } from '../../../base/core/source.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { networkTarget } from '../parse-source.ts';
import { connectFailure } from './connect-failure.ts';
import type { Dialler } from './dialler.ts';
import { listenLocally } from './listen-locally.ts';
import { type OpenedSource, OpenFailure } from './opened-source.ts';
import { RtspClock } from './rtsp-clock.ts';
import { RtspReplies } from './rtsp-replies.ts';

const CONNECT_TIMEOUT_MS = 10_000;
/** ffmpeg itself follows any number of redirects. */
const MAX_CONNECTIONS = 8;

/**
 * Passes on the connection of one ffmpeg to a camera or server. It connects within the rules of the source and speaks TLS, which ffmpeg
 * then need not. A redirect leads ffmpeg back here, and its next connection to the new address, which is checked as well.
 *
 * RTMP passes as it is. Of RTSP only messages before `PLAY` or `RECORD` are changed, since ffmpeg follows no redirect later; from then on bytes pass as they are. All are read for the
 * times of frames (`RtspClock`).
 */
export class SourceRelay implements OpenedSource {
  readonly source: SourceInput;
  readonly #dialler: Dialler;
  readonly #failure: OpenFailure;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #port: number;
  /** Clock of the newest connection. */
  #clock = new RtspClock();
  /** Address of the next connection. */
  #url: string;
  #connections = 0;

  private constructor(source: SourceInput, dialler: Dialler, server: Server) {
    this.#url = source.url;
    this.#dialler = dialler;
    this.#failure = new OpenFailure(source.label);
    this.#server = server;
    this.#port = (server.address() as AddressInfo).port;
    // Media over UDP would not pass here.
    this.source = {
      ...source,
      url: relayedUrl(source.url, this.#port),
      ...(source.kind === 'rtmp' ? { tcUrl: tcUrlOf(source.url) } : {}),
      options: { ...source.options, rtspTransport: 'tcp' },
    };
    server.on('connection', (socket) => void this.#relay(this.#keep(socket), this.#url));
  }

  static async open(source: SourceInput, dialler: Dialler): Promise<SourceRelay> {
    const server = createServer();
    await listenLocally(server);
    return new SourceRelay(source, dialler, server);
  }

  get failure(): SightlineError | null {
    return this.#failure.value;
  }

  wallMs(ptsUs: number): number | null {
    return this.#clock.wallMs(ptsUs);
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #keep(socket: Socket): Socket {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    return socket;
  }

  async #relay(ffmpeg: Socket, url: string): Promise<void> {
    const { host, port } = networkTarget(url);
    let camera: Socket;
    try {
      this.#connections += 1;
      if (this.#connections > MAX_CONNECTIONS) throw new Error('it redirects again and again');
      const target = { host, port, isTls: /^rt[sm]ps:/i.test(url) };
      camera = this.#keep(await this.#dialler.connect(target, CONNECT_TIMEOUT_MS));
    } catch (error) {
      this.#failure.set(connectFailure(error as Error, `${host}:${port}`));
      ffmpeg.destroy();
      return;
    }
    this.#failure.clear();
    ffmpeg.once('close', () => camera.destroy());
    camera.once('close', () => ffmpeg.destroySoon());
    if (ffmpeg.destroyed) camera.destroy();
    else if (this.source.kind === 'rtmp') {
      // ffmpeg has no limit of its own for RTMP.
      camera.setTimeout(this.source.options.readTimeoutMs, () => camera.destroy());
      camera.pipe(ffmpeg);
      ffmpeg.pipe(camera);
    } else this.#passMessages(ffmpeg, camera, url);
  }

  #passMessages(ffmpeg: Socket, camera: Socket, url: string): void {
    const replies = new RtspReplies((location) => this.#redirect(location));
    const onReply = (bytes: Buffer): void => {
      try {
        ffmpeg.write(replies.push(bytes));
      } catch (error) {
        this.#failure.set(SightlineError.from(error, 'SOURCE_UNREADABLE'));
        camera.destroy();
      }
    };
    const onRequest = (bytes: Buffer): void => {
      const text = bytes.toString('latin1');
      camera.write(Buffer.from(namingCamera(text, relayedUrl(url, this.#port), url), 'latin1'));
      if (!/^(?:PLAY|RECORD) /m.test(text)) return;
      this.#server.close();
      camera.off('data', onReply);
      ffmpeg.off('data', onRequest);
      camera.pipe(ffmpeg);
      ffmpeg.pipe(camera);
    };
    const clock = new RtspClock();
    this.#clock = clock;
    camera.on('data', (bytes: Buffer) => clock.push(bytes));
    camera.on('data', onReply);
    ffmpeg.on('data', onRequest);
  }

  /** @returns the address at which ffmpeg reaches the new one. @throws SOURCE_FORBIDDEN */
  #redirect(location: string): string {
    if (!/^rtsps?:\/\//i.test(location) || !URL.canParse(location))
      throw new SightlineError('SOURCE_FORBIDDEN', `it redirects to ${redact(location)}; expected rtsp:// or rtsps://`);
    this.#url = location;
    return relayedUrl(location, this.#port);
  }
}

/** Returns the URL of the same stream at a port of this machine. The user and the path stay. */
function relayedUrl(url: string, port: number): string {
  const [, scheme = '', user = '', path = ''] = /^(rt[sm]p)s?:\/\/((?:[^/?#]*@)?)[^/?#]*([\s\S]*)$/i.exec(url) ?? [];
  return `${scheme.toLowerCase()}://${user}127.0.0.1:${port}${path}`;
}

/** Returns what an RTMP server is asked for, without the key: one server may serve several names. Applications are found as ffmpeg does. */
function tcUrlOf(url: string): string {
  const [, origin = '', path = ''] = /^([^:]*:\/\/)(?:[^/?#]*@)?([^?#]*)/.exec(url) ?? [];
  const [host = '', ...parts] = path.split('/');
  return `${origin}${host}/${parts.slice(0, Math.max(1, Math.min(2, parts.length - 1))).join('/')}`;
}

/**
 * Returns a request with the camera's own address in it, since one server may serve several names. A digest is computed from the
 * address that ffmpeg knows: such a request stays as it is.
 */
function namingCamera(request: string, own: string, url: string): string {
  if (/^Authorization: Digest/im.test(request)) return request;
  const prefix = (text: string): string => text.replace(/^([^:]*:\/\/)(?:[^/?#]*@)?([^/?#]*)[\s\S]*$/, '$1$2');
  return request.replace(prefix(own), prefix(url));
}
