import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { StreamConfig } from '../../src/settings/config/stream.ts';
import type { StreamReport } from '../../src/wire/protocol/report.ts';
import { temporaryFolder } from '../support/cli.ts';
import { cliHere } from '../support/cli-here.ts';
import { PipelineProcess } from '../support/pipeline-process.ts';
import { waitFor } from '../support/wait-for.ts';

const SOURCE = 'synthetic:testsrc2=size=64x64:rate=10';
const POLYGON = [
  [0, 0],
  [1, 0],
  [1, 1],
];
/** A stream with its settings, the list of streams, or the pipeline. */
interface Body {
  readonly settings: StreamConfig;
  readonly streams: readonly StreamReport[];
  readonly file: { readonly streams: readonly StreamConfig[] };
  readonly effective: { readonly streams: readonly StreamConfig[] };
  readonly overlay: { readonly problem: string | null; readonly notes: readonly string[]; readonly streams: object };
}
interface Reply {
  readonly status: number;
  readonly kept: string | null;
  readonly etag: string | null;
  readonly body: Body;
}

describe('changes of streams over REST', () => {
  let temporary: ReturnType<typeof temporaryFolder>;
  let env: NodeJS.ProcessEnv;
  const started: PipelineProcess[] = [];
  beforeEach(() => {
    temporary = temporaryFolder();
    env = { SIGHTLINE_CACHE_DIR: at('cache') };
    write([{ id: 'door', maxFps: 8 }, { id: 'gate' }]);
  });
  afterEach(async () => {
    for (const run of started.splice(0)) await run.kill();
    temporary.remove();
  });

  const at = (name: string): string => join(temporary.path, name);
  const write = (streams: readonly object[], rest: object = {}): void => {
    const model = { engine: 'fake', inputSize: '64x64', threads: 1, fake: { callMs: 1 } };
    const defaults = { policy: 'live', realtime: true };
    const all = streams.map((stream) => ({ source: SOURCE, ...stream }));
    writeFileSync(
      at('p.yaml'),
      JSON.stringify({ name: 'day', description: 'Cameras.', model, defaults, streams: all, ...rest }),
    );
  };
  const run = async (...flags: string[]): Promise<{ process: PipelineProcess; url: string }> => {
    const process = new PipelineProcess(at('p.yaml'), flags, env);
    started.push(process);
    return { process, url: await process.started() };
  };
  const send = async (
    url: string,
    method: string,
    body?: object,
    headers: Record<string, string> = {},
  ): Promise<Reply> => {
    const response = await fetch(url, {
      method,
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const [kept, etag] = ['sightline-overlay', 'etag'].map((name) => response.headers.get(name));
    return { status: response.status, kept: kept!, etag: etag!, body: text === '' ? null : JSON.parse(text) };
  };
  const streams = async (url: string): Promise<Record<string, string>> => {
    const { body } = await send(`${url}/api/streams`, 'GET');
    return Object.fromEntries(body.streams.map(({ id, state }: StreamReport) => [id, state]));
  };
  const settings = async (url: string, id: string): Promise<StreamConfig> =>
    (await send(`${url}/api/streams/${id}`, 'GET')).body.settings;
  const overlayFile = (): string => {
    const [name] = readdirSync(at('cache/overlays')).filter((file) => /^day-[0-9a-f]{8}\.json$/.test(file));
    return join(at('cache/overlays'), name!);
  };
  const changeAll = async (url: string): Promise<void> => {
    const zones = [{ id: 'lawn', polygon: POLYGON }];
    const changed = await send(`${url}/api/streams/door`, 'PATCH', { maxFps: 5, zones });
    const added = await send(`${url}/api/streams`, 'POST', { id: 'yard', source: SOURCE, every: 2 });
    const paused = await send(`${url}/api/streams/yard/pause`, 'POST');
    const removed = await send(`${url}/api/streams/gate`, 'DELETE');
    expect([changed, added, paused, removed].map(({ status }) => status)).toEqual([200, 201, 200, 204]);
    expect([changed, added, paused, removed].map(({ kept }) => kept)).toEqual(['kept', 'kept', 'kept', 'kept']);
  };

  it.each(['SIGTERM', 'SIGKILL'] as const)(
    'survive a restart after %s: added, changed, paused and removed',
    async (signal) => {
      const first = await run();
      await changeAll(first.url);
      await (signal === 'SIGTERM' ? first.process.stop() : first.process.kill());
      expect(statSync(overlayFile()).mode & 0o777).toBe(0o600);

      const { url } = await run();
      await waitFor('the streams', async () => (await streams(url)).door === 'running', { deadlineMs: 30_000 });
      expect(await streams(url)).toEqual({ door: 'running', yard: 'paused' });
      expect(await settings(url, 'door')).toMatchObject({ maxFps: 5, zones: [{ id: 'lawn', polygon: POLYGON }] });
      expect(await settings(url, 'yard')).toMatchObject({ every: 2 });
      const { body } = await send(`${url}/api/pipeline`, 'GET');
      expect(body.file.streams.map(({ id }: StreamConfig) => id)).toEqual(['door', 'gate']);
      expect(body.effective.streams.map(({ id }: StreamConfig) => id).sort()).toEqual(['door', 'yard']);
      expect(body).toMatchObject({ paused: ['yard'], overlay: { problem: null, notes: [] } });
      expect(Object.keys(body.overlay.streams).sort()).toEqual(['door', 'gate', 'yard']);
    },
  );

  it('that name a detector which the file no longer has are not used, and said', async () => {
    const night = { engine: 'fake', inputSize: '64x64', threads: 1, fake: { callMs: 1 } };
    const cameras = [{ id: 'door', maxFps: 8 }, { id: 'gate' }];
    write(cameras, { models: { night } });
    const first = await run();
    expect((await send(`${first.url}/api/streams/door`, 'PATCH', { model: 'night', maxFps: 5 })).status).toBe(200);
    await first.process.stop();
    write(cameras, { models: { evening: night } });
    const { url } = await run();
    const { body } = await send(`${url}/api/pipeline`, 'GET');
    const why = 'model: expected a name of the section models: evening; received "night"';
    expect(body.overlay).toMatchObject({
      notes: [`the overlay of stream "door" does not fit the pipeline file: ${why}; the settings of the file are used`],
    });
    await waitFor('the stream', async () => (await streams(url)).door === 'running', { deadlineMs: 30_000 });
    expect(await settings(url, 'door')).toMatchObject({ maxFps: 8 });
    expect((await send(`${url}/api/streams/door`, 'PATCH', { model: 'evening' })).status).toBe(200);
  });

  it('that name a second stage which the file no longer has are not used, and said', async () => {
    const model = { engine: 'fake', inputSize: '64x64', threads: 1, fake: { callMs: 1 } };
    const cameras = [{ id: 'door', maxFps: 8 }, { id: 'gate' }];
    const withStage = (name: string): void => write(cameras, { stages: [{ name, model }] });
    withStage('look');
    const first = await run();
    expect((await send(`${first.url}/api/streams/door`, 'PATCH', { stages: ['look'] })).status).toBe(200);
    const yard = { id: 'yard', source: SOURCE, stages: ['look'] };
    expect((await send(`${first.url}/api/streams`, 'POST', yard)).status).toBe(201);
    await first.process.stop();
    withStage('other');
    const { url, process } = await run();
    const why = (id: string): string =>
      `the overlay of stream "${id}" does not fit the pipeline file: stream "${id}": stages: expected names of the section stages: other; received "look"`;
    const expected = [`${why('door')}; the settings of the file are used`, `${why('yard')}; it does not run`];
    const notes = async (): Promise<unknown> => (await send(`${url}/api/pipeline`, 'GET')).body.overlay.notes;
    expect(await notes()).toEqual(expected);
    await waitFor('the stream', async () => (await streams(url)).door === 'running', { deadlineMs: 30_000 });
    // A stream that only the overlay has is seen.
    expect(await streams(url)).toMatchObject({ yard: 'failed' });
    const reloadWith = async (name: string, yard: string, door: readonly string[] | undefined): Promise<void> => {
      withStage(name);
      process.signal('SIGHUP');
      const isThere = async (): Promise<boolean> =>
        (await streams(url)).yard === yard && isDeepStrictEqual((await settings(url, 'door')).stages, door);
      await waitFor(`yard to be ${yard}`, isThere, { deadlineMs: 30_000 }, () => process.log);
    };
    // What is changed is used again with the second stage, and ends with it.
    await reloadWith('look', 'running', ['look']);
    expect(await notes()).toEqual([]);
    await reloadWith('other', 'failed', undefined);
    expect(await notes()).toEqual(expected);
    expect((await send(`${url}/api/streams/yard`, 'DELETE')).status).toBe(204);
    expect(await notes()).toEqual(expected.slice(0, 1));
  });

  it('are left alone by --no-overlay, which keeps nothing', async () => {
    const first = await run();
    await changeAll(first.url);
    await first.process.stop();
    const before = readFileSync(overlayFile(), 'utf8');
    const { process, url } = await run('--no-overlay');
    expect(Object.keys(await streams(url)).sort()).toEqual(['door', 'gate']);
    expect((await send(`${url}/api/streams/gate`, 'PATCH', { priority: 1 })).kept).toBe('not-kept');
    await process.stop();
    expect(readFileSync(overlayFile(), 'utf8')).toBe(before);
  });

  it('are shown, exported and reset by the command', async () => {
    const { process, url } = await run();
    await changeAll(url);
    const diff = await cliHere(['pipeline', 'diff', at('p.yaml'), '--json'], env);
    expect(JSON.parse(diff.stdout).streams).toMatchObject({
      door: { changed: { maxFps: { file: 8, now: 5 } } },
      gate: { isRemoved: true },
      yard: { added: { source: SOURCE, every: 2 }, isPaused: true },
    });
    const { stdout } = await cliHere(['pipeline', 'export', at('p.yaml')], env);
    writeFileSync(at('new.yaml'), stdout);
    const check = await cliHere(['validate', at('new.yaml'), '--json'], env);
    expect(JSON.parse(check.stdout).opens.streams.map(({ id }: StreamConfig) => id)).toEqual(['door', 'yard']);

    const busy = await cliHere(['pipeline', 'reset', at('p.yaml')], env);
    expect([busy.code, busy.stderr]).toEqual([1, expect.stringMatching(/add --url.*\[SINK_BUSY\]/)]);
    expect((await cliHere(['pipeline', 'reset', '--url', url, 'door'], env)).code).toBe(0);
    expect((await settings(url, 'door')).maxFps).toBe(8);
    expect(Object.keys(await streams(url)).sort()).toEqual(['door', 'yard']);
    await process.stop();
    expect((await cliHere(['pipeline', 'reset', at('p.yaml')], env)).code).toBe(0);
    expect((await cliHere(['pipeline', 'diff', at('p.yaml')], env)).stdout).toMatch(/Nothing was changed/);
    const again = await run();
    expect(Object.keys(await streams(again.url)).sort()).toEqual(['door', 'gate']);
  });

  it('that were damaged on the disk are kept aside, and the pipeline runs as its file says', async () => {
    const first = await run();
    await changeAll(first.url);
    await first.process.kill();
    const text = readFileSync(overlayFile(), 'utf8');
    writeFileSync(overlayFile(), text.slice(0, text.length / 2));
    const { process, url } = await run();
    expect(process.log).toMatch(/warning: overlay .*damaged; it is kept as .*\.damaged-/);
    expect(Object.keys(await streams(url)).sort()).toEqual(['door', 'gate']);
    expect((await send(`${url}/api/streams/door`, 'PATCH', { maxFps: 3 })).kept).toBe('kept');
    const aside = readdirSync(at('cache/overlays')).filter((name) => name.includes('.damaged-'));
    expect(aside).toHaveLength(1);
  });

  it('take effect on a disk that cannot be written, and say that they will not survive', async () => {
    const { process, url } = await run();
    rmSync(at('cache/overlays'), { recursive: true, force: true });
    // Not even root can make a folder where a file is.
    writeFileSync(at('cache/overlays'), '');
    const changed = await send(`${url}/api/streams/door`, 'PATCH', { maxFps: 3 });
    expect(changed).toMatchObject({ status: 200, kept: 'not-kept', body: { settings: { maxFps: 3 } } });
    await waitFor('the warning', () =>
      /warning: .*cannot be written: .*they will be lost at a restart/.test(process.log),
    );
    expect((await send(`${url}/api/pipeline`, 'GET')).body.overlay.problem).toMatch(/cannot be written/);
    rmSync(at('cache/overlays'));
    expect((await send(`${url}/api/streams/gate`, 'PATCH', { maxFps: 2 })).kept).toBe('kept');
    await process.kill();
    const again = await run();
    expect([(await settings(again.url, 'door')).maxFps, (await settings(again.url, 'gate')).maxFps]).toEqual([3, 2]);
  });

  it('in a second process of the pipeline are made and not kept', async () => {
    const first = await run();
    await changeAll(first.url);
    const second = await run();
    expect(Object.keys(await streams(second.url)).sort()).toEqual(['door', 'yard']);
    expect(second.process.log).toMatch(/runs the same pipeline file and keeps .*end with this process/);
    expect((await send(`${second.url}/api/streams/door`, 'PATCH', { maxFps: 1 })).kept).toBe('not-kept');
    expect((await settings(first.url, 'door')).maxFps).toBe(5);
    await second.process.stop();
    expect((await send(`${first.url}/api/streams/door`, 'PATCH', { maxFps: 4 })).kept).toBe('kept');
  });

  it('can be read, modified and written back under an ETag; a stale one is refused', async () => {
    const { url } = await run();
    const door = `${url}/api/streams/door`;
    const zones = [{ id: 'lawn', polygon: POLYGON }];
    await send(door, 'PATCH', { zones });
    const { body, etag } = await send(door, 'GET');
    const { maxFps: _, ...rest } = body.settings;
    const written = await send(door, 'PUT', { ...rest, priority: 2 }, { 'if-match': etag! });
    expect(written).toMatchObject({ status: 200, body: { settings: { priority: 2, zones: [{ id: 'lawn' }] } } });
    expect(written.body.settings).not.toHaveProperty('maxFps');
    for (const [method, change] of [
      ['PATCH', { priority: 9 }],
      ['PUT', rest],
      ['DELETE', undefined],
    ] as const)
      expect((await send(door, method, change, { 'if-match': etag! })).status).toBe(412);
    expect((await settings(url, 'door')).priority).toBe(2);
  });

  it('stay over a file that a service reads again on SIGHUP; what the file changes else follows', async () => {
    const { process, url } = await run();
    await changeAll(url);
    write([{ id: 'door', maxFps: 9, priority: 3 }, { id: 'gate' }, { id: 'new' }], { preview: { fps: 2 } });
    process.signal('SIGHUP');
    await waitFor(
      'the reload',
      () => /read again/.test(process.log),
      { deadlineMs: 30_000 },
      () => process.log,
    );
    expect(process.log).toMatch(/streams: 1 added \(new\), 1 changed \(door\); only a restart applies preview/);
    expect(Object.keys(await streams(url)).sort()).toEqual(['door', 'new', 'yard']);
    expect(await settings(url, 'door')).toMatchObject({ maxFps: 5, priority: 3 });

    writeFileSync(at('p.yaml'), 'name: day\nstreams: [\n');
    process.signal('SIGHUP');
    await waitFor(
      'the refusal',
      () => /not valid YAML.*the previous settings stay in use/.test(process.log),
      {},
      () => process.log,
    );
    write([{ id: 'door', maxFps: 9, colour: 'red' }]);
    process.signal('SIGHUP');
    await waitFor(
      'the refusal',
      () => /streams\[0\]\.colour: unknown key/.test(process.log),
      {},
      () => process.log,
    );
    expect(Object.keys(await streams(url)).sort()).toEqual(['door', 'new', 'yard']);

    write([{ id: 'gate' }]);
    process.signal('SIGHUP');
    await waitFor('the last reload', async () => Object.keys(await streams(url)).join() === 'yard', {
      deadlineMs: 30_000,
    });
    expect((await process.stop()).code).toBe(0);
  });

  it('of a file whose new source cannot be opened leave the stream as it was', async () => {
    const { process, url } = await run();
    await waitFor('the streams', async () => (await streams(url)).door === 'running', { deadlineMs: 30_000 });
    write([
      { id: 'door', maxFps: 8, source: at('none.mp4') },
      { id: 'gate', maxFps: 4 },
    ]);
    process.signal('SIGHUP');
    await waitFor(
      'the reload',
      () => /read again/.test(process.log),
      { deadlineMs: 30_000 },
      () => process.log,
    );
    expect(process.log).toMatch(/1 changed \(gate\); door could not follow: .*none\.mp4: no such file/);
    expect(await settings(url, 'door')).toMatchObject({ source: SOURCE, maxFps: 8 });
    expect((await settings(url, 'gate')).maxFps).toBe(4);
  });
});

describe('sightline validate', () => {
  it('and run --dry-run give the same check, with exit codes 0 and 2, and start nothing', async () => {
    const temporary = temporaryFolder();
    const env = { SIGHTLINE_CACHE_DIR: join(temporary.path, 'cache') };
    const [good, bad] = ['good.yaml', 'bad.yaml'].map((name) => join(temporary.path, name));
    const model = { engine: 'fake' };
    writeFileSync(
      good!,
      JSON.stringify({ name: 'a', description: 'b', model, streams: [{ id: 'a', source: 'demo' }] }),
    );
    writeFileSync(bad!, JSON.stringify({ streams: [{ id: 'a', source: 'demo', every: 0 }], sinks: [{}] }));
    for (const args of [['validate'], ['run', '--dry-run']]) {
      const fine = await cliHere([...args, good!, '--json'], env);
      expect([fine.code, JSON.parse(fine.stdout)]).toEqual([0, expect.objectContaining({ isValid: true })]);
      const wrong = await cliHere([...args, bad!, '--json'], env);
      expect(wrong.code).toBe(2);
      expect(JSON.parse(wrong.stdout).mistakes).toEqual([
        expect.stringMatching(/^name: /),
        expect.stringMatching(/^streams\[0\]\.every: /),
        expect.stringMatching(/^sinks\[0\]/),
      ]);
      expect((await cliHere([...args, bad!], env)).stderr).toMatch(/mistake: name: .*\nmistake: streams\[0\].*\n/);
    }
    expect(readdirSync(temporary.path).sort()).toEqual(['bad.yaml', 'good.yaml']);
    temporary.remove();
  });
});
