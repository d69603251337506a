import { promisify } from 'node:util';
import zlib from 'node:zlib';
import type { FastifyInstance } from 'fastify';
import { compress, HAS_ZSTD } from '../disk/compression.ts';

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

/**
 * Compresses answers of REST and `/metrics` for clients that accept it. Files of the dashboard are streams and are left
 * alone, and so is the WebSocket, whose messages are small or already compressed.
 */
export function addCompression(app: FastifyInstance): void {
  app.addHook('onSend', async (request, reply, payload) => {
    if (!(typeof payload === 'string' || Buffer.isBuffer(payload)) || reply.hasHeader('content-encoding'))
      return payload;
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
