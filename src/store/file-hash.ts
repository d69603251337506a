import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';

/** Hashes a file as a stream, hex; null if it does not exist or is not a file. */
export async function sha256OfFile(path: string): Promise<string | null> {
  const hash = createHash('sha256');
  try {
    await pipeline(createReadStream(path), hash);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'EISDIR' || code === 'ENOTDIR') return null;
    throw error;
  }
  return hash.digest('hex');
}

/** A file up to this size is hashed whole. */
const WHOLE_BYTES = 256 * 2 ** 20;
const SAMPLES = 64;
const SAMPLE_BYTES = 2 ** 20;

/**
 * Identifies the content of a file, hex: the hash of all of it, and of a file above 256 MiB the hash of its size and of 64 MiB that
 * are spread evenly over it, its first and its last included. Another recording differs in them; an edit of a few bytes may not.
 *
 * @throws the error of the file system.
 */
export async function fingerprintOfFile(path: string, wholeBytes = WHOLE_BYTES): Promise<string> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    const hash = createHash('sha256').update(`${size} `);
    const isWhole = size <= wholeBytes;
    const length = isWhole ? Math.ceil(size / SAMPLE_BYTES) : SAMPLES;
    const buffer = Buffer.alloc(SAMPLE_BYTES);
    for (let i = 0; i < length; i++) {
      const at = isWhole ? i * SAMPLE_BYTES : Math.floor((i * (size - SAMPLE_BYTES)) / (SAMPLES - 1));
      const { bytesRead } = await file.read(buffer, 0, SAMPLE_BYTES, at);
      hash.update(buffer.subarray(0, bytesRead));
    }
    return hash.digest('hex');
  } finally {
    await file.close();
  }
}

/** Hashes bytes, hex. */
export function sha256OfBytes(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
