import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import sharp from 'sharp';
import { afterEach, describe, expect, it } from 'vitest';
import { inTrace } from '../../src/base/flow/trace-context.ts';
import { openLog } from '../../src/cli/log.ts';
import { openTracing } from '../../src/frame/telemetry/tracing/open-tracing.ts';
import { Sightline, type SightlineOptions } from '../../src/index.ts';
import { LATENCY_STAGES } from '../../src/wire/protocol/latency.ts';
import { OtlpReceiver, type ReceivedSpan } from '../support/otlp-receiver.ts';
import { TextSink } from '../support/text-sink.ts';
import { waitFor } from '../support/wait-for.ts';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

const SIZE = { width: 64, height: 48 };
const grey = (level: number) => new Uint8Array(SIZE.width * SIZE.height * 3).fill(level);
const traced = (trace: string, flags: string) => ({ ...SIZE, traceparent: `00-${trace}-${PARENT}-${flags}` });
const CAMERA = 'synthetic:testsrc2=size=160x90:rate=25';
const TRACE = '0af7651916cd43dd8448eb211c80319c';
const OTHER_TRACE = 'aaf7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';

async function collector(): Promise<OtlpReceiver> {
  const receiver = await OtlpReceiver.open();
  closing.push(() => receiver.kill());
  return receiver;
}

async function open(options: SightlineOptions): Promise<Sightline> {
  const cacheDir = mkdtempSync(join(tmpdir(), 'sightline-tracing-'));
  closing.push(() => rmSync(cacheDir, { recursive: true }));
  const engine = await Sightline.open({ model: { engine: 'fake' }, cacheDir, ...options });
  closing.push(() => engine.close());
  return engine;
}

const durationUs = ({ startUs, endUs }: ReceivedSpan): number => endUs - startUs;

describe('the trace of a frame', () => {
  it('that is late has its stages, which add up to its latency, and its batch', async () => {
    const receiver = await collector();
    const engine = await open({
      model: { engine: 'fake', fake: { callMs: 30 } },
      tracing: { url: receiver.url, headers: { 'x-key': 'of-a-test' }, sampleRatio: 0 },
    });
    const pushed = await engine.streams.push({ id: 'door', target: { latencyMs: 10 } });
    for (let i = 0; i < 3; i++) await pushed.push(grey(i), SIZE);
    await waitFor('three frames', () => receiver.spans.filter(({ name }) => name === 'frame').length === 3);

    expect(receiver.headers['x-key']).toBe('of-a-test');
    expect(receiver.resource['service.name']).toBe('sightline');
    const frame = receiver.spans.find(({ attributes }) => attributes['sightline.frame'] === 1)!;
    expect(frame.attributes).toMatchObject({
      'sightline.stream': 'door',
      'sightline.late': true,
      'sightline.by': 'inferred',
    });
    expect(frame.status.code ?? 0).toBe(0);
    const stages = receiver.below(frame);
    expect(stages.map(({ name }) => name)).toEqual([...LATENCY_STAGES]);
    expect(stages.reduce((sum, stage) => sum + durationUs(stage), 0)).toBe(durationUs(frame));
    expect([stages[0]!.startUs, stages.at(-1)!.endUs]).toEqual([frame.startUs, frame.endUs]);
    for (const [i, stage] of stages.entries()) if (i > 0) expect(stage.startUs).toBe(stages[i - 1]!.endUs);
    // The engine took 30 ms of it.
    expect(durationUs(stages.find(({ name }) => name === 'infer')!)).toBeGreaterThanOrEqual(29_000);
    const [link] = stages.find(({ name }) => name === 'infer')!.links;
    const batch = receiver.spans.find(({ spanId }) => spanId === link?.spanId)!;
    expect(batch).toMatchObject({ name: 'batch', traceId: link!.traceId });
    expect(batch.attributes).toMatchObject({
      'sightline.frames': 1,
      'sightline.inputs': 1,
      'sightline.model': 'default',
    });
    expect(frame.links).toMatchObject([link!]);
  });

  it('that is dropped ends with the reason, in the stage that it had reached', async () => {
    const receiver = await collector();
    const engine = await open({
      model: { engine: 'fake', fake: { callMs: 400 } },
      tracing: { url: receiver.url, sampleRatio: 0 },
      streams: [{ id: 'yard', source: CAMERA, realtime: true, policy: 'live' }],
    });
    const dropped = () =>
      receiver.spans.filter(({ attributes }) => attributes['sightline.drop_reason'] === 'queue-full');
    await waitFor('a dropped frame', () => dropped().some(({ attributes }) => 'sightline.frame' in attributes));
    const frame = dropped().find(({ attributes }) => 'sightline.frame' in attributes)!;
    expect(frame.name).toBe('frame');
    expect(frame.status).toMatchObject({ code: 2, message: expect.stringContaining('queue was full') });
    const stages = receiver.below(frame);
    expect(stages.map(({ name }) => name)).toEqual(['decode', 'preprocess', 'queue']);
    expect(stages.reduce((sum, stage) => sum + durationUs(stage), 0)).toBe(durationUs(frame));

    // Every drop that is counted has a span, alone or with others of the same moment; nothing else has.
    const { frames } = await engine.streams.pause('yard');
    await engine.close();
    const shown: Record<string, number> = {};
    for (const { name, attributes } of receiver.spans.filter((span) => span.name === 'frame')) {
      const reason = String(attributes['sightline.drop_reason'] ?? name);
      shown[reason] = (shown[reason] ?? 0) + Number(attributes['sightline.frames'] ?? 1);
    }
    expect(shown).toEqual(frames.dropped);
  });

  it('of which each is sampled by the share that is set, and none otherwise', async () => {
    const receiver = await collector();
    const engine = await open({ tracing: { url: receiver.url, sampleRatio: 1 } });
    const pushed = await engine.streams.push({ id: 'door' });
    for (let i = 0; i < 5; i++) await pushed.push(grey(i), SIZE);
    await engine.close();
    const frames = receiver.spans.filter(({ name }) => name === 'frame');
    expect(frames.map(({ attributes }) => attributes['sightline.late'])).toEqual(Array(5).fill(false));
    expect(new Set(frames.map(({ traceId }) => traceId)).size).toBe(5);

    const other = await collector();
    const unsampled = await open({ tracing: { url: other.url, sampleRatio: 0 } });
    const quiet = await unsampled.streams.push({ id: 'door' });
    for (let i = 0; i < 5; i++) await quiet.push(grey(i), SIZE);
    await unsampled.close();
    expect(other.spans).toEqual([]);
  });

  it('belongs to the trace of the program that pushed it, whose decision holds unless it is late', async () => {
    const receiver = await collector();
    const engine = await open({ tracing: { url: receiver.url, sampleRatio: 1 } });
    const pushed = await engine.streams.push({ id: 'door' });
    await pushed.push(grey(1), { ...traced(TRACE, '01'), tracestate: 'shop=7' });
    await pushed.push(grey(2), traced(TRACE, '00'));
    const { traceparent } = traced(OTHER_TRACE, '01');
    await engine.detect({ data: grey(3), ...SIZE }, { traceparent });
    const wrong = pushed.push(grey(4), { ...SIZE, traceparent: 'mine' });
    await expect(wrong).rejects.toThrow(/traceparent: expected a W3C trace context/);
    await engine.close();
    const frames = receiver.spans.filter(({ name }) => name === 'frame');
    expect(frames.map(({ traceId, parentSpanId, traceState }) => [traceId, parentSpanId, traceState])).toEqual([
      [TRACE, PARENT, 'shop=7'],
      [OTHER_TRACE, PARENT, undefined],
    ]);
  });
});

describe('requests and log lines', () => {
  it('of a traced request have a span in its trace; those of others have none', async () => {
    const receiver = await collector();
    const engine = await open({ tracing: { url: receiver.url, sampleRatio: 0 } });
    const { url } = await engine.serve({ port: 0 });
    const get = (path: string, traceparent?: string) =>
      fetch(`${url}${path}`, traceparent === undefined ? {} : { headers: { traceparent } });
    await get('/api/streams', `00-${TRACE}-${PARENT}-01`);
    await get('/api/streams/none', `00-${TRACE}-${PARENT}-01`);
    await get('/api/streams', `00-${TRACE}-${PARENT}-00`);
    await get('/api/streams', 'nothing');
    await get('/api/streams');
    await engine.close();
    const seen = receiver.spans.map(({ name, traceId, parentSpanId, attributes }) => [
      ...[name, traceId, parentSpanId, attributes['http.response.status_code']],
    ]);
    expect(seen).toEqual([
      ['GET /api/streams', TRACE, PARENT, 200],
      ['GET /api/streams/:id', TRACE, PARENT, 404],
    ]);
  });

  it('with a picture have its frame below their span', async () => {
    const receiver = await collector();
    const engine = await open({ tracing: { url: receiver.url, sampleRatio: 0 } });
    const { url } = await engine.serve({ port: 0 });
    const body = await sharp({ create: { ...SIZE, channels: 3, background: '#888' } })
      .jpeg()
      .toBuffer();
    for (const headers of [{ traceparent: `00-${TRACE}-${PARENT}-01` }, {}])
      await fetch(`${url}/api/detect`, {
        method: 'POST',
        body: Buffer.concat([body, Buffer.from(JSON.stringify(headers))]),
        headers: { 'content-type': 'image/jpeg', ...headers },
      });
    await engine.close();
    const [request] = receiver.spans.filter(({ name }) => name === 'POST /api/detect');
    const frames = receiver.spans.filter(({ name }) => name === 'frame');
    expect(frames.map(({ traceId, parentSpanId }) => [traceId, parentSpanId])).toEqual([[TRACE, request!.spanId]]);
  });

  it('are sent with the ids of their span, which the lines on standard error have too', async () => {
    const receiver = await collector();
    const tracing = await openTracing({ url: receiver.url, sampleRatio: 0, service: 'gate' }, '1.2.3', () => undefined);
    const stderr = new TextSink();
    const log = openLog({ stderr } as never, 'json', () => tracing);
    log.info({}, 'outside');
    inTrace({ trace_id: TRACE, span_id: PARENT }, () => log.warn({ kind: 'line-crossed' }, 'inside'));
    await tracing.close();
    expect(receiver.logs).toMatchObject([
      { text: 'outside', severity: 'INFO', traceId: undefined },
      { text: 'inside', severity: 'WARN', traceId: TRACE, spanId: PARENT, attributes: { kind: 'line-crossed' } },
    ]);
    const lines = stderr.text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    expect(lines[0]).not.toHaveProperty('trace_id');
    expect(lines[1]).toMatchObject({ trace_id: TRACE, span_id: PARENT, msg: 'inside' });
  });
});

describe('a collector that fails', () => {
  it.each(['killed', 'hung', 'refusing'] as const)(
    '%s holds up no frame, and what it does not get is counted',
    async (how) => {
      const receiver = await collector();
      const notices: string[] = [];
      const engine = await open({
        tracing: { url: receiver.url, sampleRatio: 1 },
        onNotice: (text) => notices.push(text),
      });
      const pushed = await engine.streams.push({ id: 'door' });
      if (how === 'killed') await receiver.kill();
      else receiver.mode = how === 'hung' ? 'hang' : 'refuse';
      // More spans than may wait: 6 a frame, and one of its batch.
      const frames = 700;
      for (let i = 0; i < frames; i++) await pushed.push(grey(i % 200), SIZE);
      // Each has its result; the report is made once a second.
      await waitFor('the report', () => engine.stats().streams[0]!.frames.published === frames);
      expect(engine.stats().streams[0]!.frames).toMatchObject({ in: frames, inFlight: 0, dropped: {} });
      const figures = () => engine.stats().host.tracing!.spans;
      await waitFor('what is lost', () => figures().lost > 0, { deadlineMs: 30_000 });
      await waitFor('the notice', () => notices.some((text) => text.includes('traces cannot be sent')), {
        deadlineMs: 30_000,
      });

      // It comes back.
      receiver.mode = 'take';
      if (how === 'killed') await receiver.start();
      await waitFor(
        'a frame that it has',
        async () => {
          await pushed.push(grey(5), SIZE);
          return receiver.spans.some(({ name }) => name === 'frame');
        },
        { deadlineMs: 60_000 },
      );
      await waitFor('the good news', () => notices.some((text) => text.includes('are sent to')), {
        deadlineMs: 30_000,
      });
      expect(notices.filter((text) => text.includes('cannot be sent'))).toHaveLength(1);
    },
  );

  it('does not keep an engine from ending', async () => {
    const receiver = await collector();
    receiver.mode = 'hang';
    const engine = await open({ tracing: { url: receiver.url, sampleRatio: 1 } });
    const pushed = await engine.streams.push({ id: 'door' });
    await pushed.push(grey(1), SIZE);
    await engine.close();
    expect(receiver.spans).toEqual([]);
  });
});

describe('without `tracing`', () => {
  it('nothing of OpenTelemetry is loaded', () => {
    const folder = mkdtempSync(join(tmpdir(), 'sightline-untraced-'));
    closing.push(() => rmSync(folder, { recursive: true }));
    const script = join(folder, 'untraced.mjs');
    const text = `
      import { createRequire } from 'node:module';
      import { Sightline } from ${JSON.stringify(pathToFileURL(resolve('src/index.ts')).href)};
      const loaded = (name) => Object.keys(createRequire(import.meta.url).cache).some((path) => path.includes(name));
      const names = ['sdk-trace-base', 'sdk-logs', 'exporter-trace-otlp-http', 'resources'];
      for (const tracing of [undefined, { url: 'http://127.0.0.1:9' }]) {
        const cacheDir = ${JSON.stringify(folder)};
        const engine = await Sightline.open({ model: { engine: 'fake' }, cacheDir, ...(tracing && { tracing }) });
        const pushed = await engine.streams.push({ id: 'door' });
        await pushed.push(new Uint8Array(64 * 48 * 3), { width: 64, height: 48 });
        console.log(names.map((name) => loaded('@opentelemetry/' + name)).join());
        await engine.close();
      }
    `;
    writeFileSync(script, text);
    const args = ['--experimental-strip-types', '--no-warnings', script];
    const [without, set] = execFileSync(process.execPath, args, { encoding: 'utf8' }).trim().split('\n');
    expect(without).toBe('false,false,false,false');
    // Which shows that it would be seen.
    expect(set).toBe('true,true,true,true');
  });
});
