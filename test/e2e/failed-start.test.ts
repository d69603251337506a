import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { StreamReport } from '../../src/wire/protocol/report.ts';
import { temporaryFolder } from '../support/cli.ts';
import { VideoFolder } from '../support/made-videos.ts';
import { PipelineProcess } from '../support/pipeline-process.ts';
import { waitFor } from '../support/wait-for.ts';

describe('sightline run with streams that cannot be started', () => {
  const temporary = temporaryFolder();
  const videos = new VideoFolder();
  let run: PipelineProcess;
  let url: string;
  let clip: string;
  let late: string;

  beforeAll(async () => {
    clip = await videos.make('clip.mp4', { frames: 50 });
    late = join(temporary.path, 'late.mp4');
    writeFileSync(join(temporary.path, 'text.mp4'), 'hello');
    const path = join(temporary.path, 'pipeline.yaml');
    const streams = [
      { id: 'good', source: clip },
      { id: 'late', source: late },
      { id: 'text', source: join(temporary.path, 'text.mp4') },
      { id: 'never', source: 'synthetic:movie=/etc/passwd' },
    ];
    const model = { engine: 'fake', fake: { callMs: 2 } };
    const defaults = { loop: true, realtime: true };
    writeFileSync(path, JSON.stringify({ name: 'test', description: 'One good stream.', model, defaults, streams }));
    run = new PipelineProcess(path);
    await waitFor('the pipeline', () => / is running with /.test(run.log), { deadlineMs: 60_000 });
    url = /live at (http:\S+)/.exec(run.log)![1]!;
  });

  afterAll(async () => {
    await run.stop();
    temporary.remove();
    videos.remove();
  });

  const api = async (method: string, path: string, body?: object): Promise<{ status: number; body: unknown }> => {
    const response = await fetch(`${url}${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    });
    const text = await response.text();
    return { status: response.status, body: text === '' ? null : JSON.parse(text) };
  };
  const streams = async (): Promise<ReadonlyMap<string, StreamReport>> => {
    const { body } = await api('GET', '/api/streams');
    return new Map((body as { streams: StreamReport[] }).streams.map((stream) => [stream.id, stream]));
  };

  it('they are listed as failed, with code, reason and the next attempt', async () => {
    const found = await streams();
    expect([...found.keys()].sort()).toEqual(['good', 'late', 'never', 'text']);
    expect(found.get('late')).toMatchObject({
      state: 'failed',
      lastError: expect.stringContaining('late.mp4: no such file'),
      startFailure: { code: 'SOURCE_NOT_FOUND', retryAtMs: expect.any(Number) },
    });
    expect(found.get('text')).toMatchObject({
      state: 'failed',
      lastError: expect.stringContaining('it is not a video'),
      startFailure: { code: 'SOURCE_UNREADABLE', retryAtMs: expect.any(Number) },
    });
    expect(found.get('never')).toMatchObject({
      state: 'failed',
      startFailure: { code: 'SOURCE_FORBIDDEN', attempts: 1, retryAtMs: null },
    });
    expect((await api('GET', '/api/streams/late')).body).toMatchObject({ id: 'late', state: 'failed' });
  });

  it('the log counts them, and names each with its reason', () => {
    expect(run.log).toMatch(/test is running with 1 of 4 streams, failed: late, text, never/);
    expect(run.log).toMatch(/error: late is failed: .*late\.mp4: no such file/);
  });

  it('/readyz says degraded and names them', async () => {
    expect(await api('GET', '/readyz')).toEqual({
      status: 200,
      body: { status: 'degraded', reason: 'failed at the start: late, text, never' },
    });
  });

  it('/metrics has figures of each, and all are valid', async () => {
    const text = await (await fetch(`${url}/metrics`)).text();
    for (const id of ['late', 'text', 'never']) expect(text).toContain(`stream="${id}"`);
    expect(text).not.toMatch(/^sightline_metrics_skipped_total\S* [1-9]/m);
  });

  it('the stats of the feed have them', async () => {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`);
    const states = await new Promise((resolve, reject) => {
      socket.on('open', () => socket.send('{"type":"subscribe","topics":["stats"]}'));
      socket.on('error', reject);
      socket.on('message', (data) => {
        const message = JSON.parse(String(data));
        // The first ones may have been made before the start, or while they started.
        const isStarted = (message.streams ?? []).every(({ state }: StreamReport) => state !== 'starting');
        if (message.type === 'stats' && message.streams.length === 4 && isStarted)
          resolve(Object.fromEntries(message.streams.map(({ id, state }: StreamReport) => [id, state])));
      });
    });
    socket.close();
    expect(states).toMatchObject({ late: 'failed', text: 'failed', never: 'failed' });
  });

  it('one is paused, changed and resumed as any other', async () => {
    expect(await api('POST', '/api/streams/never/pause')).toMatchObject({ status: 200, body: { state: 'paused' } });
    expect((await api('GET', '/readyz')).body).toMatchObject({ reason: 'failed at the start: late, text' });
    expect(await api('PATCH', '/api/streams/never', { priority: 3 })).toMatchObject({
      status: 200,
      body: { state: 'paused', priority: 3 },
    });
    expect(await api('POST', '/api/streams/never/resume')).toMatchObject({ status: 200, body: { state: 'failed' } });
    expect((await api('PATCH', '/api/streams/never', { priority: 'x' })).status).toBe(400);
    expect(await api('POST', '/api/streams', { id: 'never', source: 'synthetic:testsrc2' })).toMatchObject({
      body: { error: { code: 'STREAM_EXISTS' } },
    });
  });

  it('one starts with a source that works', async () => {
    const source = 'synthetic:testsrc2=size=64x64:rate=10';
    expect((await api('PATCH', '/api/streams/never', { source })).status).toBe(200);
    await waitFor('it to run', async () => (await streams()).get('never')!.state === 'running', { deadlineMs: 20_000 });
    expect((await streams()).get('never')!.startFailure).toBeUndefined();
  });

  it('a file that appears is read', async () => {
    copyFileSync(clip, late);
    await waitFor('it to run', async () => (await streams()).get('late')!.state === 'running', { deadlineMs: 60_000 });
  });

  it('when the last one is removed, /readyz says ready', async () => {
    expect((await api('DELETE', '/api/streams/text')).status).toBe(204);
    expect((await api('GET', '/api/streams/text')).status).toBe(404);
    expect((await api('GET', '/readyz')).body).toEqual({ status: 'ready', reason: 'ready' });
  });
});
