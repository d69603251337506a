import { connect, type Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { text as textOf } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { SightlineError } from '../../../../src/base/errors/sightline-error.ts';
import { answerClientError } from '../../../../src/serve/gateway/http-errors.ts';
import type { EventMessage } from '../../../../src/wire/protocol/feed.ts';
import type { HistoryReply } from '../../../../src/wire/protocol/rest.ts';
import { openGateway, openWholeGateway } from '../../../support/open-gateways.ts';
import { RolloutPortDouble } from '../../../support/rollout-port-double.ts';
import { RuntimeDouble } from '../../../support/runtime-double.ts';

interface Reply {
  readonly status: number;
  readonly body: { readonly error: { code: string; message: string; details: object } } & Record<string, unknown>;
}

async function ask(url: string, method = 'GET', body?: unknown): Promise<Reply> {
  const response = await fetch(url, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  });
  const text = await response.text();
  return { status: response.status, body: text === '' ? {} : JSON.parse(text) };
}

describe('REST', () => {
  it('lists streams with the host, and returns one', async () => {
    const port = new RuntimeDouble(['gate', 'yard']);
    const { url } = await openGateway(port);

    const all = await ask(`${url}/api/streams`);
    const one = await ask(`${url}/api/streams/yard`);

    expect(all.status).toBe(200);
    expect(all.body).toEqual(JSON.parse(JSON.stringify(port.report())));
    expect(one.body).toEqual({
      ...port.report().streams[1],
      settings: expect.objectContaining({ id: 'yard' }),
      etag: 'tag-0',
    });
  });

  it('adds, changes, pauses, resumes and removes a stream through the runtime port', async () => {
    const port = new RuntimeDouble();
    const { url } = await openGateway(port);

    const added = await fetch(`${url}/api/streams`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"id":"gate","source":"a.mp4"}',
    });
    const changed = await ask(`${url}/api/streams/gate`, 'PATCH', { priority: 2 });
    const paused = await ask(`${url}/api/streams/gate/pause`, 'POST');
    const resumed = await ask(`${url}/api/streams/gate/resume`, 'POST');
    const removed = await ask(`${url}/api/streams/gate`, 'DELETE');

    expect(added.status).toBe(201);
    expect(added.headers.get('location')).toBe('streams/gate');
    expect([changed.status, paused.status, resumed.status, removed.status]).toEqual([200, 200, 200, 204]);
    expect([changed.body.priority, paused.body.state, resumed.body.state]).toEqual([2, 'paused', 'running']);
    expect(port.calls).toEqual([
      'add gate a.mp4',
      'change gate {"priority":2}',
      'pause gate',
      'resume gate',
      'remove gate',
    ]);
  });

  it.each([
    ['GET', '/api/streams/nobody', undefined, 404, 'STREAM_NOT_FOUND'],
    ['POST', '/api/streams/nobody/pause', undefined, 404, 'STREAM_NOT_FOUND'],
    ['DELETE', '/api/streams/nobody', undefined, 404, 'STREAM_NOT_FOUND'],
    ['POST', '/api/streams', { id: 'gate', source: 'a.mp4' }, 409, 'STREAM_EXISTS'],
    ['POST', '/api/streams/still/pause', undefined, 409, 'STREAM_STATE'],
    ['POST', '/api/streams', { source: 'a.mp4' }, 400, 'CONFIG_INVALID'],
    ['POST', '/api/streams', [1], 400, 'CONFIG_INVALID'],
    ['PATCH', '/api/streams/gate', undefined, 400, 'CONFIG_INVALID'],
    ['GET', '/api/stream', undefined, 404, 'ROUTE_NOT_FOUND'],
    ['PUT', '/api/streams', { a: 1 }, 404, 'ROUTE_NOT_FOUND'],
    ['PUT', '/api/streams/gate', undefined, 400, 'CONFIG_INVALID'],
    ['PUT', '/api/streams/nobody', { a: 1 }, 404, 'STREAM_NOT_FOUND'],
  ])('%s %s with %j is %i %s', async (method, path, body, status, code) => {
    const port = new RuntimeDouble(['gate', 'still']);
    await port.pauseStream('still');
    const { url } = await openGateway(port);

    const reply = await ask(url + path, method, body);

    expect(reply.status).toBe(status);
    expect(reply.body.error).toMatchObject({ code, message: expect.any(String), details: expect.any(Object) });
  });

  it('suggests the nearest route for an unknown one', async () => {
    const { url } = await openGateway(new RuntimeDouble());
    const reply = await ask(`${url}/api/steams`);
    expect(reply.body.error.message).toContain('Did you mean GET /api/streams?');
  });

  it('answers what is no HTTP as every other mistake', async () => {
    const { port } = await openGateway(new RuntimeDouble());
    const socket = connect(port, '127.0.0.1');
    socket.write('GET / HTTP/1.1\r\nno header\r\n\r\n');
    const answer = await textOf(socket);
    expect(answer).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
    expect(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n')))).toMatchObject({ error: { code: 'PROTOCOL_INVALID' } });
  });

  it.each([
    ['a TLS handshake that does not come to its end', 'ERR_TLS_HANDSHAKE_TIMEOUT', 0],
    ['a connection that was cut', 'ECONNRESET', 0],
    ['what comes behind a request, whose reply may be under way', 'HPE_INVALID_METHOD', 5],
  ])('closes the connection of %s, without an answer', (_, code, bytesWritten) => {
    const socket = Object.assign(new PassThrough(), { bytesWritten });
    answerClientError(Object.assign(new Error('wrong'), { code }), socket as unknown as Socket);
    expect([socket.destroyed, socket.read()]).toEqual([true, null]);
  });

  it.each([
    ['POST', '/api/streams'],
    ['PATCH', '/api/streams/gate'],
    ['PUT', '/api/streams/gate'],
    ['POST', '/api/streams/gate/rules/try'],
    ['POST', '/api/streams/gate/pause'],
  ])('refuses a body of %s %s that is 40,000 levels deep, and closed or not', async (method, path) => {
    const { url } = await openGateway(new RuntimeDouble(['gate']));
    const headers = { 'content-type': 'application/json' };
    for (const [open, inner, end] of [
      ['{"a":', '1', '}'],
      ['[', '', ']'],
    ] as const) {
      const body = `{"zones":${open.repeat(40_000)}${inner}${end.repeat(40_000)}}`;
      const deep = await fetch(url + path, { method, headers, body });
      expect([deep.status, await deep.json()]).toMatchObject([
        400,
        {
          error: {
            code: 'PROTOCOL_INVALID',
            message: `${method} body: expected settings, received more than 64 lists and sections within each other`,
          },
        },
      ]);
      expect((await fetch(url + path, { method, headers, body: body.slice(0, 50_000) })).status).toBe(400);
    }
  });

  it('refuses a body that is not JSON with a JSON error', async () => {
    const { url } = await openGateway(new RuntimeDouble());
    const headers = { 'content-type': 'application/json' };
    const broken = await fetch(`${url}/api/streams`, { method: 'POST', headers, body: '{"id":' });
    const text = await fetch(`${url}/api/streams`, { method: 'POST', body: 'id=gate' });

    expect(broken.status).toBe(400);
    expect(text.status).toBe(415);
    for (const reply of [broken, text]) {
      expect(await reply.json()).toMatchObject({ error: { code: 'PROTOCOL_INVALID' } });
    }
  });

  it('answers an unexpected failure with 500 and writes the cause only to the log', async () => {
    const port = new RuntimeDouble(['gate']);
    port.pauseStream = async () => {
      throw new Error('secret inside');
    };
    const logged: object[] = [];
    const logger = { info() {}, warn() {}, error: (details: object) => logged.push(details) };
    const { url } = await openGateway(port, { logger });

    const reply = await ask(`${url}/api/streams/gate/pause`, 'POST');

    expect(reply.status).toBe(500);
    expect(reply.body.error.code).toBe('INTERNAL_ERROR');
    expect(JSON.stringify(reply.body)).not.toContain('secret inside');
    expect(logged).toHaveLength(1);
  });

  it('answers a retryable error with 503', async () => {
    const port = new RuntimeDouble(['gate']);
    port.resumeStream = async () => {
      throw new SightlineError('ENGINE_FAILED', 'engine: the inference thread ended.');
    };
    const { url } = await openGateway(port);
    expect((await ask(`${url}/api/streams/gate/resume`, 'POST')).status).toBe(503);
  });

  it('is always alive, and ready if the runtime is', async () => {
    const port = new RuntimeDouble();
    port.ready = { isReady: false, reason: 'the engine loads' };
    const { url } = await openGateway(port);

    const alive = await ask(`${url}/healthz`);
    const early = await ask(`${url}/readyz`);
    port.ready = { isReady: true, reason: 'all is well' };
    const late = await ask(`${url}/readyz`);

    expect(alive.status).toBe(200);
    expect([early.status, early.body.reason]).toEqual([503, 'the engine loads']);
    expect(late.status).toBe(200);
  });

  it('is degraded while a version of a roll-out cannot be loaded', async () => {
    const port = new RuntimeDouble(['gate']);
    port.ready = { isReady: true, reason: 'all is well' };
    const rollouts = new RolloutPortDouble();
    const { url } = await openGateway(port, { rollouts });
    expect((await ask(`${url}/readyz`)).body).toEqual({ status: 'ready', reason: 'all is well' });
    rollouts.trouble = 'host one cannot load people@2';
    const asked = await ask(`${url}/readyz`);
    expect([asked.status, asked.body]).toEqual([200, { status: 'degraded', reason: rollouts.trouble }]);
    port.ready = { isReady: false, reason: 'the engine loads' };
    expect((await ask(`${url}/readyz`)).status).toBe(503);
  });

  it('returns the configured pipelines and models, and the received events', async () => {
    const port = new RuntimeDouble(['gate']);
    const pipelines = [{ name: 'live', description: 'One camera.', path: 'pipelines/live.yaml' }];
    const models = [{ name: 'centernet', family: 'centernet', inputWidth: 512, inputHeight: 512, reportedAp: 0.3 }];
    const { url } = await openWholeGateway(port, { pipelines, models: async () => models });
    const event = { type: 'event', timeMs: 5, kind: 'engine-restarted', message: 'The engine is back.' } as const;
    port.emitEvent(event);

    expect((await ask(`${url}/api/pipelines`)).body).toEqual({ pipelines });
    expect((await ask(`${url}/api/models`)).body).toEqual({ models });
    expect((await ask(`${url}/api/events`)).body).toEqual({ events: [event] });
  });

  it('finds events by stream, kind, text and time, and says what is wrong with a search', async () => {
    const port = new RuntimeDouble(['gate', 'yard']);
    const { url } = await openWholeGateway(port);
    const at = Date.parse('2026-01-31T08:00:00Z');
    const emit = (timeMs: number, stream: string, kind: 'line-crossed' | 'target-missed'): void =>
      port.emitEvent({ type: 'event', timeMs, kind, stream, message: `${kind} at ${stream}` });
    emit(at - 1, 'gate', 'target-missed');
    emit(at, 'yard', 'target-missed');
    emit(at + 1, 'gate', 'line-crossed');
    const found = async (query: string): Promise<number[]> =>
      ((await ask(`${url}/api/events?${query}`)).body.events as EventMessage[]).map(({ timeMs }) => timeMs - at);
    expect(await found('stream=gate')).toEqual([-1, 1]);
    expect(await found('type=target-missed')).toEqual([-1, 0]);
    expect(await found('type=target-missed,line-crossed&limit=2')).toEqual([0, 1]);
    expect(await found('q=YARD')).toEqual([0]);
    expect(await found('since=2026-01-31T08:00:00Z')).toEqual([0, 1]);
    expect(await found(`since=${at + 1}&stream=yard`)).toEqual([]);
    for (const [query, fault] of [
      ['since=yesterday', 'since: expected a date and time'],
      ['type=target', 'target-missed'],
      ['limit=0', 'limit: expected'],
      ['limit=1001', 'limit: expected'],
      ['streams=gate', 'streams: unknown key; did you mean'],
      ['q=', 'q: expected'],
    ] as const) {
      const { status, body } = await ask(`${url}/api/events?${query}`);
      expect([query, status, JSON.stringify(body)]).toEqual([query, 400, expect.stringContaining(fault)]);
    }
  });

  it('returns what a stream did in the last hour', async () => {
    const port = new RuntimeDouble(['gate']);
    const { url } = await openWholeGateway(port);
    for (let i = 0; i < 60; i++) port.tick();
    const short = (await ask(`${url}/api/streams/gate/history?seconds=180`)).body as unknown as HistoryReply;
    expect([short.stepS, short.times.length, short.fpsPublished.at(-1)]).toEqual([1, 61, 24.2]);
    const hour = (await ask(`${url}/api/streams/gate/history`)).body as unknown as HistoryReply;
    expect([hour.stepS, hour.times.length]).toEqual([10, 6]);
    expect((await ask(`${url}/api/streams/gate/history?seconds=2678401`)).status).toBe(400);
    expect((await ask(`${url}/api/streams/nobody/history`)).body.error.code).toBe('STREAM_NOT_FOUND');
  });
});

describe('dashboard files', () => {
  it('serves the page, its modules and libraries with a policy that allows no foreign content', async () => {
    const { url } = await openGateway(new RuntimeDouble());
    for (const [path, type] of [
      ['/', 'text/html'],
      ['/app.js', 'javascript'],
      ['/style.css', 'text/css'],
      ['/vendor/uplot/uPlot.esm.js', 'javascript'],
      ['/vendor/lit/lit-html.js', 'javascript'],
      ['/vendor/lit/directives/repeat.js', 'javascript'],
      ['/lib/client/index.js', 'javascript'],
      ['/lib/wire/client/msgpack.js', 'javascript'],
      ['/lib/wire/protocol/result-record.js', 'javascript'],
      ['/vendor/uplot/uPlot.min.css', 'text/css'],
    ] as const) {
      const reply = await fetch(url + path);
      expect([path, reply.status]).toEqual([path, 200]);
      expect(reply.headers.get('content-type')).toContain(type);
      expect(reply.headers.get('content-security-policy')).toContain("default-src 'none'");
      expect(reply.headers.get('content-security-policy')).not.toContain('unsafe');
    }
  });

  it('serves nothing outside its folders', async () => {
    const { url } = await openGateway(new RuntimeDouble());
    for (const path of [
      '/..%2fpackage.json',
      '/vendor/uplot/..%2f..%2fpackage.json',
      '/lib/wire/client/..%2f..%2fserve/gateway/server.js',
      '/lib/serve/gateway/server.js',
      '/%2e%2e/package.json',
    ]) {
      expect((await fetch(url + path)).status).toBeGreaterThanOrEqual(400);
    }
  });
});

describe('recordings of a time', () => {
  const DAY = 'from=2026-05-04T00:00:00Z&to=2026-05-05T00:00:00Z';
  it.each([
    ['?from=2026-05-05T00:00:00Z&to=2026-05-04T00:00:00Z', 400, 'query: from: expected a time before "to".'],
    ['/playlist.m3u8?stream=nope', 400, /^query: from: expected a date and time such as .*, received nothing/],
    [`/playlist.m3u8?stream=nope&${DAY}`, 404, 'Nothing of stream "nope" is recorded; recorded are: none.'],
    [`/export.mp4?stream=nope&${DAY}`, 404, 'Nothing of stream "nope" is recorded; recorded are: none.'],
  ])('%s are refused with what was expected', async (query, status, message) => {
    const { url } = await openWholeGateway(new RuntimeDouble(['gate']));
    const refused = await ask(`${url}/api/recordings${query}`);
    expect(refused.status).toBe(status);
    expect(refused.body.error.message).toEqual(typeof message === 'string' ? message : expect.stringMatching(message));
  });
});
