/**
 * Members of compressed files. gzip (RFC 1952, 2.2) and zstd (RFC 8878, 3) both define that compressed parts written one
 * after the other are one file: gzip calls them members, zstd frames. Here both are called members.
 */
import type { Compression } from '../disk/compression.ts';

/** Returns bytes of a file; fewer at its end. */
export type ReadBytes = (position: number, bytes: number) => Promise<Buffer>;

/** ID1, ID2, deflate, and FLG with FEXTRA (RFC 1952, 2.3). */
const GZIP_MAGIC = [0x1f, 0x8b, 8, 4] as const;
const GZIP_PLAIN_HEADER_BYTES = 10;
/** XLEN, and one field: two letters, its length, and the size of the member as u32. */
const SIZE_FIELD = Buffer.from([8, 0, 0x53, 0x4c, 4, 0, 0, 0, 0, 0]);
const GZIP_HEADER_BYTES = GZIP_PLAIN_HEADER_BYTES + SIZE_FIELD.length;
/** Where the size is. */
const SIZE_OFFSET = GZIP_HEADER_BYTES - 4;

/**
 * Adds its own size to the header of a gzip member, in an extra field that other programs skip: without it the end of a
 * member is only found by decompressing it. A zstd frame needs none, since its blocks state their sizes.
 */
export function finishMember(compressed: Buffer, compression: Compression): Buffer {
  if (compression === 'zstd') return compressed;
  const member = Buffer.concat([
    compressed.subarray(0, GZIP_PLAIN_HEADER_BYTES),
    SIZE_FIELD,
    compressed.subarray(GZIP_PLAIN_HEADER_BYTES),
  ]);
  member[3] = GZIP_MAGIC[3];
  member.writeUInt32LE(member.length, SIZE_OFFSET);
  return member;
}

/**
 * Returns where the member at `start` ends, which may be beyond the end of the file. Reads its headers only.
 *
 * @returns null if no member, or too little of one, begins there.
 */
export function memberEnd(read: ReadBytes, start: number, compression: Compression): Promise<number | null> {
  return compression === 'gzip' ? gzipEnd(read, start) : zstdEnd(read, start);
}

/** Returns whether bytes are the beginning of a file of this compression, by whatever program. */
export function isCompressed(bytes: Uint8Array, compression: Compression): boolean {
  const [a = 0, b = 0, c = 0, d = 0] = bytes;
  if (compression === 'gzip') return a === GZIP_MAGIC[0] && b === GZIP_MAGIC[1];
  const magic = new DataView(Uint8Array.of(a, b, c, d).buffer).getUint32(0, true);
  return magic === ZSTD_MAGIC || isSkippable(magic);
}

/** Returns whether a gzip member of another program begins here, whose end cannot be found. */
export async function isForeign(read: ReadBytes, start: number, compression: Compression): Promise<boolean> {
  if (compression === 'zstd') return false;
  const header = await read(start, GZIP_HEADER_BYTES);
  const isGzip = header[0] === GZIP_MAGIC[0] && header[1] === GZIP_MAGIC[1] && header[2] === GZIP_MAGIC[2];
  return header.length === GZIP_HEADER_BYTES && isGzip && !hasSizeField(header);
}

function hasSizeField(header: Buffer): boolean {
  const field = header.subarray(GZIP_PLAIN_HEADER_BYTES, SIZE_OFFSET);
  return header[3] === GZIP_MAGIC[3] && field.equals(SIZE_FIELD.subarray(0, -4));
}

async function gzipEnd(read: ReadBytes, start: number): Promise<number | null> {
  const header = await read(start, GZIP_HEADER_BYTES);
  const isMember = header.length === GZIP_HEADER_BYTES && GZIP_MAGIC.every((byte, i) => header[i] === byte);
  if (!isMember || !hasSizeField(header)) return null;
  const size = header.readUInt32LE(SIZE_OFFSET);
  return size > GZIP_HEADER_BYTES ? start + size : null;
}

const ZSTD_MAGIC = 0xfd2fb528;
const ZSTD_CHECKSUM_BYTES = 4;
/** Sizes of the optional parts of a frame header, by the value of their flag (RFC 8878, 3.1.1.1). */
const DICTIONARY_ID_BYTES = [0, 1, 2, 4] as const;
const CONTENT_SIZE_BYTES = [0, 2, 4, 8] as const;

/** Skippable frames hold data of users (RFC 8878, 3.1.2). */
function isSkippable(magic: number): boolean {
  return magic >>> 4 === 0x184d2a5;
}

async function zstdEnd(read: ReadBytes, start: number): Promise<number | null> {
  const head = await read(start, 8);
  if (head.length < 5) return null;
  const magic = head.readUInt32LE(0);
  if (isSkippable(magic)) return head.length < 8 ? null : start + 8 + head.readUInt32LE(4);
  if (magic !== ZSTD_MAGIC) return null;
  const descriptor = head[4]!;
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const sizeFlag = descriptor >> 6;
  const contentSizeBytes = sizeFlag === 0 && isSingleSegment ? 1 : CONTENT_SIZE_BYTES[sizeFlag]!;
  let at = start + 5 + (isSingleSegment ? 0 : 1) + DICTIONARY_ID_BYTES[descriptor & 3]! + contentSizeBytes;
  for (;;) {
    const header = await read(at, 3);
    if (header.length < 3) return null;
    const block = header.readUIntLE(0, 3);
    const type = (block >> 1) & 3;
    // Types: 0 raw, 1 one repeated byte, 2 compressed, 3 reserved.
    if (type === 3) return null;
    at += 3 + (type === 1 ? 1 : block >> 3);
    if ((block & 1) === 1) return at + ((descriptor & 4) === 0 ? 0 : ZSTD_CHECKSUM_BYTES);
  }
}
