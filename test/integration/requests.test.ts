import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { Incidents } from '../../src/base/flow/incidents.ts';
import { firstVersion } from '../../src/fleet/control/rollout/versions.ts';
import type { Gateway } from '../../src/serve/gateway/gateway-options.ts';
import { startGateway } from '../../src/serve/gateway/server.ts';
import { HostRollouts } from '../../src/serve/host/host-rollouts.ts';
import { PipelineHost } from '../../src/serve/host/pipeline-host.ts';
import { RequestDetector } from '../../src/serve/host/request-detector.ts';
import { checkPipeline } from '../../src/serve/pipeline/load-pipeline.ts';
import { batchConfig } from '../../src/settings/config/batch.ts';
import { modelConfig } from '../../src/settings/config/model-config.ts';
import type { DetectReply } from '../../src/wire/protocol/rest.ts';
import type { Version } from '../../src/wire/protocol/rollout-records.ts';
import { testFfmpeg } from '../support/made-videos.ts';
import { waitFor } from '../support/wait-for.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-requests-'));
const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});
afterAll(() => rmSync(folder, { recursive: true }));

const modelOf = (score: number, callMs = 1) =>
  ({
    engine: 'fake',
    threads: 1,
    inputSize: '160x96',
    timeoutMs: 1000,
    fake: { callMs, rows: [10, 20, 30, 40, score, 0] },
  }) as const;

/** Two versions that a score tells apart. */
function versionOf(score: number, label: string): Version {
  const parts = { model: modelConfig.parse(modelOf(score)), batch: batchConfig.parse({}), weights: [] };
  return { ...firstVersion('people', parts, 0), label };
}

async function open(more: object = {}, model: object = modelOf(0.5)) {
  const rollout = { folder: mkdtempSync(join(folder, 'rollouts-')) };
  const config = checkPipeline({ name: 'people', description: 'x', model, lanes: 2, rollout, ...more }, 'test');
  const environment = {
    ffmpegPath: testFfmpeg.path,
    searchPath: '',
    modelPath: [],
    cacheDir: join(folder, 'c'),
    token: undefined,
  };
  const [onNotice, incidents] = [(): void => undefined, new Incidents()];
  const context = { environment, stdout: process.stdout, onNotice, admit: async () => undefined };
  const host = await PipelineHost.open(config, context);
  closing.push(() => host.stop());
  const rollouts = (await HostRollouts.tryOpen(host, config, {
    environment,
    onNotice,
    incidents,
    fleet: null,
    streams: () => [{ id: 'cam' }],
  }))!;
  closing.push(() => rollouts.close());
  const requests = new RequestDetector(host, config, rollouts.own);
  const gateway: Gateway = await startGateway(host, { port: 0, requests });
  closing.push(() => gateway.close());
  const post = async (body: Buffer, query = ''): Promise<{ status: number; reply: DetectReply }> => {
    const headers = { 'content-type': 'image/jpeg' };
    const response = await fetch(`${gateway.url}/api/detect${query}`, { method: 'POST', body, headers });
    return { status: response.status, reply: (await response.json()) as DetectReply };
  };
  return { host, rollouts, requests, gateway, post };
}

const picture = (level: number, width = 320, height = 192): Promise<Buffer> =>
  sharp({ create: { width, height, channels: 3, background: { r: level, g: level, b: level } } })
    .jpeg()
    .toBuffer();

describe('pictures over HTTP', () => {
  it.each(['jpeg', 'png', 'webp'] as const)('as %s have boxes in their own pixels', async (format) => {
    const { post } = await open();
    const body = await sharp(await picture(9))
      .toFormat(format)
      .toBuffer();
    const { status, reply } = await post(body);
    expect(status).toBe(200);
    // Twice as large as the model's input.
    expect(reply).toMatchObject({ width: 320, height: 192, version: '1', cached: false });
    expect(reply.detections).toMatchObject([{ label: 'person', score: 0.5, box: [20, 40, 60, 80] }]);
  });

  it('are inferred as far as they go if they are cut off, and refused if they are none or too large', async () => {
    const { post } = await open({ decoder: { maxPixels: 100_000 } });
    const whole = await sharp(Buffer.from(Array.from({ length: 320 * 192 * 3 }, (_, i) => (i * 7919) % 256)), {
      raw: { width: 320, height: 192, channels: 3 },
    })
      .jpeg()
      .toBuffer();
    const cut = await post(whole.subarray(0, whole.length / 2));
    expect([cut.status, cut.reply.warnings]).toEqual([200, [expect.stringContaining('cut off')]]);
    expect((await post(whole.subarray(0, 40))).status).toBe(422);
    // A bomb: few bytes, many pixels.
    const bomb = await sharp({ create: { width: 4000, height: 4000, channels: 3, background: '#000' } })
      .png()
      .toBuffer();
    expect(bomb.length).toBeLessThan(300_000);
    const { status, reply } = await post(bomb);
    expect([status, reply]).toEqual([413, { error: expect.objectContaining({ code: 'SOURCE_TOO_LARGE' }) }]);
  });

  it('that come again have the result of the first time, as many as are kept', async () => {
    const { post } = await open({ requests: { cacheResults: 2 } });
    const [a, b, c] = await Promise.all([1, 2, 3].map((level) => picture(level * 50)));
    const cached = async (body: Buffer): Promise<boolean> => (await post(body)).reply.cached;
    expect([await cached(a!), await cached(a!), await cached(b!), await cached(a!)]).toEqual([
      false,
      true,
      false,
      true,
    ]);
    // The third one takes the place of the one that was used least recently.
    expect([await cached(c!), await cached(a!), await cached(b!)]).toEqual([false, true, false]);
  });

  it('are in no list of streams, and behind every stream in the batcher', async () => {
    const { host, gateway, post } = await open();
    await post(await picture(1));
    expect(host.report().streams).toEqual([]);
    expect(await (await fetch(`${gateway.url}/metrics`)).text()).not.toContain('request-');
    const own = host.runtime.streams.map(({ config, ledger }) => [config.priority, ledger.policy.hasFloor]);
    expect(own).toEqual([[-101, false]]);
  });

  it('are answered exactly once each while the model is switched, by the version that they name or the active one', async () => {
    const { host, rollouts, post } = await open();
    const { target } = rollouts.own;
    const [first] = target.loaded;
    const second = versionOf(0.9, 'people@2');
    const bodies = await Promise.all(Array.from({ length: 12 }, (_, i) => picture(i * 20)));
    const replies: Promise<{ status: number; reply: DetectReply }>[] = [];
    const send = (query = ''): void => {
      for (const body of bodies) replies.push(post(body, query));
    };
    expect((await post(bodies[0]!, '?version=2')).status).toBe(422);
    send();
    await target.load(second);
    send('?version=2');
    send();
    target.adopt(second.hash);
    send('?version=1');
    const ended = target.unload(first!.hash);
    send();
    const all = await Promise.all(replies);
    await ended;
    for (const { status, reply } of all) {
      if (status === 422) continue;
      expect([status, reply.detections?.[0]?.score]).toEqual([200, reply.version === '2' ? 0.9 : 0.5]);
    }
    // Only those that named the version after it was gone may be refused.
    const refused = all.map(({ status }, i) => (status === 200 ? null : Math.floor(i / bodies.length)));
    expect(new Set(refused.filter((step) => step !== null && step !== 3))).toEqual(new Set());
    expect(host.runtime.models).toEqual([second.hash]);
    const { status, reply } = await post(bodies[0]!);
    expect([status, reply.version, reply.detections[0]!.score]).toEqual([200, '2', 0.9]);
    await waitFor('the streams of the old version to be gone', () =>
      host.runtime.streams.every(({ instance }) => instance === second.hash),
    );
  });

  /** Rolls a version out, and waits until requests meet it. */
  async function rollOut({ rollouts, requests }: Awaited<ReturnType<typeof open>>, model: object, share: number) {
    const { agent } = rollouts.own;
    await agent.start();
    const steps = share === 100 ? [100] : [share, 100];
    const { id, step } = await agent.startRollout({ settings: { model: modelConfig.parse(model) }, steps }, 'me');
    await waitFor('the candidate to be loaded', () => requests.versions().length === 2);
    await agent.actOnRollout('promote', { who: 'me', isFull: false, seen: { rollout: id, step } });
    expect(agent.running?.share).toBe(share);
  }

  it('that name no version meet the candidate of a roll-out with its share, each picture always the same version', async () => {
    const opened = await open({ requests: { cacheResults: 0 } });
    const { rollouts, gateway, post } = opened;
    const bodies = await Promise.all(Array.from({ length: 24 }, (_, i) => picture(i * 10)));
    const versionsOf = async (query = ''): Promise<string[]> => {
      const replies = await Promise.all(bodies.map((body) => post(body, query)));
      for (const { status, reply } of replies)
        expect([status, reply.detections[0]!.score]).toEqual([200, reply.version === '2' ? 0.9 : 0.5]);
      return replies.map(({ reply }) => reply.version);
    };
    expect(new Set(await versionsOf())).toEqual(new Set(['1']));
    await rollOut(opened, modelOf(0.9), 40);
    const first = await versionsOf();
    const share = first.filter((version) => version === '2').length / first.length;
    // Of 24 pictures, 0.4 with a deviation of 0.1.
    expect(share).toBeGreaterThan(0.1);
    expect(share).toBeLessThan(0.7);
    expect(await versionsOf()).toEqual(first);
    expect(new Set(await versionsOf('?version=1'))).toEqual(new Set(['1']));
    const data = [bodies[first.indexOf('2')]!.toString('base64')];
    const body = JSON.stringify({ inputs: [{ name: 'encoded', shape: [1], datatype: 'BYTES', data }] });
    const infer = await fetch(`${gateway.url}/v2/models/people/infer`, { method: 'POST', body });
    expect(await infer.json()).toMatchObject({ model_name: 'people', model_version: '2' });
    // Requests have no turns of the control beside them: they are no evidence.
    expect(rollouts.own.agent.rollout()!.frames).toBe(0);
    await rollouts.own.agent.actOnRollout('abort', { who: 'me', isFull: false, seen: null });
    expect(new Set(await versionsOf())).toEqual(new Set(['1']));
  });

  it('are answered by the version in use if the candidate fails', async () => {
    const opened = await open({ requests: { timeoutMs: 60_000 } });
    // Each of its calls hangs.
    await rollOut(opened, { ...modelOf(0.9, 10_000), timeoutMs: 100 }, 100);
    const { status, reply } = await opened.post(await picture(1));
    expect([status, reply.version, reply.detections[0]!.score]).toEqual([200, '1', 0.5]);
    const metrics = await (await fetch(`${opened.gateway.url}/metrics`)).text();
    expect(metrics).toMatch(/^sightline_requests_fallback_total 1$/m);
    // A picture that is none is refused, not tried twice.
    expect((await opened.post(Buffer.from('ffd8ffe000104a46', 'hex'))).status).toBe(422);
  });

  it('are inferred once no frame of a stream waits, and have an answer although one is read all the time', async () => {
    const { host, post } = await open({
      streams: [{ id: 'cam', source: 'synthetic:testsrc2=size=320x192:rate=10', realtime: true, policy: 'live' }],
      requests: { timeoutMs: 60_000 },
    });
    await host.start();
    await waitFor('frames', () => host.report().streams[0]!.frames.published > 2);
    const bodies = await Promise.all(Array.from({ length: 10 }, (_, i) => picture(i * 25)));
    const replies = await Promise.all(bodies.map((body) => post(body)));
    expect(replies.map(({ status }) => status)).toEqual(bodies.map(() => 200));
    const { in: entered, published, inFlight, dropped } = host.report().streams[0]!.frames;
    const drops = Object.values(dropped).reduce((sum, count) => sum + count, 0);
    expect(entered).toBe(published + inFlight + drops);
  });
});
