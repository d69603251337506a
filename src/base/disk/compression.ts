import { extname } from 'node:path';
import { promisify } from 'node:util';
import zlib from 'node:zlib';

export type Compression = 'gzip' | 'zstd';

type Done = (error: Error | null, result: Buffer) => void;
interface ZstdOptions {
  readonly params: Readonly<Record<number, number>>;
}
/** Node.js has them since 22.15 and 23.8; the types of Node.js 20 do not. */
const { zstdCompress, zstdCompressSync } = zlib as {
  readonly zstdCompress?: (bytes: Uint8Array, options: ZstdOptions, done: Done) => void;
  readonly zstdCompressSync?: (bytes: Uint8Array, options: ZstdOptions) => Buffer;
};
/** `ZSTD_c_checksumFlag` of zstd.h. Without a checksum, which gzip always has, damage can go unnoticed. */
const WITH_CHECKSUM: ZstdOptions = { params: { 201: 1 } };
const gzip = promisify<Uint8Array, Buffer>(zlib.gzip);

/** Whether this Node.js can compress with zstd. */
export const HAS_ZSTD = zstdCompress !== undefined && zstdCompressSync !== undefined;

/** Returns how a file is compressed, by its last extension: `.gz` or `.zst`. */
export function compressionOf(path: string): Compression | null {
  switch (extname(path).toLowerCase()) {
    case '.gz':
      return 'gzip';
    case '.zst':
      return 'zstd';
    default:
      return null;
  }
}

/** Returns why a file cannot be written under this name, in one sentence with a remedy; null if it can. */
export function compressionProblem(path: string, hasZstd = HAS_ZSTD): string | null {
  if (compressionOf(path) !== 'zstd' || hasZstd) return null;
  const gzipPath = `${path.slice(0, -extname(path).length)}.gz`;
  return (
    `expected a compression that this Node.js has, received "${path}": ` +
    `zstd needs Node.js 22.15 or later (this is ${process.versions.node}); use ${gzipPath} for gzip.`
  );
}

/** Compresses on a thread of Node's pool. With zstd only if `HAS_ZSTD`. */
export function compress(bytes: Uint8Array, compression: Compression): Promise<Buffer> {
  return compression === 'gzip' ? gzip(bytes) : promisify(zstdCompress!)(bytes, WITH_CHECKSUM);
}

/** Returns the compressed form of nothing: the shortest valid file. */
export function compressedNothing(compression: Compression): Buffer {
  const nothing = new Uint8Array(0);
  return compression === 'gzip' ? zlib.gzipSync(nothing) : zstdCompressSync!(nothing, WITH_CHECKSUM);
}

/** First bytes of a gzip file (RFC 1952, 2.3), of a zstd frame, and of a zstd frame with data of users (RFC 8878, 3.1). */
const GZIP_MAGIC = 0x8b1f;
const ZSTD_MAGIC = 0xfd2fb528;
const ZSTD_SKIPPABLE_MAGIC = 0x184d2a5;

/** Returns whether four bytes are the beginning of a file of this compression. */
export function isCompressed(first: Uint8Array, compression: Compression): boolean {
  const magic = Buffer.from(first).readUInt32LE(0);
  if (compression === 'gzip') return (magic & 0xffff) === GZIP_MAGIC;
  return magic === ZSTD_MAGIC || magic >>> 4 === ZSTD_SKIPPABLE_MAGIC;
}
