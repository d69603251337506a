import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { isMissing, MIB, MOST_BYTES, readGiven } from '../base/disk/given-file.ts';
import { writeWholeFile } from '../base/disk/replace-file.ts';
import { SightlineError } from '../base/errors/sightline-error.ts';
import { KeyedMutex } from '../base/flow/keyed-mutex.ts';
import { ANSWERS_FILE, answersText, parseAnswers } from '../lab/optimize/review/answers.ts';
import { REVIEW_PAGE } from '../lab/optimize/review/review-page.ts';

/** Bytes of a file of answers. */
const MOST_BODY_BYTES = 8 * MIB;
const COOKIE = 'sightline-review';
/** What is served besides the page; nothing else in the folder is. */
const FILES: readonly (readonly [path: RegExp, type: string])[] = [
  [/^\/review\/[\w-]+\.jpg$/, 'image/jpeg'],
  [/^\/(?:report|review)\.html$/, 'text/html; charset=utf-8'],
  [/^\/answers\.json$/, 'application/json'],
];

/** A review that is served. */
export interface ReviewServer {
  /** Address with the token that opens it. */
  readonly url: string;
  /** Resolves when the page says that it is done. */
  readonly done: Promise<void>;
  close(): Promise<void>;
}

/**
 * Serves the review of a report on 127.0.0.1, to whoever has its address: the page, its pictures, and a file of answers that the page may write.
 *
 * Other pages of the browser and other users of the machine are kept out: each request needs the token, as a cookie that the first one sets, and the host that
 * was bound; what writes needs the page's own origin too.
 *
 * @param folder - of the report.
 */
export async function serveReview(folder: string, port = 0): Promise<ReviewServer> {
  const token = randomBytes(24).toString('base64url');
  let end: () => void = () => undefined;
  const done = new Promise<void>((resolve) => {
    end = resolve;
  });
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      const isOurs = error instanceof SightlineError;
      reply(response, isOurs ? 400 : 500, isOurs ? error.message : 'the file could not be read or written');
    });
  });
  const host = await listening(server, port);
  const writing = new KeyedMutex();

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.headers.host !== host) return reply(response, 403, 'expected the address that was printed');
    const { pathname: path, searchParams } = new URL(request.url ?? '/', `http://${host}`);
    if (path === '/' && isToken(searchParams.get('token') ?? '')) {
      // The token leaves the address, which histories and other pages could show.
      response.setHeader('set-cookie', `${COOKIE}=${token}; HttpOnly; SameSite=Strict; Path=/`);
      response.setHeader('location', `/${REVIEW_PAGE}`);
      return reply(response, 303, '');
    }
    if (!isToken(cookieOf(request))) return reply(response, 401, 'open the address that was printed');
    if (request.method === 'GET') return sendFile(response, folder, path === '/' ? `/${REVIEW_PAGE}` : path);
    if (request.headers.origin !== `http://${host}`) return reply(response, 403, 'expected a request of this page');
    if (request.method === 'PUT' && path === `/${ANSWERS_FILE}`) {
      const text = await bodyOf(request);
      parseAnswers(text, 'the answers');
      return writing.run('', () => save(response, text, request.headers['if-match']));
    }
    if (request.method === 'POST' && path === '/done') {
      reply(response, 204, '');
      return end();
    }
    reply(response, 404, 'there is nothing here');
  }

  /** A second page would write over what the first one has saved. */
  async function save(response: ServerResponse, text: string, version: string | undefined): Promise<void> {
    if (version !== versionOf(await answersIn(folder)))
      return reply(response, 409, 'another page has saved answers meanwhile; reload this one');
    await writeWholeFile(join(folder, ANSWERS_FILE), text);
    response.setHeader('etag', versionOf(Buffer.from(text)));
    reply(response, 204, '');
  }

  function isToken(given: string): boolean {
    const [own, other] = [Buffer.from(token), Buffer.from(given)];
    return own.length === other.length && timingSafeEqual(own, other);
  }

  return {
    url: `http://${host}/?token=${token}`,
    done,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** @returns `127.0.0.1:PORT`. @throws PORT_IN_USE */
function listening(server: Server, port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const message = `expected port ${port} of 127.0.0.1 to be free: ${cause.message}`;
      reject(new SightlineError('PORT_IN_USE', message, { host: '127.0.0.1', port }, { cause }));
    });
    server.listen(port, '127.0.0.1', () => resolve(`127.0.0.1:${(server.address() as AddressInfo).port}`));
  });
}

function cookieOf({ headers }: IncomingMessage): string {
  const pairs = (headers.cookie ?? '').split(';').map((pair) => pair.trim());
  return pairs.find((pair) => pair.startsWith(`${COOKIE}=`))?.slice(COOKIE.length + 1) ?? '';
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength;
    if (bytes > MOST_BODY_BYTES)
      throw new SightlineError('COMMAND_INVALID', `expected at most ${MOST_BODY_BYTES} bytes of answers`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** The file of answers; an empty one if there is none. */
async function answersIn(folder: string): Promise<Buffer> {
  const path = join(folder, ANSWERS_FILE);
  const given = { code: 'COMMAND_INVALID', mostBytes: MOST_BYTES.json, noLinksBelow: folder } as const;
  return readGiven(path, given).catch((error: unknown) => {
    // What is there and cannot be read is not written over.
    if (isMissing(error)) return Buffer.from(answersText([]));
    throw error;
  });
}

function versionOf(answers: Buffer): string {
  return `"${createHash('sha256').update(answers).digest('hex').slice(0, 16)}"`;
}

async function sendFile(response: ServerResponse, folder: string, path: string): Promise<void> {
  const type = FILES.find(([pattern]) => pattern.test(path))?.[1];
  if (type === undefined) return reply(response, 404, 'there is nothing here');
  if (path === `/${ANSWERS_FILE}`) {
    const answers = await answersIn(folder);
    headersOf(response, type);
    response.setHeader('etag', versionOf(answers));
    response.writeHead(200).end(answers);
    return;
  }
  // Links below the folder are not followed: whoever sent the report could have put them there.
  const given = { code: 'COMMAND_INVALID', as: path, mostBytes: MOST_BYTES.json, noLinksBelow: folder } as const;
  const bytes = await readGiven(join(folder, path), given).catch(() => null);
  if (bytes === null) return reply(response, 404, 'there is no such file');
  headersOf(response, type);
  response.writeHead(200).end(bytes);
}

function reply(response: ServerResponse, status: number, text: string): void {
  headersOf(response, 'text/plain; charset=utf-8');
  response.writeHead(status).end(text);
}

function headersOf(response: ServerResponse, type: string): void {
  response.setHeader('content-type', type);
  response.setHeader('cache-control', 'no-store');
  response.setHeader('x-content-type-options', 'nosniff');
  response.setHeader('referrer-policy', 'no-referrer');
  response.setHeader('cross-origin-resource-policy', 'same-origin');
  response.setHeader('x-frame-options', 'DENY');
}
