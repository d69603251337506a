import { createHash } from 'node:crypto';
import { hashGiven, isMissing, MODEL_FILE, openGiven } from '../../base/disk/given-file.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';

/**
 * Hashes the file of a model, hex; null if it does not exist or is a folder.
 *
 * @throws MODEL_INVALID if it is no regular file, is larger than a model can be, or cannot be read.
 */
export async function sha256OfFile(path: string): Promise<string | null> {
  try {
    return await hashGiven(path, MODEL_FILE);
  } catch (error) {
    if (isMissing(error)) return null;
    if (error instanceof SightlineError && error.details.problem === 'folder') return null;
    throw error;
  }
}

/** A file up to this size is hashed whole. */
const WHOLE_BYTES = 256 * 2 ** 20;
const SAMPLES = 64;
const SAMPLE_BYTES = 2 ** 20;

/**
 * Identifies the content of a file, hex: the hash of all of it, and of a file above 256 MiB the hash of its size and of 64 MiB that
 * are spread evenly over it, its first and its last included. Another recording differs in them; an edit of a few bytes may not.
 *
 * @throws SOURCE_UNREADABLE if it cannot be read or is no regular file.
 */
export async function fingerprintOfFile(path: string, wholeBytes = WHOLE_BYTES): Promise<string> {
  const { handle: file, size } = await openGiven(path, {
    code: 'SOURCE_UNREADABLE',
    mostBytes: Number.MAX_SAFE_INTEGER,
  });
  try {
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
