import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { SightlineError } from '../../src/base/errors/sightline-error.ts';
import { openMemoryControlPlane } from '../../src/fleet/control/memory/memory-control-plane.ts';
import { StreamOrders } from '../../src/fleet/control/orders/stream-orders.ts';
import { fleetRunner } from '../../src/serve/host/fleet-runner.ts';
import { PipelineHost } from '../../src/serve/host/pipeline-host.ts';
import { parsePipeline } from '../../src/serve/pipeline/load-pipeline.ts';
import { parseStream } from '../../src/settings/config/parse-stream.ts';
import type { StreamConfig } from '../../src/settings/config/stream.ts';
import type { EventMessage } from '../../src/wire/protocol/feed.ts';
import { testFfmpeg } from '../support/made-videos.ts';
import { waitFor, within } from '../support/wait-for.ts';

const SOURCE = 'synthetic:testsrc2=size=64x64:rate=10';
const OTHER_SOURCE = 'synthetic:testsrc2=size=96x64:rate=10';
const DEFAULTS = { maxFps: 8 };

/** Refuses sources that contain "forbidden", and records what it was asked. */
class Doorman {
  readonly asked: string[] = [];
  /** Its answers wait for this promise. */
  gate: Promise<void> = Promise.resolve();

  /** Its answers about sources that contain "late" wait for this promise, too. */
  late: Promise<void> = Promise.resolve();

  readonly admit = async (source: string): Promise<void> => {
    this.asked.push(source);
    await this.gate;
    if (source.includes('late')) await this.late;
    if (source.includes('forbidden')) throw new SightlineError('SOURCE_FORBIDDEN', `${source}: not allowed`);
  };
}

describe('the streams of a host, with real ffmpeg and the fake engine', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sightline-streams-'));
  let host: PipelineHost;
  let doorman: Doorman;
  let events: EventMessage[];

  afterEach(async () => {
    expect(await host.runtime.stop()).toEqual([]);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  async function open(callMs = 1, streams: object[] = []): Promise<void> {
    const config = parsePipeline(
      JSON.stringify({
        streams,
        name: 'one',
        description: 'Streams that come and go.',
        model: { engine: 'fake', inputSize: '64x64', threads: 1, fake: { callMs } },
        defaults: DEFAULTS,
        fleet: { roots: [process.cwd()] },
        lanes: 1,
      }),
      'test',
    );
    doorman = new Doorman();
    events = [];
    host = await PipelineHost.open(config, {
      environment: {
        ffmpegPath: testFfmpeg.path,
        searchPath: '',
        modelPath: [],
        cacheDir: folder,
        token: undefined,
      },
      stdout: process.stdout,
      onNotice: () => undefined,
      admit: doorman.admit,
      ...(streams.length === 0 ? {} : { ownSources: () => undefined }),
    });
    host.onEvent((event) => events.push(event));
  }

  const configOf = (id: string): StreamConfig => host.runtime.stream(id).config;
  const comings = (): string[] =>
    events.map(({ kind }) => kind).filter((kind) => /^stream-(added|removed)$/.test(kind));
  /** How often the source of a running stream was opened again. */
  const reopenings = (): number => events.filter(({ details }) => details?.to === 'starting').length;

  function gate(): () => void {
    let openGate!: () => void;
    doorman.gate = new Promise((resolve) => {
      openGate = resolve;
    });
    return openGate;
  }

  it('streams whose sources are silent do not hold up those behind them, and keep their places', async () => {
    const silent = Array.from({ length: 10 }, (_, i) => ({ id: `cam${9 - i}`, source: 'late.mp4' }));
    await open(1, [...silent, { id: 'good', source: SOURCE }]);
    let end!: () => void;
    doorman.late = new Promise((resolve) => {
      end = resolve;
    });
    const starting = host.start();
    await waitFor('the last one to run', () => host.report().streams.at(-1)?.state === 'running');
    end();
    await starting;
    expect(host.report().streams.map(({ id, state }) => `${id} ${state}`)).toEqual([
      ...silent.map(({ id }) => `${id} failed`),
      'good running',
    ]);
    await host.stop();
  });

  it('two changes at once are both applied, one after the other', async () => {
    await open();
    await host.addStream({ id: 'cam', source: SOURCE });
    const letIn = gate();
    const changes = [
      host.changeStream('cam', { source: OTHER_SOURCE }),
      host.changeStream('cam', { every: 2 }),
      host.changeStream('cam', { priority: 7 }),
    ];
    letIn();
    await within('the changes', 10_000, Promise.all(changes));
    expect(configOf('cam')).toMatchObject({ source: OTHER_SOURCE, every: 2, priority: 7, ...DEFAULTS });
    expect(reopenings(), 'two of them need a new connection').toBe(2);
    expect(comings(), 'the stream was there all the time').toEqual(['stream-added']);
  });

  it('a change to a file that is no video is refused, and the stream runs on', async () => {
    await open();
    await host.addStream({ id: 'cam', source: SOURCE });
    await waitFor('the stream to run', () => host.report().streams[0]!.state === 'running');
    await expect(host.changeStream('cam', { source: 'package.json' })).rejects.toMatchObject({
      code: 'SOURCE_UNREADABLE',
    });
    expect([configOf('cam').source, host.runtime.stream('cam').state, reopenings()]).toEqual([SOURCE, 'running', 0]);
  });

  it('a change to a camera that does not answer now is accepted', async () => {
    await open();
    await host.addStream({ id: 'cam', source: SOURCE });
    await host.changeStream('cam', { source: 'rtsp://127.0.0.1:9/1', openTimeoutMs: 2000 });
    await waitFor('the attempts', () => host.runtime.stream('cam').state === 'reconnecting');
    await host.changeStream('cam', { source: SOURCE });
    await waitFor('the old one', () => host.runtime.stream('cam').state === 'running');
  });

  it('a stream that is removed during a change does not come back', async () => {
    await open();
    await host.addStream({ id: 'cam', source: SOURCE });
    const letIn = gate();
    const change = host.changeStream('cam', { source: OTHER_SOURCE });
    const removal = host.removeStream('cam');
    letIn();
    await within('change and removal', 10_000, Promise.all([change, removal]));
    expect(host.report().streams).toEqual([]);
    await expect(host.changeStream('cam', { every: 2 })).rejects.toMatchObject({ code: 'STREAM_NOT_FOUND' });
  });

  it('a stream that is added under the id of one being changed is refused, and the change succeeds', async () => {
    await open();
    await host.addStream({ id: 'cam', source: SOURCE });
    const change = host.changeStream('cam', { every: 2 });
    await expect(host.addStream({ id: 'cam', source: OTHER_SOURCE })).rejects.toMatchObject({ code: 'STREAM_EXISTS' });
    await change;
    expect(configOf('cam')).toMatchObject({ source: SOURCE, every: 2 });
  });

  it('two streams that are added under one id at once: the second is refused', async () => {
    await open();
    const both = await Promise.allSettled([1, 2].map((every) => host.addStream({ id: 'cam', source: SOURCE, every })));
    expect(both.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    expect(configOf('cam').every).toBe(1);
  });

  it('a stream that is still pausing can be removed', async () => {
    await open(300);
    await host.addStream({ id: 'cam', source: SOURCE });
    await waitFor('a frame is being inferred', () => host.report().streams[0]!.state === 'running');
    const pause = host.pauseStream('cam').catch(() => undefined);
    await within('pause and removal', 10_000, Promise.all([pause, host.removeStream('cam')]));
    expect(host.report().streams).toEqual([]);
  });

  it.each([
    ['batching settings', { priority: 3, weight: 2, queueSize: 4, maxAgeMs: 900, target: { fps: 5 } }, false],
    ['the value that a setting has already', { every: 1, source: SOURCE }, false],
    ['tracker, zones and lines', { track: true, lines: [{ id: 'l', from: [0, 0], to: [1, 1] }] }, false],
    ['another source', { source: OTHER_SOURCE }, true],
    ['another rate beside batching settings', { priority: 3, maxFps: 2 }, true],
  ])('%s: is the stream opened again?', async (_, patch, isReopened) => {
    await open();
    await host.addStream({ id: 'cam', source: SOURCE });
    await host.changeStream('cam', patch);
    expect(configOf('cam')).toMatchObject(patch);
    expect(reopenings()).toBe(isReopened ? 1 : 0);
    await waitFor('the stream to run', () => host.report().streams[0]!.state === 'running');
  });

  it('a source is checked when a stream is added and when the source changes, not otherwise', async () => {
    await open();
    await host.addStream({ id: 'cam', source: SOURCE });
    await host.changeStream('cam', { every: 2 });
    await host.changeStream('cam', { source: OTHER_SOURCE });
    expect(doorman.asked).toEqual([SOURCE, OTHER_SOURCE]);
    await expect(host.changeStream('cam', { source: 'synthetic:forbidden' })).rejects.toMatchObject({
      code: 'SOURCE_FORBIDDEN',
    });
    expect(configOf('cam').source).toBe(OTHER_SOURCE);
  });

  it('a host of a fleet runs an order with exactly its settings, under its lease, and refuses a forbidden source', async () => {
    await open();
    const runner = fleetRunner(host);
    const lease = { fence: 5, isValid: () => true };
    // The order leaves the rate free; this host's default for new streams does not apply to it.
    const order = parseStream({ id: 'cam', source: SOURCE }, {});
    await runner.start(order, lease);
    expect(configOf('cam')).toEqual(order);
    await runner.change({ ...order, every: 3 });
    expect(configOf('cam')).toEqual({ ...order, every: 3 });
    expect(host.runtime.stream('cam').input.lease).toBe(lease);
    await expect(runner.change({ ...order, source: 'synthetic:forbidden' })).rejects.toMatchObject({
      code: 'SOURCE_FORBIDDEN',
    });
    await expect(
      runner.start(parseStream({ id: 'no', source: 'synthetic:forbidden' }, {}), lease),
    ).rejects.toMatchObject({ code: 'SOURCE_FORBIDDEN' });
    await runner.stop('cam');
    await runner.stop('no');
    expect(host.report().streams).toEqual([]);
  });

  const added = { id: 'new', source: SOURCE };
  it.each([
    ['a stream that is no object', (on: Actions) => on.add([1])],
    ['a stream without a source', (on: Actions) => on.add({ id: 'new' })],
    ['a misspelt setting', (on: Actions) => on.add({ ...added, prioritty: 2 })],
    ['a forbidden source', (on: Actions) => on.add({ ...added, source: 'synthetic:forbidden' })],
    ['a patch that is a list', (on: Actions) => on.change('cam', [1])],
    ['a patch that is text', (on: Actions) => on.change('cam', 'priority')],
    ['a patch with an unknown setting', (on: Actions) => on.change('cam', { maxfps: 2 })],
    ['a patch with a wrong value', (on: Actions) => on.change('cam', { maxFps: 'fast' })],
    ['a patch with another id', (on: Actions) => on.change('cam', { id: 'x' })],
    ['a patch with a forbidden source', (on: Actions) => on.change('cam', { source: 'synthetic:forbidden' })],
  ])('%s gets the same error from one host and from a fleet, and changes nothing', async (_, request) => {
    await open();
    const control = openMemoryControlPlane({ leaseMs: 5_000 });
    const { admit } = doorman;
    const orders = new StreamOrders({ control, sender: 'a', pipeline: 'one', defaults: DEFAULTS, admit });
    const single: Actions = { add: (s) => host.addStream(s), change: (id, patch) => host.changeStream(id, patch) };
    const fleet: Actions = { add: (s) => orders.add(s), change: (id, patch) => orders.change(id, patch) };
    for (const each of [single, fleet]) await each.add({ id: 'cam', source: SOURCE });
    const errors = await Promise.all(
      [single, fleet].map((each) =>
        request(each).then(
          () => null,
          (error: SightlineError) => error,
        ),
      ),
    );
    expect(errors[0]).toBeInstanceOf(SightlineError);
    expect(errors[1]).toMatchObject({ code: errors[0]!.code, message: errors[0]!.message });
    const { orders: stored } = await control.state.snapshot();
    expect(stored.map(({ config }) => config)).toEqual([configOf('cam')]);
    expect(configOf('cam')).toMatchObject({ id: 'cam', source: SOURCE, ...DEFAULTS });
    await control.close();
  });
});

interface Actions {
  add(stream: unknown): Promise<unknown>;
  change(id: string, patch: unknown): Promise<unknown>;
}
