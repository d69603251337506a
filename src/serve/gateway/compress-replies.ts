import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { compress, HAS_ZSTD } from '../../base/disk/compression.ts';

/** Shorter bodies fit into one packet anyway. */
const MIN_BYTES = 1024;
/** Brotli's default, 11, is for files that are compressed once: it takes a hundred times as long. */
const BROTLI_QUALITY = 4;

const brotli = promisify<Uint8Array, zlib.BrotliOptions, Buffer>(zlib.brotliCompress);

/** In order of preference; all are about equally fast at these levels. */
const CODERS: Readonly<Record<string, (bytes: Uint8Array) => Promise<Buffer>>> = {
  ...(HAS_ZSTD ? { zstd: (bytes: Uint8Array) => compress(bytes, 'zstd') } : {}),
  br: (bytes) => brotli(bytes, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY } }),
  gzip: (bytes) => compress(bytes, 'gzip'),
};

/** Files are compressed once. Brotli first: at its default quality it makes the smallest ones. */
const FILE_CODERS: typeof CODERS = { br: (bytes) => brotli(bytes, {}), ...CODERS };

interface CompressedFile {
  /** Of the file that was compressed. */
  readonly etag: unknown;
  readonly bytes: Promise<Buffer>;
}

/** Compressed files of the dashboard, by route and coding: as many as there are files, times three. */
class CompressedFiles {
  readonly #known = new Map<string, CompressedFile>();

  /** Replaces the stream of a whole file by its compressed bytes; its weak ETag stands for both. */
  async send(request: FastifyRequest, reply: FastifyReply, file: Readable): Promise<Readable | Buffer> {
    const size = Number(reply.getHeader('content-length') ?? Infinity);
    const isText = /^(?:text\/|image\/svg)|javascript/.test(String(reply.getHeader('content-type')));
    if (reply.statusCode !== 200 || size < MIN_BYTES || !isText) return file;
    const coding = chooseCoding(request.headers['accept-encoding']?.toString() ?? '', Object.keys(FILE_CODERS));
    if (coding === null) return file;
    const key = `${coding} ${request.routeOptions.url}`;
    const etag = reply.getHeader('etag');
    let known = this.#known.get(key);
    if (known === undefined || known.etag !== etag) {
      known = { etag, bytes: buffer(file).then((bytes) => FILE_CODERS[coding]!(bytes)) };
      this.#known.set(key, known);
      // A file that could not be read is tried again.
      known.bytes.catch(() => this.#known.delete(key));
    } else file.destroy();
    const compressed = await known.bytes;
    reply.header('content-encoding', coding).header('content-length', compressed.length);
    return compressed;
  }
}

/**
 * Compresses answers of REST and `/metrics`, and files of the dashboard, for clients that accept it. The WebSocket is left alone: its
 * messages are small or already compressed.
 */
export function addCompression(app: FastifyInstance): void {
  const files = new CompressedFiles();
  app.addHook('onSend', async (request, reply, payload) => {
    if (reply.hasHeader('content-encoding')) return payload;
    if (isFile(request, payload)) return files.send(request, reply, payload);
    if (!(typeof payload === 'string' || Buffer.isBuffer(payload))) return payload;
    if (Buffer.byteLength(payload) < MIN_BYTES) return payload;
    reply.header('vary', 'accept-encoding');
    const coding = chooseCoding(request.headers['accept-encoding']?.toString() ?? '', Object.keys(CODERS));
    if (coding === null) return payload;
    const compressed = await CODERS[coding]!(Buffer.from(payload as string));
    reply.header('content-encoding', coding);
    reply.removeHeader('content-length');
    return compressed;
  });
}

function isFile({ method }: FastifyRequest, payload: unknown): payload is Readable {
  return method === 'GET' && payload !== null && typeof payload === 'object' && 'pipe' in payload;
}

/**
 * Returns the coding that a client likes best, or null to send the body as it is (RFC 9110, 12.5.3). Among equals the first
 * of `known` wins.
 */
export function chooseCoding(header: string, known: readonly string[]): string | null {
  const weights = new Map<string, number>();
  for (const part of header.toLowerCase().split(',')) {
    const [name = '', ...parameters] = part.split(';').map((text) => text.trim());
    const weight = parameters.find((parameter) => parameter.startsWith('q='));
    const value = weight === undefined ? 1 : Number(weight.slice(2));
    if (name !== '' && value >= 0) weights.set(name, value);
  }
  const weightOf = (name: string): number => weights.get(name) ?? weights.get('*') ?? 0;
  let best: string | null = null;
  for (const name of known) {
    if (weightOf(name) > (best === null ? 0 : weightOf(best))) best = name;
  }
  return best !== null && weightOf(best) < (weights.get('identity') ?? 0) ? null : best;
}
