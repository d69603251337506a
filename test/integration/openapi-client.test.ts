import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { generate } from 'openapi-typescript-codegen';
import { afterAll, describe, expect, it } from 'vitest';
import { ROUTE_ACCESS } from '../../src/serve/gateway/access/route-access.ts';
import { openGateway } from '../support/open-gateways.ts';
import { JPEG, RequestPortDouble } from '../support/request-port-double.ts';
import { RuntimeDouble } from '../support/runtime-double.ts';

interface Operation {
  readonly summary: string;
  readonly 'x-role': string;
  readonly parameters?: readonly { readonly name: string }[];
}

interface Document {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

async function open() {
  const { url } = await openGateway(new RuntimeDouble(['door']), { requests: new RequestPortDouble() });
  return { url, document: (await (await fetch(`${url}/api/openapi.json`)).json()) as Document };
}

describe('the OpenAPI document', () => {
  it('describes every route of REST with a sentence, its role and its parameters', async () => {
    const { document } = await open();
    expect(document.openapi).toBe('3.1.0');
    const described = new Map<string, Operation>(
      Object.entries(document.paths).flatMap(([path, methods]) =>
        Object.entries(methods).map(([method, operation]) => [`${method.toUpperCase()} ${path}`, operation] as const),
      ),
    );
    const pages = /^\S+ \/(ws|base\.css|sign-in|sign-out)$/;
    for (const [route, role] of Object.entries(ROUTE_ACCESS)) {
      if (pages.test(route)) continue;
      const operation = described.get(route.replaceAll(/:(\w+)/g, '{$1}'));
      expect([route, operation?.summary, operation?.['x-role']]).toEqual([
        route,
        expect.stringMatching(/^[A-Z].*\.$/),
        role,
      ]);
      const names = (operation?.parameters ?? []).map(({ name }) => name);
      for (const [, name] of route.matchAll(/:(\w+)/g))
        expect([route, names]).toEqual([route, expect.arrayContaining([name])]);
    }
    expect([...described.keys()].filter((route) => route.startsWith('GET /lib') || route === 'GET /')).toEqual([]);
    const { parameters = [] } = described.get('GET /api/events')!;
    expect(parameters.map(({ name }) => name)).toContain('cursor');
  });

  it('names the media type of each reply that is no JSON, and the failures of KServe as they are', async () => {
    const { document } = await open();
    const replyOf = (path: string, status: string, method = 'get'): object => {
      const { responses } = document.paths[path]![method] as unknown as {
        responses: Record<string, { content: Record<string, { schema: { properties?: Record<string, object> } }> }>;
      };
      return responses[status]!.content;
    };
    const types: Record<string, string[]> = {
      '/metrics': ['text/plain'],
      '/api/events': ['application/json', 'text/csv'],
      '/api/counts': ['application/json', 'text/csv'],
      '/api/streams/{id}/snapshot.jpg': ['image/jpeg'],
      '/api/streams/{id}/mjpeg': ['multipart/x-mixed-replace'],
      '/api/streams/{id}/live.mp4': ['video/mp4'],
      '/api/streams/{id}/live.m3u8': ['application/vnd.apple.mpegurl'],
      '/api/recordings/export.mp4': ['video/mp4'],
      '/api/events/{id}/clip.mp4': ['video/mp4'],
      '/api/events/{id}/snapshot.jpg': ['image/jpeg'],
      '/api/events/{id}/picture.jpg': ['image/jpeg'],
      '/api/events/{id}/clip.json': ['application/json'],
    };
    for (const [path, expected] of Object.entries(types))
      expect([path, Object.keys(replyOf(path, '200'))]).toEqual([path, expected]);
    const infer = '/v2/models/{model}/infer';
    expect(Object.keys(replyOf(infer, '200', 'post'))).toEqual(['application/json', 'application/octet-stream']);
    const isFailure = { 'application/json': { schema: { $ref: '#/components/schemas/KserveError' } } };
    expect(replyOf(infer, '4XX', 'post')).toMatchObject(isFailure);
    for (const path of Object.keys(document.paths).filter((each) => each.startsWith('/v2') && !each.endsWith('/infer')))
      expect([path, replyOf(path, '4XX')]).toMatchObject([path, isFailure]);
  });
});

describe('its schemas', () => {
  it('have names, each once, and the answers of the history are among them', async () => {
    const { url } = await open();
    const document = (await (await fetch(`${url}/api/openapi.json`)).json()) as Document & {
      readonly servers: readonly { readonly url: string }[];
      readonly components: { readonly schemas: Readonly<Record<string, object>> };
    };
    expect(document.servers).toEqual([{ url }]);
    for (const [path, name] of Object.entries({
      '/api/events': 'EventsReply',
      '/api/counts': 'CountsReply',
      '/api/seen': 'SeenReply',
      '/api/occupancy': 'OccupancyReply',
      '/api/heat': 'HeatReply',
      '/api/similar': 'SimilarReply',
      '/api/streams/{id}/history': 'HistoryReply',
      '/readyz': 'ReadyReply',
    })) {
      expect(JSON.stringify(document.paths[path]!.get)).toContain(`{"$ref":"#/components/schemas/${name}"}`);
      expect(document.components.schemas[name]).toMatchObject({ type: 'object', properties: expect.any(Object) });
    }
    const text = JSON.stringify(document);
    const names = new Set(Array.from(text.matchAll(/"#\/components\/schemas\/(\w+)"/g), ([, name]) => name!));
    expect([...names].toSorted()).toEqual(Object.keys(document.components.schemas).toSorted());
    // Operations hold their parameters and references, not copies of what has a name.
    for (const [path, methods] of Object.entries(document.paths))
      for (const operation of Object.values(methods))
        expect([path, JSON.stringify(operation).length < 5000]).toEqual([path, true]);
    expect(text).not.toMatch(/x-name|prefixItems/);
  });
});

describe('a client generated from it', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sightline-openapi-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  it('sends pictures and reads streams, with types that refuse what the gateway does not have', async () => {
    const { url, document } = await open();
    await generate({ input: document, output: folder, httpClient: 'fetch', indent: '2' as never });
    writeFileSync(
      join(folder, 'use.ts'),
      `
      import { DefaultService } from './index';
      const found = await DefaultService.postDetect(new Blob(), '2', 500);
      const label: string = found.detections[0]!.label;
      const stream = await DefaultService.getStreamsById('door');
      const fps: number = stream.fps.in;
      const { events } = await DefaultService.getEvents();
      const zone: string | undefined = events[0]?.rule?.zone;
      const [row] = (await DefaultService.getCounts()).counts;
      const count: number | undefined = row?.count;
      const { occupancy } = await DefaultService.getOccupancy();
      const most: number | undefined = occupancy[0]?.max;
      const { seen } = await DefaultService.getSeen();
      const watched: number | null | undefined = seen[0]?.watchedS;
      // @ts-expect-error no such key
      row?.counted;
      // @ts-expect-error no such key
      found.boxes;
      // @ts-expect-error no such path
      DefaultService.getCameras;
      // @ts-expect-error the id is text
      DefaultService.getStreamsById(7);
      export { label, fps, zone, count, most, watched };
      `,
    );
    const flags =
      '--noEmit --strict --skipLibCheck --target esnext --module esnext --moduleResolution bundler --ignoreConfig';
    const tsc = resolve('node_modules/typescript/bin/tsc');
    const checked = await promisify(execFile)(process.execPath, [
      tsc,
      ...flags.split(' '),
      join(folder, 'use.ts'),
    ]).catch((error: { stdout: string }) => error);
    expect(checked.stdout).toBe('');
    const { DefaultService, OpenAPI } = await import(/* @vite-ignore */ join(folder, 'index.ts'));
    OpenAPI.BASE = url;
    const picture = new Blob([JPEG], { type: 'image/jpeg' });
    expect(await DefaultService.postDetect(picture, '2')).toMatchObject({ version: '2', width: 64 });
    expect(await DefaultService.getStreamsById('door')).toMatchObject({ id: 'door', settings: {} });
    await expect(DefaultService.getStreamsById('yard')).rejects.toMatchObject({
      body: { error: { code: 'STREAM_NOT_FOUND' } },
    });
  }, 120_000);
});
