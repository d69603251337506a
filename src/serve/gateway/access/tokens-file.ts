import { createHash, randomBytes } from 'node:crypto';
import { chmod, chown, mkdir, open, rm, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { isMissing, MOST_BYTES, readGivenText } from '../../../base/disk/given-file.ts';
import { replaceFile } from '../../../base/disk/replace-file.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { check } from '../../../settings/config/check.ts';
import { id } from '../../../settings/config/id.ts';
import { ROLES } from '../../../wire/protocol/feed.ts';

/** Shortest accepted token. Those of `sightline tokens add` have 256 random bits. */
export const MIN_TOKEN_CHARS = 16;
/** Name of the token in SIGHTLINE_TOKEN, which no token of a file can have. */
export const ENVIRONMENT_TOKEN = 'SIGHTLINE_TOKEN';
const MOST_TOKENS = 1000;
/** A change takes milliseconds. A lock that is older belongs to a command that was killed. */
const LOCK_WAIT_MS = 5_000;
const LOCK_POLL_MS = 50;

const tokenRecord = z.strictObject({
  /** Audit log and roll-outs show it. */
  name: id.refine((name) => name !== ENVIRONMENT_TOKEN, `expected another name than ${ENVIRONMENT_TOKEN}`),
  role: z.enum(ROLES),
  hash: z.string().regex(/^[0-9a-f]{64}$/, 'expected 64 hexadecimal digits'),
  createdAt: z.iso.datetime(),
  /** Absent: it does not expire. */
  expiresAt: z.iso.datetime().optional(),
});
export type TokenRecord = z.infer<typeof tokenRecord>;

const tokensFile = z
  .strictObject({ tokens: z.array(tokenRecord).max(MOST_TOKENS) })
  .refine(({ tokens }) => new Set(tokens.map(({ name }) => name)).size === tokens.length, 'expected each name once');

/** Returns a new random token. */
export function newToken(): string {
  return `sightline_${randomBytes(32).toString('base64url')}`;
}

/**
 * Returns what a browser keeps instead of the token. It is made from the token and checked against the same stored hash, so
 * that it survives a restart; neither can be made from a tokens file.
 */
export function cookieOf(token: string): string {
  return createHash('sha256').update(`sightline dashboard cookie\n${token}`).digest('base64url');
}

export function hashOfCookie(cookie: string): string {
  return createHash('sha256').update(cookie).digest('hex');
}

/** Returns what is stored of a token: SHA-256 of its cookie. A fast hash is enough for 256 random bits. */
export function hashOfToken(token: string): string {
  return hashOfCookie(cookieOf(token));
}

/** @throws CONFIG_NOT_FOUND if it is missing or unreadable, CONFIG_INVALID. */
export async function readTokensFile(path: string): Promise<readonly TokenRecord[]> {
  return parseTokens(await readText(path), path);
}

/**
 * Changes a tokens file and creates it if it is missing. It is replaced as a whole, keeps its owner and mode (a new one is
 * readable by its owner only), and is locked, so that of two changes at once none is lost.
 *
 * @param change - returns the new list. @throws whatever it throws; then the file stays as it is.
 */
export async function changeTokensFile(
  path: string,
  change: (tokens: readonly TokenRecord[]) => readonly TokenRecord[],
): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const lockPath = `${path}.lock`;
  await takeLock(lockPath);
  try {
    const before = await stat(path).catch(() => null);
    const tokens = change(before === null ? [] : await readTokensFile(path));
    await replaceFile(path, async (temporaryPath) => {
      await writeFile(temporaryPath, `${JSON.stringify({ tokens }, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
      if (before === null) return;
      await chmod(temporaryPath, before.mode & 0o777);
      // Only root may give files away; for others the owner is the same anyway.
      await chown(temporaryPath, before.uid, before.gid).catch(() => undefined);
    });
  } finally {
    await rm(lockPath, { force: true });
  }
}

function parseTokens(text: string, path: string): readonly TokenRecord[] {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new SightlineError('CONFIG_INVALID', `${path}: expected JSON: ${(error as Error).message}`, { path });
  }
  return check(tokensFile, json, path).tokens;
}

async function readText(path: string): Promise<string> {
  try {
    return await readGivenText(path, {
      code: 'CONFIG_NOT_FOUND',
      as: `tokens file ${path}`,
      mostBytes: MOST_BYTES.settings,
    });
  } catch (thrown) {
    const error = SightlineError.from(thrown, 'INTERNAL_ERROR');
    const hint = isMissing(error) ? '; `sightline tokens add` creates it' : '';
    throw new SightlineError('CONFIG_NOT_FOUND', `${error.message}${hint}`, error.details);
  }
}

async function takeLock(path: string): Promise<void> {
  for (let waitedMs = 0; ; waitedMs += LOCK_POLL_MS) {
    try {
      await (await open(path, 'wx')).close();
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    if (waitedMs >= LOCK_WAIT_MS)
      throw new SightlineError(
        'SINK_BUSY',
        `${path}: another command changes the tokens. If none runs, one was killed: remove this file`,
        { path },
      );
    await sleep(LOCK_POLL_MS);
  }
}
