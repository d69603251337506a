import { describe, expect, it } from 'vitest';
import { openGateway } from '../../../support/open-gateways.ts';
import { RuntimeDouble } from '../../../support/runtime-double.ts';

const SECRET = 'hunter2';

async function send(url: string, method: string, body?: object, headers: Record<string, string> = {}) {
  const response = await fetch(url, {
    method,
    headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, body: text === '' ? null : JSON.parse(text) };
}

describe('read, modify, write of a stream', () => {
  const rig = async () => {
    const port = new RuntimeDouble();
    const { url } = await openGateway(port);
    await send(`${url}/api/streams`, 'POST', { id: 'gate', source: `rtsp://bob:${SECRET}@camera.example/1` });
    port.settings.set('gate', {
      maxFps: 7,
      zones: [
        {
          id: 'yard',
          polygon: [
            [0, 0],
            [1, 0],
            [1, 1],
          ],
        },
      ],
    });
    return { port, url: `${url}/api/streams/gate` };
  };

  it('GET has all settings, those of polygons included, without the password', async () => {
    const { url } = await rig();
    const { body } = await send(url, 'GET');
    expect(body.settings).toMatchObject({
      id: 'gate',
      maxFps: 7,
      every: 1,
      source: 'rtsp://***@camera.example/1',
      zones: [
        {
          id: 'yard',
          polygon: [
            [0, 0],
            [1, 0],
            [1, 1],
          ],
          anchor: 'bottom-center',
        },
      ],
    });
    expect(JSON.stringify(body.settings)).not.toContain(SECRET);
  });

  it('the tag of GET lets a change through once; the next one with it is refused, and changes nothing', async () => {
    const { port, url } = await rig();
    const tag = (await send(url, 'GET')).headers.get('etag')!;
    expect(tag).toMatch(/^"[^"]+"$/);
    const first = await send(url, 'PATCH', { priority: 2 }, { 'if-match': tag });
    expect(first.status).toBe(200);
    expect(first.headers.get('etag')).not.toBe(tag);
    const calls = [...port.calls];
    for (const [method, body] of [
      ['PATCH', { priority: 3 }],
      ['PUT', { source: 'demo' }],
      ['DELETE', undefined],
    ] as const) {
      const stale = await send(url, method, body, { 'if-match': tag });
      expect(stale.status, method).toBe(412);
      expect(stale.body.error).toMatchObject({ code: 'STREAM_CHANGED', details: { stream: 'gate' } });
    }
    expect(port.calls).toEqual(calls);
    const second = await send(url, 'PUT', { source: 'demo' }, { 'if-match': `"other", ${first.headers.get('etag')}` });
    expect(second.status).toBe(200);
    expect(port.calls.at(-1)).toBe('change gate to {"source":"demo"}');
  });

  it('without If-Match, or with *, a change is always made; a weak tag never matches', async () => {
    const { url } = await rig();
    const tag = (await send(url, 'GET')).headers.get('etag')!;
    expect((await send(url, 'PATCH', { priority: 1 }, { 'if-match': `W/${tag}` })).status).toBe(412);
    expect((await send(url, 'PATCH', { priority: 1 })).status).toBe(200);
    expect((await send(url, 'DELETE', undefined, { 'if-match': '*' })).status).toBe(204);
  });

  it('each change says whether it survives a restart', async () => {
    const { port, url } = await rig();
    expect((await send(url, 'PATCH', { priority: 1 })).headers.get('sightline-overlay')).toBe('kept');
    port.unkept = 'the disk is full';
    expect((await send(`${url}/pause`, 'POST')).headers.get('sightline-overlay')).toBe('not-kept');
    expect((await send(url, 'DELETE')).headers.get('sightline-overlay')).toBe('not-kept');
  });
});

describe('/api/pipeline', () => {
  it('shows file, overlay and effective settings, and no secret', async () => {
    const port = new RuntimeDouble();
    const { url } = await openGateway(port);
    await send(`${url}/api/streams`, 'POST', { id: 'gate', source: `rtsp://bob:${SECRET}@camera.example/1` });
    const { status, body, text } = await send(`${url}/api/pipeline`, 'GET');
    expect(status).toBe(200);
    expect(Object.keys(body).sort()).toEqual(
      ['effective', 'file', 'keepingProblem', 'name', 'needsRestart', 'overlay', 'path', 'paused'].sort(),
    );
    expect(body.keepingProblem).toBeNull();
    port.unkept = 'the disk is full';
    expect((await send(`${url}/api/pipeline`, 'GET')).body.keepingProblem).toBe('the disk is full');
    expect(body.file.sinks).toEqual([{ type: 'webhook', url: 'https://***@hooks.example', secret: '***' }]);
    expect(text).not.toContain(SECRET);
    expect(text).not.toContain('a-secret-of-a-webhook');
  });

  it('hides the values of a changed source, and what was added', async () => {
    const port = new RuntimeDouble();
    const source = `rtsp://bob:${SECRET}@camera.example/1`;
    const streams = { a: { changed: { source: { file: source, now: `${source}2` } } }, b: { added: { source } } };
    const pipeline = port.pipeline();
    port.pipeline = () => ({ ...pipeline, overlay: { path: '/o.json', streams, notes: [], problem: null } });
    const { url } = await openGateway(port);
    const { body, text } = await send(`${url}/api/pipeline`, 'GET');
    expect(text).not.toContain(SECRET);
    expect(body.overlay.streams.a.changed.source).toEqual({
      file: 'rtsp://***@camera.example/1',
      now: 'rtsp://***@camera.example/12',
    });
  });

  it('resets all streams or some, and refuses what it does not know', async () => {
    const port = new RuntimeDouble(['gate']);
    const { url } = await openGateway(port);
    expect((await send(`${url}/api/pipeline/reset`, 'POST')).status).toBe(200);
    expect((await send(`${url}/api/pipeline/reset`, 'POST', { streams: ['gate'] })).status).toBe(200);
    expect(port.calls).toEqual(['reset all', 'reset gate']);
    expect((await send(`${url}/api/pipeline/reset`, 'POST', { stream: 'gate' })).status).toBe(400);
  });

  it('has nothing to reset in a fleet', async () => {
    const port: RuntimeDouble = new RuntimeDouble(['gate']);
    Object.defineProperty(port, 'resetStreams', { value: undefined });
    const { url } = await openGateway(port);
    expect((await send(`${url}/api/pipeline/reset`, 'POST')).body.error.code).toBe('ROUTE_NOT_FOUND');
  });
});
