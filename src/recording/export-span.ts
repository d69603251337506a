import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { mkdir, open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { canonicalJson } from '../core/canonical-json.ts';
import { parseFragment } from '../decode/fragment-reader.ts';
import { openGiven } from '../disk/given-file.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import type { RecordingFile } from './archive.ts';
import {
  type IndexedFragment,
  indexAt,
  indexBox,
  readFragment,
  readIndex,
  readInit,
  ticksOf,
} from './fragment-file.ts';

/** A shorter time before the first picture, or after the last one, is no gap. */
const LEAST_GAP_MS = 1_000;
/** No stream has a name with a plus: each has a folder beside it. */
const KEY_FILE = '+host-key.pem';
const BOX_HEAD_BYTES = 8;
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

/** The key with which a host signs what it exports; made at its first use. @throws the system's error */
export async function hostKey(folder: string): Promise<KeyObject> {
  const path = join(folder, KEY_FILE);
  try {
    return createPrivateKey(await readFile(path, 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  await mkdir(folder, { recursive: true });
  const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' });
  // Another process may have made one meanwhile.
  await writeFile(path, pem, { flag: 'wx', mode: 0o600 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  return createPrivateKey(await readFile(path, 'utf8'));
}

/** A span of a stream, in wall-clock milliseconds since 1970. */
export interface ExportedSpan {
  readonly fromMs: number;
  readonly toMs: number;
}

/**
 * Makes one MP4 of a span, from the key frame at or before its beginning, with a signed manifest in its last box, which players skip.
 *
 * @param files - recordings of one stream that overlap the span, in order.
 * @throws RECORDING_NOT_FOUND if nothing was recorded then; RECORDING_MIXED if the format of the video changes within.
 */
export async function* exportSpan(
  files: readonly RecordingFile[],
  { fromMs, toMs }: ExportedSpan,
  key: KeyObject,
): AsyncGenerator<Buffer, ExportManifest> {
  const hash = createHash('sha256');
  let bytes = 0;
  const pass = (part: Buffer): Buffer => {
    hash.update(part);
    bytes += part.length;
    return part;
  };
  const gaps: { fromMs: number; toMs: number; reason: string }[] = [];
  await requireOneFormat(files);
  let begun: { readonly init: Buffer; readonly codec: string; readonly originUs: number } | null = null;
  let last: IndexedFragment | null = null;
  let added = 0;
  let frames = 0;
  let recordedUs = 0;
  for (const { path } of files) {
    const index = await readIndex(path);
    const { timescale } = index.head;
    const chosen = within(index.fragments, { fromMs, toMs }, last === null);
    if (chosen.length === 0) continue;
    const handle = await open(path, 'r');
    try {
      for (const fragment of chosen) {
        const part = await readFragment(handle, fragment);
        const { baseTicks, baseAt, ptsTicks } = parseFragment(part);
        const ticks = (each: number): number => each - fragment.added;
        const isGap: boolean =
          last !== null && (fragment.gap !== undefined || startOf(fragment) - last.endMs > LEAST_GAP_MS);
        if (begun === null) {
          const leadUs = Math.round(((ptsTicks[0]! - baseTicks) / timescale) * 1e6);
          begun = { init: index.init, codec: index.head.codec, originUs: fragment.firstUs - leadUs };
          added = -ticks(baseTicks);
          yield pass(begun.init);
        } else if (isGap || last?.shiftUs !== fragment.shiftUs)
          added = Math.round(((fragment.firstUs - begun.originUs) / 1e6) * timescale) - ticks(ptsTicks[0]!);
        const before = last?.endMs ?? fromMs;
        if (isGap || (last === null && startOf(fragment) - before > LEAST_GAP_MS))
          gaps.push({ fromMs: before, toMs: startOf(fragment), reason: fragment.gap ?? 'start' });
        part.set(ticksOf(ticks(baseTicks) + added), baseAt);
        yield pass(part);
        frames += fragment.frames;
        recordedUs += fragment.endUs - fragment.startUs;
        last = fragment;
      }
    } finally {
      await handle.close();
    }
  }
  if (begun === null || last === null)
    throw new SightlineError('RECORDING_NOT_FOUND', `nothing is recorded from ${iso(fromMs)} to ${iso(toMs)}`);
  if (toMs - last.endMs > LEAST_GAP_MS) gaps.push({ fromMs: last.endMs, toMs, reason: 'end' });
  const missing = (gap: ExportedSpan): number => Math.round(((gap.toMs - gap.fromMs) * 1000 * frames) / recordedUs);
  const unsigned = {
    ...{ version: 1 as const, stream: files[0]!.stream, codec: begun.codec, from: iso(fromMs), to: iso(toMs) },
    ...{ originUs: begun.originUs, frames, missingFrames: gaps.reduce((sum, gap) => sum + missing(gap), 0) },
    gaps: gaps.map((gap) => ({ from: iso(gap.fromMs), to: iso(gap.toMs), frames: missing(gap), reason: gap.reason })),
    ...{ bytes, sha256: hash.digest('hex') },
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

/** Before the first byte is sent. @throws RECORDING_MIXED */
async function requireOneFormat(files: readonly RecordingFile[]): Promise<void> {
  const first = files[0] === undefined ? null : await readInit(files[0].path);
  for (const { path, startMs } of files)
    if (first?.equals(await readInit(path)) === false)
      throw new SightlineError(
        'RECORDING_MIXED',
        `the format of the video changes at ${iso(startMs)}: export the time before and after it apart`,
      );
}

/** From the key frame at or before the beginning, unless something came before. */
function within(
  fragments: readonly IndexedFragment[],
  { fromMs, toMs }: ExportedSpan,
  isFirst: boolean,
): readonly IndexedFragment[] {
  const key = isFirst ? fragments.findLastIndex((each) => each.key && startOf(each) <= fromMs) : 0;
  return fragments.slice(Math.max(0, key)).filter((each) => startOf(each) < toMs);
}

/** Wall clock of its first picture. */
function startOf({ endMs, endUs, startUs }: IndexedFragment): number {
  return endMs - (endUs - startUs) / 1000;
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
