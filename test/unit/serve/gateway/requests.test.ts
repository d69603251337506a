import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import type { RequestPort } from '../../../../src/serve/gateway/requests/request-port.ts';
import { ManualClock } from '../../../support/manual-clock.ts';
import { openGateway } from '../../../support/open-gateways.ts';
import { JPEG, RequestPortDouble } from '../../../support/request-port-double.ts';
import { RuntimeDouble } from '../../../support/runtime-double.ts';
import { waitFor } from '../../../support/wait-for.ts';

const MIB = 1024 * 1024;

async function open(settings: Partial<RequestPort['settings']> = {}, more = {}) {
  const port = new RequestPortDouble(settings);
  const { url, port: number } = await openGateway(new RuntimeDouble(), { requests: port, ...more });
  const send = (
    body: Buffer | string = JPEG,
    { type = 'image/jpeg', query = '', ...init }: RequestInit & { type?: string; query?: string } = {},
  ): Promise<Response> => {
    const headers = { 'content-type': type, ...(init.headers as object) };
    return fetch(`${url}/api/detect${query}`, { method: 'POST', body, ...init, headers });
  };
  /** The ledger as anybody sees it, in the order received, answered, failed, in flight, refused by reason. */
  const ledger = async () => {
    const text = await (await fetch(`${url}/metrics`)).text();
    const figures = new Map(
      [...text.matchAll(/^sightline_requests_(\S+) (\d+)$/gm)].map(([, name, value]) => [name!, Number(value)]),
    );
    const of = (name: string): number => figures.get(name)!;
    const refused: Record<string, number> = {};
    for (const [name, value] of figures) {
      const reason = /^refused_total\{reason="(.*)"\}$/.exec(name)?.[1];
      if (reason !== undefined && value > 0) refused[reason] = value;
    }
    const sum = Object.values(refused).reduce((a, b) => a + b, 0);
    const [received, answered, failed, inFlight] = [
      'received_total',
      'answered_total',
      'failed_total',
      'in_flight',
    ].map(of);
    expect(received, 'received = answered + failed + in flight + refused').toBe(answered! + failed! + inFlight! + sum);
    return { received, answered, failed, inFlight, refused };
  };
  return { port, url, number, send, ledger };
}

async function errorOf(reply: Response): Promise<{ status: number; code: string; message: string }> {
  const { error } = (await reply.json()) as { error: { code: string; message: string } };
  return { status: reply.status, code: error.code, message: error.message };
}

describe('POST /api/detect', () => {
  it('answers with the boxes of a picture and the version that found them', async () => {
    const { port, send, ledger } = await open();
    const reply = await send();
    expect(await reply.json()).toEqual({
      model: 'double',
      version: '1',
      width: 64,
      height: 48,
      cached: false,
      detections: [
        { classId: 0, label: 'person', score: 0.9, box: [1, 2, 3, 4] },
        { classId: 2, label: 'car', score: 0.5, box: [5.25, 6, 7, 8] },
      ],
    });
    expect(Buffer.from(port.asked[0]!.picture as Uint8Array).equals(JPEG)).toBe(true);
    expect(await ledger()).toEqual({ received: 1, answered: 1, failed: 0, inFlight: 0, refused: {} });
  });

  it('takes the version that it names, and says what is wrong with a picture', async () => {
    const { port, send } = await open();
    port.answer = async () => ({ warnings: ['cut off'], isCached: true });
    const reply = await send(JPEG, { query: '?version=2' });
    expect(await reply.json()).toMatchObject({ version: '2', warnings: ['cut off'], cached: true });
  });

  it.each([
    ['nothing', Buffer.alloc(0), 'received nothing'],
    ['text', Buffer.from('no picture'), 'received other bytes, 6e6f'],
    ['SVG, which may take hours to draw', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'), 'JPEG, PNG, WebP'],
    ['GIF', Buffer.from('GIF89a......'), 'JPEG, PNG, WebP'],
    ['RIFF that is no WebP', Buffer.from('RIFF1234WAVE'), 'JPEG, PNG, WebP'],
  ])('refuses %s', async (_, body, message) => {
    const { port, send, ledger } = await open();
    const error = await errorOf(await send(body));
    expect(error).toMatchObject({ status: 422, code: 'SOURCE_UNREADABLE', message: expect.stringContaining(message) });
    expect(port.asked).toEqual([]);
    expect((await ledger()).refused).toEqual({ invalid: 1 });
  });

  const odd: [string, Parameters<Awaited<ReturnType<typeof open>>['send']>[1] & object, number, string][] = [
    [
      'another type of body',
      { type: 'text/plain' },
      400,
      'expected image/jpeg, image/png, image/webp, application/octet-stream, received "text/plain"',
    ],
    ['JSON', { type: 'application/json', body: '{"a":1}' }, 400, 'received "application/json"'],
    [
      'a packed body',
      { headers: { 'content-encoding': 'gzip' } },
      400,
      'Content-Encoding: expected none, received "gzip"',
    ],
    ['an unknown key', { query: '?versoin=1' }, 400, 'versoin'],
    ['a deadline that is no number', { query: '?timeoutMs=soon' }, 400, 'timeoutMs'],
    ['a deadline in the past', { query: '?timeoutMs=-5' }, 400, 'timeoutMs'],
  ];
  it.each(odd)('refuses %s', async (_, { body = JPEG, ...init }, status, message) => {
    const { port, send, ledger } = await open();
    expect(await errorOf(await send(body as Buffer, init))).toMatchObject({
      status,
      message: expect.stringContaining(message),
    });
    expect(port.asked).toEqual([]);
    expect((await ledger()).refused).toEqual({ invalid: 1 });
  });

  it('refuses a body above the limit, and says which it is', async () => {
    const { send, ledger } = await open({ maxBodyMb: 1 });
    const reply = await send(Buffer.concat([JPEG, Buffer.alloc(MIB)]));
    const message = expect.stringContaining(`expected at most ${MIB} bytes`);
    expect(await errorOf(reply)).toMatchObject({ status: 413, message });
    expect((await ledger()).refused).toEqual({ size: 1 });
  });

  it('refuses what finds the queue full, and says when to try again', async () => {
    const { port, send, ledger } = await open({ queueSize: 2 });
    const free: (() => void)[] = [];
    port.answer = () => new Promise((resolve) => free.push(() => resolve({})));
    const first = [send(), send()];
    await waitFor('both to be taken', () => port.asked.length === 2);
    const third = await send();
    expect(third.headers.get('retry-after')).toBe('1');
    expect(await errorOf(third)).toMatchObject({ status: 429, code: 'LIMIT_REACHED' });
    expect(await ledger()).toMatchObject({ inFlight: 2, refused: { 'queue-full': 1 } });
    for (const answer of free) answer();
    expect((await Promise.all(first)).map(({ status }) => status)).toEqual([200, 200]);
    await waitFor('the room of the first', async () => (await ledger()).inFlight === 0);
    port.answer = async () => ({});
    expect((await send()).status).toBe(200);
  });

  it('holds no more bytes of bodies than eight of the longest', async () => {
    const { port, send, ledger } = await open({ maxBodyMb: 1 });
    port.hang();
    const body = Buffer.concat([JPEG, Buffer.alloc(MIB - JPEG.length)]);
    const stop = new AbortController();
    const first = Array.from({ length: 8 }, () => send(body, { signal: stop.signal }).catch(() => null));
    await waitFor('eight to be taken', () => port.asked.length === 8);
    expect((await send()).status).toBe(429);
    stop.abort();
    await Promise.all(first);
    await waitFor('all to be gone', async () => (await ledger()).inFlight === 0);
    expect((await ledger()).refused).toEqual({ 'queue-full': 1, 'hung-up': 8 });
  });

  it('ends a request at its deadline, and never later than the setting says', async () => {
    const clock = new ManualClock();
    const { port, send, ledger } = await open({ timeoutMs: 1000 }, { clock });
    port.hang();
    const replies = [send(JPEG, { query: '?timeoutMs=50' }), send(JPEG, { query: '?timeoutMs=99999' })];
    await waitFor('both to be taken', () => port.asked.length === 2);
    clock.advance(50);
    const first = await Promise.race(replies);
    expect(await errorOf(first)).toMatchObject({ status: 504, code: 'REQUEST_EXPIRED', message: /within 50 ms/ });
    expect(await ledger()).toMatchObject({ inFlight: 1, refused: { deadline: 1 } });
    clock.advance(950);
    expect(await errorOf((await Promise.all(replies))[1]!)).toMatchObject({ message: /within 1000 ms/ });
    expect(await ledger()).toMatchObject({ inFlight: 0, refused: { deadline: 2 } });
  });

  it.each([
    ['/api/detect?timeoutMs=50', 50],
    ['/api/detect', 1000],
    ['/v2/models/double/infer', 1000],
  ])('ends one whose body does not come, at its deadline: %s', async (path, afterMs) => {
    const clock = new ManualClock();
    const { port, number, send, ledger } = await open({ timeoutMs: 1000, queueSize: 1 }, { clock });
    const socket = connect(number, '127.0.0.1');
    let answer = '';
    socket.on('data', (text) => {
      answer += String(text);
    });
    const closed = new Promise((resolve) => socket.once('close', resolve));
    const head = [`POST ${path} HTTP/1.1`, 'Host: localhost', 'Content-Type: application/octet-stream'];
    socket.write([...head, 'Content-Length: 100', '', 'begins'].join('\r\n'));
    await waitFor('it to be taken', async () => (await ledger()).inFlight === 1);
    clock.advance(afterMs - 1);
    expect((await send()).status, 'its place is taken').toBe(429);
    clock.advance(1);
    await closed;
    expect(answer).toMatch(/^HTTP\/1.1 504 /);
    expect(answer).toContain(`the request had no result within ${afterMs} ms`);
    expect(await ledger()).toMatchObject({ inFlight: 0, refused: { deadline: 1, 'queue-full': 1 } });
    expect((await send()).status).toBe(200);
    expect(port.asked).toHaveLength(1);
  });

  it('stops the work when the client hangs up', async () => {
    const { port, send, ledger } = await open();
    port.hang();
    const stop = new AbortController();
    const sent = send(JPEG, { signal: stop.signal }).catch(() => null);
    await waitFor('it to be taken', () => port.asked.length === 1);
    stop.abort();
    await sent;
    await waitFor('the work to stop', () => port.asked[0]!.signal.aborted);
    await waitFor('the count', async () => (await ledger()).refused['hung-up'] === 1);
    expect(await ledger()).toMatchObject({ received: 1, inFlight: 0 });
  });

  it('counts a body that ends too early, and keeps nothing of it', async () => {
    const { port, number, ledger } = await open();
    const socket = connect(number, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(
      'POST /api/detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: 100\r\n\r\n',
    );
    socket.write(JPEG);
    await waitFor('its headers to be read', async () => (await ledger()).inFlight === 1);
    socket.destroy();
    await waitFor('it to be counted', async () => (await ledger()).inFlight === 0);
    expect(await ledger()).toMatchObject({ received: 1, answered: 0, failed: 0 });
    expect(port.asked).toEqual([]);
  });

  it('counts what fails inside as failed', async () => {
    const { port, send, ledger } = await open();
    port.answer = async () => {
      throw new Error('a bug');
    };
    expect((await send()).status).toBe(500);
    expect(await ledger()).toMatchObject({ received: 1, failed: 1, refused: {} });
  });

  it('is not there where no port is', async () => {
    const { url } = await openGateway(new RuntimeDouble());
    expect((await fetch(`${url}/api/detect`, { method: 'POST' })).status).toBe(404);
  });
});
