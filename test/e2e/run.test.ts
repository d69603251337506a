import type { ChildProcess } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { ServerMessage } from '../../src/wire/protocol/feed.ts';
import type { StreamReport } from '../../src/wire/protocol/report.ts';
import { type CliResult, ended, startCli, temporaryFolder } from '../support/cli.ts';
import { VideoFolder } from '../support/made-videos.ts';
import { ffmpegWith } from '../support/processes.ts';

/** One box in the middle of the model's input, found in every frame. */
const PIPELINE = (clip: string): string => `
name: test
description: Two paced clips and the fake engine.
model: { engine: fake, fake: { callMs: 2, rows: [128, 128, 256, 256, 0.9, 0] } }
defaults: { loop: true, realtime: true, track: true }
streams:
  - { id: left, source: "${clip}" }
  - { id: right, source: "${clip}" }
`;

describe('sightline run, with real ffmpeg and the fake engine', () => {
  const temporary = temporaryFolder();
  const videos = new VideoFolder();
  let child: ChildProcess;
  let result: Promise<CliResult>;
  let url: string;

  beforeAll(async () => {
    const clip = await videos.make('clip.mp4', { frames: 50 });
    const path = join(temporary.path, 'pipeline.yaml');
    writeFileSync(path, PIPELINE(clip));
    child = startCli(['run', path, '--port', '0']);
    result = ended(child);
    url = await new Promise((resolve, reject) => {
      let log = '';
      child.stderr!.on('data', (chunk: Buffer) => {
        log += chunk.toString();
        const found = /live at (http:\S+)/.exec(log)?.[1];
        if (found !== undefined) resolve(found);
      });
      child.once('close', () => reject(new Error(log)));
    });
  });

  afterAll(() => {
    child.kill('SIGKILL');
    temporary.remove();
    videos.remove();
  });

  const api = async (method: string, path: string, body?: object): Promise<{ status: number; body: unknown }> => {
    const response = await fetch(`${url}/api${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    });
    const text = await response.text();
    return { status: response.status, body: text === '' ? null : JSON.parse(text) };
  };

  /** Polls until the stream's report meets the condition. */
  const until = async (id: string, isWanted: (report: StreamReport) => boolean): Promise<StreamReport> => {
    for (const deadline = Date.now() + 20_000; Date.now() < deadline; ) {
      const { body, status } = await api('GET', `/streams/${id}`);
      if (status === 200 && isWanted(body as StreamReport)) return body as StreamReport;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    throw new Error(
      `stream ${id} never became as wanted: ${JSON.stringify((await api('GET', `/streams/${id}`)).body)}`,
    );
  };

  it('is ready, publishes, and reports it in the metrics', async () => {
    await until('left', ({ frames }) => frames.published > 20);
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    expect(await (await fetch(`${url}/metrics`)).text()).toMatch(
      /sightline_\w*published\w*\{[^}]*stream="left"[^}]*\} \d+/,
    );
  });

  it('sends detections in source pixels, and previews of the same frame, over the WebSocket', async () => {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`);
    const seen = new Map<string, ServerMessage>();
    await new Promise<void>((resolve) => {
      socket.on('message', (data) => {
        const message = JSON.parse(String(data)) as ServerMessage;
        seen.set(message.type, message);
        if (message.type === 'hello')
          socket.send(
            JSON.stringify({ type: 'subscribe', topics: ['stats', 'detections', 'preview'], streams: ['left'] }),
          );
        if (seen.has('stats') && seen.has('detections') && seen.has('preview')) resolve();
      });
    });
    socket.close();
    // The middle quarter of a stretched 512x512 input is the middle quarter of the 320x180 picture.
    expect(seen.get('detections')).toMatchObject({ stream: 'left', width: 320, height: 180 });
    expect(seen.get('detections')).toMatchObject({ detections: [{ label: 'person', box: [80, 45, 160, 90] }] });
    const preview = seen.get('preview') as Extract<ServerMessage, { type: 'preview' }>;
    expect(Buffer.from(preview.jpeg, 'base64').subarray(0, 3).toString('hex')).toBe('ffd8ff');
    expect(preview.detections).toHaveLength(1);
  });

  it.each([
    ['a filter graph that writes a file', 'synthetic:testsrc2=size=64x64,metadata=mode=print:file=/tmp/written.txt'],
    ['a filter that reads any file', 'synthetic:movie=/etc/passwd'],
    ['a file outside fleet.roots', '/etc/passwd'],
    ['a capture device', 'device:/dev/video0'],
  ])('refuses a forbidden source over REST: %s', async (_, source) => {
    const refused = await api('POST', '/streams', { id: 'forbidden', source });
    expect(refused).toMatchObject({ status: 422, body: { error: { code: 'SOURCE_FORBIDDEN' } } });
    expect((await api('PATCH', '/streams/left', { source })).status).toBe(422);
    expect((await api('GET', '/streams/forbidden')).status).toBe(404);
    expect((await api('GET', '/streams/left')).body).toMatchObject({ state: 'running' });
  });

  it('adds, changes, pauses, resumes and removes a stream without touching the others', async () => {
    const source = 'synthetic:testsrc2=size=320x180:rate=25';
    expect((await api('POST', '/streams', { id: 'new', source, loop: false, realtime: true })).status).toBe(201);
    expect((await api('POST', '/streams', { id: 'new', source })).status).toBe(409);
    await until('new', ({ state, frames }) => state === 'running' && frames.published > 5);
    expect((await api('PATCH', '/streams/new', { priority: 5, target: { fps: 20 } })).body).toMatchObject({
      state: 'running',
      priority: 5,
      target: { fps: 20 },
    });
    // Every track would end between two frames: a mistake in one of the two.
    expect((await api('PATCH', '/streams/new', { maxFps: 0.5, track: { lostMs: 1000 } })).status).toBe(400);
    // A target stays what somebody asked for, also above the rate.
    expect((await api('PATCH', '/streams/new', { maxFps: 5 })).body).toMatchObject({ target: { fps: 20 } });
    await until('new', ({ fps }) => fps.in > 3 && fps.in < 7);
    expect((await api('POST', '/streams/new/pause')).body).toMatchObject({ state: 'paused' });
    expect((await api('POST', '/streams/new/pause')).status).toBe(409);
    expect((await api('POST', '/streams/new/resume')).status).toBe(200);
    await until('new', ({ state }) => state === 'running');
    expect((await api('DELETE', '/streams/new')).status).toBeLessThan(300);
    expect((await api('GET', '/streams/new')).status).toBe(404);
    for (const id of ['left', 'right'])
      expect(await until(id, ({ state }) => state === 'running')).toMatchObject({ reconnects: 0 });
  });

  it('answers a bad request with its error code and the reason', async () => {
    expect(await api('POST', '/streams', { id: 'x', source: 'gone.mp4' })).toMatchObject({
      body: { error: { code: 'SOURCE_FORBIDDEN' } },
    });
    expect(await api('POST', '/streams', { id: 'x', source: 'a', maxfps: 1 })).toMatchObject({
      status: 400,
      body: { error: { message: expect.stringContaining('did you mean "maxFps"') } },
    });
    expect((await api('POST', '/streams/nobody/pause')).status).toBe(404);
  });

  it('satisfies the conservation law in every report', async () => {
    const { body } = await api('GET', '/streams');
    for (const { frames } of (body as { streams: StreamReport[] }).streams) {
      const dropped = Object.values(frames.dropped).reduce((sum, count) => sum + count, 0);
      expect(frames.in).toBe(frames.published + dropped + frames.inFlight);
    }
  });

  it('stops in an orderly way on SIGTERM and leaves no ffmpeg process', async () => {
    child.kill('SIGTERM');
    expect((await result).code).toBe(0);
    expect(ffmpegWith(videos.marker)).toEqual([]);
  });
});
