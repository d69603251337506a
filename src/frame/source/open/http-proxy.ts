import {
  createServer,
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
  validateHeaderName,
  validateHeaderValue,
} from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream';
import { redact } from '../../../base/core/redact.ts';
import type { SourceInput } from '../../../base/core/source.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { connectFailure } from './connect-failure.ts';
import type { Dialler } from './dialler.ts';
import { listenLocally } from './listen-locally.ts';
import { MaskedUrls } from './masked-urls.ts';
import { type OpenedSource, OpenFailure } from './opened-source.ts';

/** Longer than the segments of a playlist, between which ffmpeg keeps its connection. */
const IDLE_MS = 60_000;
const MAX_HEADER_BYTES = 64 * 1024;
const LEAST_STATUS = 100;
const MAX_PLAYLIST_BYTES = 8 * 1024 * 1024;
/** ffmpeg recognises an HLS playlist by this beginning. */
const PLAYLIST_START = '#EXTM3U';
/** Headers that belong to one connection and are not passed on. */
const HOP_HEADERS = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade', 'te']);

/** Where a request goes. */
interface Destination {
  readonly scheme: 'http' | 'https';
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
  /** As in the `Host` header. */
  readonly authority: string;
  readonly path: string;
}

/**
 * A proxy for one ffmpeg, on this machine. Every address that ffmpeg asks for goes through it: redirects, playlists, segments,
 * keys. It connects within the rules of the source, verifies certificates, and passes bodies on as they are, except that it
 * masks the addresses in playlists (`MaskedUrls`). Redirects go back to ffmpeg, which then asks for the next address.
 *
 * Costs 1 to 3 ms of CPU for each megabyte (docs/adr/0038).
 */
export class HttpProxy implements OpenedSource {
  readonly source: SourceInput;
  readonly #server: Server;
  readonly #dialler: Dialler;
  readonly #urls: MaskedUrls;
  readonly #failure: OpenFailure;
  #isClosed = false;
  readonly #agents: { readonly http: HttpAgent; readonly https: HttpsAgent };

  private constructor(source: SourceInput, dialler: Dialler, server: Server) {
    this.#server = server;
    this.#dialler = dialler;
    this.#urls = new MaskedUrls();
    this.#failure = new OpenFailure(source.label);
    this.#agents = {
      http: new HttpAgent({ keepAlive: true }),
      https: new HttpsAgent({ keepAlive: true, ...dialler.tlsOptions }),
    };
    const { port } = server.address() as AddressInfo;
    this.source = { ...source, url: this.#masked(source.url), proxyUrl: `http://127.0.0.1:${port}` };
    server.on('request', (request, response) => this.#answer(request, response));
  }

  static async open(source: SourceInput, dialler: Dialler): Promise<HttpProxy> {
    const server = createServer({ maxHeaderSize: MAX_HEADER_BYTES, keepAliveTimeout: IDLE_MS, requestTimeout: 0 });
    await listenLocally(server);
    return new HttpProxy(source, dialler, server);
  }

  get failure(): SightlineError | null {
    return this.#failure.value;
  }

  close(): void {
    this.#isClosed = true;
    this.#server.close();
    this.#server.closeAllConnections();
    this.#agents.http.destroy();
    this.#agents.https.destroy();
  }

  /** The host as the URL standard reads it, the rest as written. */
  #masked(url: string): string {
    const { protocol, username, password, host } = new URL(url);
    const user = username === '' ? '' : `${username}${password === '' ? '' : `:${password}`}@`;
    const rest = /^[^:]*:\/\/[^/?#]*([\s\S]*)$/.exec(url)?.[1] ?? '';
    return `${this.#urls.maskAll(`${protocol}//${user}${host}`)}${rest}`;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    try {
      const to = this.#destination(request.url ?? '');
      if (to === null) throw forbidden('it leads to an address that this ffmpeg was not given');
      this.#dialler.checkHost(to.host);
      this.#forward(request, response, to, true);
    } catch (error) {
      this.#refuse(response, SightlineError.from(error, 'SOURCE_UNREACHABLE'));
    }
  }

  #forward(request: IncomingMessage, response: ServerResponse, to: Destination, mayRetry: boolean): void {
    const { scheme, host, port, path, authority } = to;
    const send = scheme === 'https' ? httpsRequest : httpRequest;
    const outgoing = send({
      agent: this.#agents[scheme],
      host,
      port,
      path,
      method: request.method,
      lookup: this.#dialler.lookup,
      headers: forwardedHeaders(request.rawHeaders, authority),
      setHost: false,
      maxHeaderSize: MAX_HEADER_BYTES,
      // Cameras send headers that the standard forbids; ffmpeg takes them.
      insecureHTTPParser: true,
    });
    const onGone = (): void => void outgoing.destroy();
    response.once('close', onGone);
    outgoing.once('error', (error: NodeJS.ErrnoException) => {
      response.off('close', onGone);
      if (response.headersSent || response.destroyed) return void response.destroy();
      // The server has just closed a connection that had been kept.
      if (mayRetry && outgoing.reusedSocket && error.code === 'ECONNRESET')
        return this.#forward(request, response, to, false);
      this.#refuse(response, connectFailure(error, `${host}:${port}`));
    });
    outgoing.once('response', (incoming) => {
      this.#failure.clear();
      this.#passOn(incoming, response, to);
    });
    outgoing.end();
  }

  #passOn(incoming: IncomingMessage, response: ServerResponse, to: Destination): void {
    const status = incoming.statusCode ?? 0;
    // Node would refuse to pass it on.
    if (status < LEAST_STATUS) {
      incoming.resume();
      const problem = `it answers with status ${status}, which HTTP does not have`;
      this.#refuse(response, new SightlineError('SOURCE_UNREACHABLE', problem));
      return;
    }
    const { location } = incoming.headers;
    const headers = passedHeaders(incoming.rawHeaders);
    if (status >= 300 && status < 400 && location !== undefined) {
      incoming.resume();
      this.#passRedirect(response, status, location, headers, to);
    } else {
      void this.#passBody(incoming, response, status, headers, to.scheme);
    }
  }

  #passRedirect(
    response: ServerResponse,
    status: number,
    location: string,
    headers: readonly string[],
    to: Destination,
  ): void {
    const next = this.#redirect(location, to);
    if (next === null)
      this.#refuse(response, forbidden(`it redirects to ${redact(location)}; expected http:// or https://`));
    else response.writeHead(status, { ...cookiesOf(headers), location: next, 'content-length': 0 }).end();
  }

  /** Passes a body on as it comes, unless it begins like a playlist. */
  async #passBody(
    incoming: IncomingMessage,
    response: ServerResponse,
    status: number,
    headers: readonly string[],
    scheme: string,
  ): Promise<void> {
    incoming.once('error', () => response.destroy());
    const start = await firstBytes(incoming, PLAYLIST_START.length);
    if (response.destroyed) return void incoming.destroy();
    if (start.length < PLAYLIST_START.length) return void response.writeHead(status, headers as string[]).end(start);
    if (start.toString('latin1') !== PLAYLIST_START) {
      response.writeHead(status, headers as string[]);
      // Live pictures must not wait to be joined with the next ones.
      response.flushHeaders();
      return void pipeline(incoming, response, () => undefined);
    }
    const text = await wholeText(incoming, MAX_PLAYLIST_BYTES).catch(() => null);
    if (text === null) return void response.destroy();
    const body = Buffer.from(this.#urls.maskPlaylist(text, scheme));
    const kept = withoutHeaders(headers, ['content-length', 'content-range', 'accept-ranges', 'content-md5']);
    response.writeHead(status === 206 ? 200 : status, [...kept, 'Content-Length', String(body.length)]);
    response.end(body);
  }

  /** @returns null if it is no HTTP address. */
  #redirect(location: string, { scheme, authority, path }: Destination): string | null {
    const base = `${scheme}://${authority}${path}`;
    const url = URL.canParse(location, base) ? new URL(location, base) : null;
    return url?.protocol === 'http:' || url?.protocol === 'https:' ? this.#masked(url.href) : null;
  }

  /** @param url - as a proxy gets it: `http://HOST[:PORT]PATH`. */
  #destination(url: string): Destination | null {
    const [, name = '', portText = '', rest = ''] = /^http:\/\/([^/?#:@]+)(?::(\d{1,5}))?([/?][^#]*)?/.exec(url) ?? [];
    const found = this.#urls.reveal(name);
    if (found === null) return null;
    const { scheme, host } = found;
    const port = portText === '' ? (scheme === 'https' ? 443 : 80) : Number(portText);
    return {
      scheme,
      host: host.replace(/^\[|\]$/g, ''),
      port,
      authority: portText === '' ? host : `${host}:${portText}`,
      path: this.#urls.revealAll(rest.startsWith('/') ? rest : `/${rest}`),
    };
  }

  #refuse(response: ServerResponse, failure: SightlineError): void {
    // A request that `close` has ended is not a failure.
    if (this.#isClosed) return void response.destroy();
    this.#failure.set(failure);
    response.writeHead(502, { 'content-length': 0 }).end();
  }
}

function forbidden(why: string): SightlineError {
  return new SightlineError('SOURCE_FORBIDDEN', why);
}

function forwardedHeaders(raw: readonly string[], authority: string): string[] {
  return ['Host', authority, ...withoutHeaders(raw, ['host', 'proxy-authorization', ...HOP_HEADERS])];
}

/** Leaves out what Node would refuse to send. ffmpeg sends a cookie to any host if it does not name one, and hosts are masked. */
function passedHeaders(raw: readonly string[]): string[] {
  const kept = withoutHeaders(raw, HOP_HEADERS);
  return pairs(kept).flatMap(([name, value]) => {
    try {
      validateHeaderName(name);
      validateHeaderValue(name, value);
    } catch {
      return [];
    }
    const isCookie = name.toLowerCase() === 'set-cookie';
    return [name, isCookie ? value.replace(/;\s*domain=[^;]*/gi, '') : value];
  });
}

function cookiesOf(headers: readonly string[]): { 'set-cookie'?: string[] } {
  const cookies = pairs(headers).flatMap(([name, value]) => (name.toLowerCase() === 'set-cookie' ? [value] : []));
  return cookies.length === 0 ? {} : { 'set-cookie': cookies };
}

function withoutHeaders(raw: readonly string[], names: Iterable<string>): string[] {
  const dropped = new Set(names);
  return pairs(raw).flatMap(([name, value]) => (dropped.has(name.toLowerCase()) ? [] : [name, value]));
}

function pairs(raw: readonly string[]): (readonly [string, string])[] {
  return raw.flatMap((name, i) => (i % 2 === 0 ? [[name, raw[i + 1]!] as const] : []));
}

/** Reads the first bytes and puts them back. @returns all that there is if the body is shorter, and does not put it back. */
async function firstBytes(incoming: IncomingMessage, count: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  while (bytes < count) {
    const chunk = incoming.read() as Buffer | null;
    if (chunk !== null) {
      chunks.push(chunk);
      bytes += chunk.length;
    } else if (incoming.readableEnded || incoming.destroyed || !(await isReadable(incoming))) break;
  }
  const all = Buffer.concat(chunks);
  if (bytes < count) return all;
  incoming.unshift(all);
  return all.subarray(0, count);
}

/** Resolves to false at the end. */
function isReadable(incoming: IncomingMessage): Promise<boolean> {
  return new Promise((resolve) => {
    const settle = (isMore: boolean): void => {
      incoming.off('readable', onReadable).off('end', onEnd).off('close', onEnd);
      resolve(isMore);
    };
    const onReadable = (): void => settle(true);
    const onEnd = (): void => settle(false);
    incoming.on('readable', onReadable).on('end', onEnd).on('close', onEnd);
  });
}

async function wholeText(incoming: IncomingMessage, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw new RangeError(`a playlist of more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
