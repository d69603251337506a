import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { resultLine } from '../../../../src/after/sinks/result-line.ts';
import { diskFiles } from '../../../../src/after/sinks/sink-files.ts';
import { WebhookSink, type WebhookSinkOptions } from '../../../../src/after/sinks/webhook-sink.ts';
import type { Clock } from '../../../../src/base/core/clock.ts';
import type { MonoMs } from '../../../../src/base/core/units.ts';
import type { SightlineError } from '../../../../src/base/errors/sightline-error.ts';
import { frameOf, person } from './frames.ts';
import { describeSink } from './sink-contract.ts';

interface Request {
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: { sink: string; batch: number; lostResults: number; results: { source: string; frame: number }[] };
}

type Answer = (response: ServerResponse, request: IncomingMessage) => void;

const status =
  (code: number, headers: Record<string, string> = {}): Answer =>
  (response) =>
    response.writeHead(code, headers).end();
const ok = status(204);
const reset: Answer = (_, request) => request.socket.destroy();
const hang: Answer = () => undefined;

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

/** A real server that gives the answers in turn, then repeats the last one. */
async function serve(...answers: Answer[]): Promise<{ url: string; requests: Request[] }> {
  const requests: Request[] = [];
  const server = createServer((request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    request.on('end', () => {
      const answer = answers[Math.min(requests.length, answers.length - 1)]!;
      Object.assign(request, { raw: text });
      requests.push({ path: request.url!, headers: request.headers, body: JSON.parse(text) as Request['body'] });
      answer(response, request);
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`, requests };
}

const NEVER_MS = 60_000;

/** Runs timers at once and records their delays; never runs those of `neverMs` or more (limits, not pauses). */
class HastyClock implements Clock {
  readonly delaysMs: number[] = [];
  nowMs = 0;
  readonly #neverMs: number;

  constructor(neverMs = NEVER_MS) {
    this.#neverMs = neverMs;
  }

  now(): MonoMs {
    return this.nowMs as MonoMs;
  }

  setTimer(run: () => void, delayMs: number): () => void {
    if (delayMs >= this.#neverMs) return () => undefined;
    this.delaysMs.push(delayMs);
    const immediate = setImmediate(run);
    return () => clearImmediate(immediate);
  }
}

/** Runs no timers: batches are sent when they are full, or at the end. */
const stoppedClock: Clock = { now: () => 0 as MonoMs, setTimer: () => () => undefined };

function open(url: string, more: Partial<WebhookSinkOptions> = {}) {
  const failures: SightlineError[] = [];
  const clock = new HastyClock();
  const sink = new WebhookSink({
    id: 'hook',
    url,
    batchMs: 10,
    timeoutMs: NEVER_MS,
    closeMs: NEVER_MS,
    clock,
    random: () => 1,
    onFailure: (error) => failures.push(error),
    ...more,
  });
  return { sink, failures, clock };
}

function publish(sink: WebhookSink, ...frames: number[]): void {
  for (const frame of frames) sink.publish(frameOf(frame, [person]), 'a.mp4');
}

function framesOf(requests: readonly Request[]): number[][] {
  return requests.map((request) => request.body.results.map((result) => result.frame));
}

describe('WebhookSink', async () => {
  // These two servers live as long as the suite; the others are closed after each test.
  const working = createServer((_, response) => response.writeHead(204).end())
    .listen(0, '127.0.0.1')
    .unref();
  const broken = createServer((_, response) => response.writeHead(500).end())
    .listen(0, '127.0.0.1')
    .unref();
  await Promise.all([working, broken].map((server) => new Promise((resolve) => server.once('listening', resolve))));
  const urlOf = (server: Server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const options = { id: 'under-test', clock: stoppedClock } as const;
  describeSink(
    'WebhookSink',
    (onFailure) => new WebhookSink({ ...options, url: urlOf(working), onFailure }),
    (onFailure) => new WebhookSink({ ...options, url: urlOf(broken), maxAttempts: 1, onFailure }),
  );
});

describe('batches', () => {
  it('hold results in order, in the format of JSONL lines, and each has its own key', async () => {
    const { url, requests } = await serve(ok);
    const { sink } = open(url, { batchResults: 3, clock: stoppedClock });
    publish(sink, 0, 1, 2, 3, 4, 5, 6);
    await sink.close();
    expect(framesOf(requests)).toEqual([[0, 1, 2], [3, 4, 5], [6]]);
    expect(requests[0]!.body.results[0]).toEqual({
      stream: 's',
      source: 'a.mp4',
      frame: 0,
      ptsUs: 0,
      width: 1280,
      height: 720,
      by: 'inferred',
      detections: [person],
    });
    expect(requests.map(({ body }) => [body.sink, body.batch, body.lostResults])).toEqual([
      ['hook', 1, 0],
      ['hook', 2, 0],
      ['hook', 3, 0],
    ]);
    expect(new Set(requests.map(({ headers }) => headers['idempotency-key'])).size).toBe(3);
    expect(requests[0]!.headers['content-type']).toBe('application/json');
  });

  it('that are not full are sent after batchMs', async () => {
    const { url, requests } = await serve(ok);
    const { sink, clock } = open(url, { batchMs: 700 });
    publish(sink, 0);
    await expect.poll(() => requests.length).toBe(1);
    expect(clock.delaysMs[0]).toBe(700);
    await sink.close();
  });
});

describe('a server that fails', () => {
  it.each([
    ['with 503', status(503)],
    ['with 429', status(429)],
    ['by resetting the connection', reset],
  ])('%s gets the same batch again, with the same key and growing delays', async (_, failing) => {
    const { url, requests } = await serve(failing, failing, failing, ok);
    const { sink, failures, clock } = open(url, { batchResults: 2 });
    publish(sink, 0, 1);
    await sink.close();
    expect(framesOf(requests)).toEqual([
      [0, 1],
      [0, 1],
      [0, 1],
      [0, 1],
    ]);
    expect(new Set(requests.map(({ headers }) => headers['idempotency-key'])).size).toBe(1);
    expect(clock.delaysMs.filter((delayMs) => delayMs >= 500)).toEqual([500, 1000, 2000]);
    expect(
      failures.map(({ message }) => message),
      'reported at the first failure, once',
    ).toEqual([expect.stringMatching(/batch 1 could not be delivered: .* \(attempt 1\); 2 results wait$/)]);
    expect(sink.figures).toMatchObject({ problem: null, sent: 2, waiting: 0, retried: 3 });
  });

  it('by hanging is aborted after timeoutMs, and tried again', async () => {
    const { url, requests } = await serve(hang, ok);
    const { sink, failures } = open(url, { timeoutMs: 1000, firstRetryMs: 1, clock: realClock() });
    publish(sink, 0);
    await sink.close();
    expect(framesOf(requests)).toEqual([[0], [0]]);
    expect(failures[0]!.message).toMatch(/no answer within 1000 ms/);
  });

  it('can set the delay with Retry-After', async () => {
    const { url } = await serve(status(503, { 'retry-after': '7' }), ok);
    const { sink, clock } = open(url, { batchResults: 1 });
    publish(sink, 0);
    await sink.close();
    expect(clock.delaysMs).toContain(7000);
  });

  it('for much longer than maxAttempts loses nothing, and recovery is reported', async () => {
    const { url, requests } = await serve(...Array.from({ length: 30 }, () => status(500)), ok);
    const recoveries: number[] = [];
    const { sink, failures } = open(url, {
      batchResults: 1,
      maxAttempts: 2,
      onRecovery: (lost) => recoveries.push(lost),
    });
    publish(sink, 0, 1);
    await expect.poll(() => requests.length).toBeGreaterThan(31);
    await sink.close();
    expect(framesOf(requests).slice(30)).toEqual([[0], [1]]);
    expect(failures).toHaveLength(1);
    expect(recoveries).toEqual([0]);
  });

  it('by refusing a batch loses only that one, and recovery is reported', async () => {
    const { url, requests } = await serve(status(400), status(400), ok);
    const recoveries: number[] = [];
    const { sink, failures } = open(url, {
      batchResults: 1,
      maxAttempts: 2,
      onRecovery: (lost) => recoveries.push(lost),
    });
    publish(sink, 0, 1, 2);
    await expect.poll(() => requests.length).toBe(4);
    await expect(sink.close()).rejects.toMatchObject({ code: 'SINK_FAILED', details: { lostResults: 1 } });
    expect(framesOf(requests)).toEqual([[0], [0], [1], [2]]);
    expect(requests.map(({ body }) => body.lostResults)).toEqual([0, 0, 1, 1]);
    expect(failures.map(({ message }) => message)).toEqual([
      expect.stringMatching(/batch 1 could not be delivered: the server answered 400 \(attempt 1\)/),
      expect.stringMatching(/batch 1 was given up: the server answered 400 \(attempt 2\)\. 1 result was lost/),
    ]);
    expect(recoveries).toEqual([1]);
    expect(sink.figures.lost).toMatchObject({ refused: 1 });
  });

  it.each([
    ['401', status(401), /answered 401/],
    ['302', status(302, { location: '/elsewhere' }), /answered 302 \(a redirect/],
  ])('with %s gets maxAttempts, since it may be restarting', async (_, refusing, message) => {
    const { url, requests } = await serve(refusing);
    const { sink, failures } = open(url, { batchResults: 1, maxAttempts: 3 });
    publish(sink, 0);
    await expect.poll(() => requests.length).toBe(3);
    await expect(sink.close()).rejects.toMatchObject({ code: 'SINK_FAILED' });
    expect(requests).toHaveLength(3);
    expect(failures[0]!.message).toMatch(message);
  });

  it('by being unreachable is reported with the reason', async () => {
    const { url } = await serve(ok);
    const server = servers.pop()!;
    await new Promise((resolve) => server.close(resolve));
    const { sink, failures } = open(url, { batchResults: 1, maxAttempts: 2 });
    publish(sink, 0);
    await expect(sink.close()).rejects.toMatchObject({ code: 'SINK_FAILED' });
    expect(failures[0]!.message).toMatch(/ECONNREFUSED/);
  });
});

describe('a full spool in memory', () => {
  /** Text of one result. */
  const bytes = resultLine(frameOf(9), 'a.mp4').length;

  it('drops the oldest results of a live stream, counts them, and reports it once', async () => {
    const { url, requests } = await serve(ok);
    const { sink, failures } = open(url, { maxSpoolBytes: 3 * bytes, clock: stoppedClock });
    for (let frame = 0; frame < 10; frame++) expect(sink.publish(frameOf(frame), 'a.mp4', false)).toBe(true);
    await expect(sink.close()).rejects.toMatchObject({ details: { lostResults: 7 } });
    expect(framesOf(requests)).toEqual([[7, 8, 9]]);
    expect(requests[0]!.body.lostResults).toBe(7);
    expect(failures).toHaveLength(1);
    expect(failures[0]!.message).toMatch(/spool is full \(\d+ bytes\)/);
    expect(sink.figures).toMatchObject({ sent: 3, waiting: 0, lost: { overflow: 7 } });
  });

  it('of a live stream costs a file nothing, and the file does not wait for it', async () => {
    const { url, requests } = await serve(ok);
    const { sink } = open(url, { maxSpoolBytes: 4 * bytes, clock: stoppedClock });
    for (let frame = 0; frame < 10; frame++) sink.publish(frameOf(frame), 'a.cam', false);
    for (let frame = 0; frame < 3; frame++) expect(sink.publish(frameOf(frame), 'a.mp4', true)).toBe(true);
    await expect(sink.close()).rejects.toMatchObject({ details: { lostResults: 6 } });
    const results = requests.flatMap(({ body }) => body.results.map(({ source, frame }) => `${source} ${frame}`));
    expect(results).toEqual([...['a.cam 6', 'a.cam 7', 'a.cam 8', 'a.cam 9'], ...['a.mp4 0', 'a.mp4 1', 'a.mp4 2']]);
  });
});

describe('a spool that cannot be read now', () => {
  /** A sink whose spool holds a result of an earlier run, which it finds and then cannot read while `isFailing`. */
  async function openUnreadable(url: string, spoolFolder: string) {
    const before = open(url, { spoolFolder, clock: stoppedClock });
    publish(before.sink, 0);
    await before.sink.close();
    const disk = { isFailing: true, reads: 0 };
    const files = {
      ...diskFiles,
      open: async (path: string, flags: string | number) => {
        if (path.endsWith('current.1.spool')) disk.reads += 1;
        // The first reading is that at the start, which counts the results.
        if (path.endsWith('current.1.spool') && disk.reads > 1 && disk.isFailing)
          throw Object.assign(new Error('too many'), { code: 'EMFILE' });
        return diskFiles.open(path, flags);
      },
    };
    const notices: string[] = [];
    let recoveries = 0;
    const onRecovery = (): void => {
      recoveries += 1;
    };
    const onNotice = (text: string): void => void notices.push(text);
    // The limits of file operations are waited for in slices of more than a second, the pauses between attempts take one.
    const clock = new HastyClock(1_200);
    const { sink, failures } = open(url, { spoolFolder, files, batchResults: 1, onRecovery, onNotice, clock });
    await expect.poll(() => disk.reads).toBeGreaterThan(3);
    return { sink, failures, disk, notices, recoveries: () => recoveries };
  }

  async function inFolder(run: (folder: string) => Promise<void>): Promise<void> {
    const folder = mkdtempSync(join(tmpdir(), 'sightline-webhook-'));
    try {
      await run(folder);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  it('says why, and is sent when it can be read again', () =>
    inFolder(async (folder) => {
      const { url, requests } = await serve(status(500), ok);
      const { sink, failures, disk, recoveries } = await openUnreadable(url, folder);
      expect(requests).toHaveLength(1);
      expect(failures.map(({ message }) => message)).toEqual([
        expect.stringMatching(/^sink hook: cannot read .*too many open files.*\(EMFILE\)$/),
      ]);
      expect(sink.figures).toMatchObject({
        problem: `${failures[0]!.message}; 1 result waits`,
        waiting: 1,
        lost: { damaged: 0 },
      });
      disk.isFailing = false;
      await expect.poll(() => sink.figures.sent).toBe(1);
      expect(framesOf(requests)).toEqual([[0], [0]]);
      expect(recoveries()).toBe(1);
      await sink.close();
    }));

  it('stays for the next start when the sink closes', () =>
    inFolder(async (folder) => {
      const { url, requests } = await serve(status(500), ok);
      const { sink, notices } = await openUnreadable(url, folder);
      await sink.close();
      expect(notices.at(-1)).toMatch(/1 result waits in .* for the next start$/);
      const next = open(url, { spoolFolder: folder, clock: new HastyClock(1_200) });
      await next.sink.close();
      expect(framesOf(requests)).toEqual([[0], [0]]);
    }));
});

describe('closing', () => {
  it('waits at most closeMs for a server that hangs, and counts all lost results', async () => {
    const { url } = await serve(hang);
    const { sink, failures } = open(url, { batchResults: 2, closeMs: 60, clock: realClock() });
    publish(sink, 0, 1, 2, 3, 4);
    await expect(sink.close()).rejects.toMatchObject({ details: { lostResults: 5 } });
    expect(failures.map(({ message }) => message)).toEqual([
      expect.stringMatching(/batch 1 could not be delivered: not delivered within 60 ms of closing/),
    ]);
  });

  it('ends the pause before a retry', async () => {
    const { url, requests } = await serve(status(500));
    const { sink } = open(url, { batchResults: 1, closeMs: 60, firstRetryMs: 30_000, clock: realClock() });
    publish(sink, 0);
    await expect.poll(() => requests.length).toBe(1);
    await expect(sink.close()).rejects.toMatchObject({ details: { lostResults: 1 } });
  });
});

describe('a signature', () => {
  it('is the HMAC-SHA256 of time and body, as openssl computes it', async () => {
    let raw = '';
    const { url, requests } = await serve((response, request) => {
      raw = (request as IncomingMessage & { raw: string }).raw;
      response.writeHead(204).end();
    });
    const { sink, failures } = open(url, { batchResults: 1, secret: 'a secret of 20 chars' });
    publish(sink, 0);
    await sink.close();
    const { headers } = requests[0]!;
    const signed = `${headers['sightline-timestamp'] as string}.${raw}`;
    const args = ['dgst', '-sha256', '-hmac', 'a secret of 20 chars', '-hex'];
    const digest = execFileSync('openssl', args, { input: signed }).toString().trim().split(' ').at(-1);
    expect(headers['sightline-signature']).toBe(`sha256=${digest}`);
    expect(Math.abs(Number(headers['sightline-timestamp']) - Date.now() / 1000)).toBeLessThan(60);
    expect(failures).toEqual([]);
  });
});

describe('credentials', () => {
  it('in the address are moved to a header, and no message shows them, the path or the query', async () => {
    const { url, requests } = await serve(status(403));
    const secret = `${url.replace('//', '//user:pa%20ss@')}/t0ken?key=k3y`;
    const { sink, failures } = open(secret, { batchResults: 1, maxAttempts: 1, headers: { 'x-token': 'h3ader' } });
    publish(sink, 0);
    await expect.poll(() => requests.length).toBe(1);
    const closing = sink.close();
    await expect(closing).rejects.toMatchObject({ code: 'SINK_FAILED' });
    const last = (await closing.catch((error: unknown) => error)) as SightlineError;
    expect(requests[0]!.path).toBe('/hook/t0ken?key=k3y');
    expect(requests[0]!.headers.authorization).toBe(`Basic ${Buffer.from('user:pa ss').toString('base64')}`);
    expect(requests[0]!.headers['x-token']).toBe('h3ader');
    const told = [last, ...failures].map((error) => JSON.stringify(error.toWire())).join();
    expect(told).toMatch(/127\.0\.0\.1/);
    expect(told).not.toMatch(/pa.{0,3}ss@|pa ss|t0ken|k3y|h3ader|user:/);
  });

  it('in an invalid address are not repeated', () => {
    expect(() => open('ftp://user:secret@host/')).toThrowError(
      expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.not.stringMatching(/secret/) }),
    );
  });
});

/** Real timers, for the two limits of a real connection. */
function realClock(): Clock {
  return {
    now: () => performance.now() as MonoMs,
    setTimer(run, delayMs) {
      const timer = setTimeout(run, delayMs);
      return () => clearTimeout(timer);
    },
  };
}
