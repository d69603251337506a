import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { canonicalJson } from '../../base/core/canonical-json.ts';
import { isMissing, openGiven, readGivenText } from '../../base/disk/given-file.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { codecOf } from '../../frame/decode/fragment-reader.ts';
import type { RecordingFile } from './archive.ts';
import { indexAt, indexBox } from './fragment-file.ts';
import {
  type ExportedSpan,
  inOrder,
  iso,
  type PlacedFile,
  type RecordedGap,
  type RecordedPart,
  readSpan,
  videoOf,
} from './recorded-span.ts';

/** No stream has a name with a plus: each has a folder beside it. */
const KEY_FILE = '+host-key.pem';
const BOX_HEAD_BYTES = 8;
const MOST_KEY_BYTES = 16 * 2 ** 10;
const MOST_MANIFEST_BYTES = 16 * 2 ** 20;

const manifestSchema = z.object({
  version: z.literal(1),
  stream: z.string(),
  codec: z.string(),
  /** What was asked for, wall clock as ISO text. */
  from: z.string(),
  to: z.string(),
  /** Media time, as in results, at which the time of the video is 0. */
  originUs: z.number(),
  frames: z.number(),
  /** By the rate of the frames that are there. */
  missingFrames: z.number(),
  gaps: z.array(z.object({ from: z.string(), to: z.string(), frames: z.number(), reason: z.string() })),
  /** Bytes of the video before this manifest, and their hash. */
  bytes: z.number(),
  sha256: z.string(),
  /** Ed25519, SubjectPublicKeyInfo in base64. */
  publicKey: z.string(),
  signature: z.string(),
});
/** What an export holds, what it lacks, and who says so. */
export type ExportManifest = z.infer<typeof manifestSchema>;

/** The key with which a host signs what it exports; made at its first use. @throws RECORDING_DAMAGED, the system's error */
export async function hostKey(folder: string): Promise<KeyObject> {
  const path = join(folder, KEY_FILE);
  try {
    return await readKey(path, folder);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
  await mkdir(folder, { recursive: true });
  const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' });
  // Another process may have made one meanwhile.
  await writeFile(path, pem, { flag: 'wx', mode: 0o600 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  return readKey(path, folder);
}

/** @throws RECORDING_DAMAGED */
async function readKey(path: string, folder: string): Promise<KeyObject> {
  const text = await readGivenText(path, {
    code: 'RECORDING_DAMAGED',
    mostBytes: MOST_KEY_BYTES,
    noLinksBelow: folder,
  });
  try {
    return createPrivateKey(text);
  } catch {
    throw new SightlineError('RECORDING_DAMAGED', `${path}: expected a private key as PEM`, { path });
  }
}

/**
 * Makes one MP4 of a span, from the key frame at or before its beginning, with a signed manifest in its last box, which players skip.
 *
 * @param files - recordings of one stream that overlap the span, in order.
 * @throws RECORDING_NOT_FOUND if nothing was recorded then; RECORDING_MIXED if the format of the video changes within.
 */
export async function* exportSpan(
  files: readonly RecordingFile[],
  span: ExportedSpan,
  key: KeyObject,
): AsyncGenerator<Buffer, ExportManifest> {
  const { parts, gaps: known } = await readSpan(files, span);
  const [{ files: placed }, other] = parts as [RecordedPart, RecordedPart?];
  if (other !== undefined)
    throw new SightlineError(
      'RECORDING_MIXED',
      `the video has another format at ${iso(other.files[0]!.startMs)}, or nothing was recorded for a day: export the time before and after it apart`,
    );
  const [first] = placed as [PlacedFile];
  const hash = createHash('sha256');
  let [bytes, codec, frames] = [0, '', placed.reduce((sum, file) => sum + file.frames, 0)];
  const lost: RecordedGap[] = [];
  const onLost = (gap: RecordedGap, gone: number): void => {
    lost.push(gap);
    frames -= gone;
  };
  const recordedUs = placed.reduce((sum, { firstUs, endUs }) => sum + endUs - firstUs, 0);
  const perMs = (frames * 1000) / recordedUs;
  for await (const part of videoOf(placed, onLost)) {
    if (bytes === 0) codec = codecOf(part);
    hash.update(part);
    bytes += part.length;
    yield part;
  }
  const gaps = inOrder([...known, ...lost]);
  const missing = (gap: ExportedSpan): number => Math.round((gap.toMs - gap.fromMs) * perMs);
  const unsigned = {
    version: 1 as const,
    stream: files[0]!.stream,
    codec,
    from: iso(span.fromMs),
    to: iso(span.toMs),
    originUs: first.firstUs - first.fromUs,
    frames,
    missingFrames: gaps.reduce((sum, gap) => sum + missing(gap), 0),
    gaps: gaps.map((gap) => ({ from: iso(gap.fromMs), to: iso(gap.toMs), frames: missing(gap), reason: gap.reason })),
    bytes,
    sha256: hash.digest('hex'),
    publicKey: createPublicKey(key).export({ type: 'spki', format: 'der' }).toString('base64'),
  };
  const signature = sign(null, Buffer.from(canonicalJson(unsigned)), key).toString('base64');
  const manifest = { ...unsigned, signature };
  yield indexBox(manifest);
  return manifest;
}

/**
 * Returns the manifest of an exported file, and what is wrong with it; no fault means that the bytes are those that the holder of its key
 * signed. Whose key that is, nobody can tell from the file.
 *
 * @returns null if the file has no manifest.
 */
export async function verifyExport(path: string): Promise<{ manifest: ExportManifest; faults: string[] } | null> {
  const { handle, size } = await openGiven(path, { code: 'RECORDING_DAMAGED', mostBytes: Number.POSITIVE_INFINITY });
  try {
    const head = Buffer.alloc(BOX_HEAD_BYTES);
    let lastAt = 0;
    for (let at = 0; at < size; ) {
      await handle.read(head, 0, BOX_HEAD_BYTES, at);
      lastAt = at;
      at += Math.max(BOX_HEAD_BYTES, head.readUInt32BE(0));
    }
    const box = Buffer.alloc(Math.min(size - lastAt, MOST_MANIFEST_BYTES));
    await handle.read(box, 0, box.length, lastAt);
    const found = indexAt(box, 0, manifestSchema);
    if (found === null) return null;
    const { signature, ...unsigned } = found.value;
    const faults: string[] = [];
    const publicKey = createPublicKey({ key: Buffer.from(unsigned.publicKey, 'base64'), format: 'der', type: 'spki' });
    if (!verify(null, Buffer.from(canonicalJson(unsigned)), publicKey, Buffer.from(signature, 'base64')))
      faults.push('the signature is not that of this manifest');
    const hash = createHash('sha256');
    for await (const chunk of handle.createReadStream({ start: 0, end: lastAt - 1, autoClose: false }))
      hash.update(chunk as Buffer);
    if (lastAt !== unsigned.bytes || hash.digest('hex') !== unsigned.sha256)
      faults.push('the video is not the one that was signed');
    return { manifest: found.value, faults };
  } finally {
    await handle.close();
  }
}
