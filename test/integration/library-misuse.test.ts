import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { Sightline, type SightlineOptions } from '../../src/index.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-misuse-'));
const opened: Sightline[] = [];
afterEach(async () => {
  for (const engine of opened.splice(0)) await engine.close().catch(() => undefined);
});
afterAll(() => rmSync(folder, { recursive: true }));

const FAKE = { engine: 'fake', fake: { rows: [128, 128, 256, 256, 0.9, 0] } } as const;
const invalid = (text: RegExp) => ({ code: 'CONFIG_INVALID', message: expect.stringMatching(text) });

async function open(options: SightlineOptions = {}): Promise<Sightline> {
  const engine = await Sightline.open({ model: FAKE, cacheDir: join(folder, 'cache'), ...options });
  opened.push(engine);
  return engine;
}

const grey = (width: number, height: number) => ({ data: new Uint8Array(width * height * 3), width, height });
const random = (bytes: number) => Uint8Array.from({ length: bytes }, (_, i) => (i * 7919 + ((i * i) >> 5)) & 255);

describe('options of a wrong kind', () => {
  it.each([
    [null, /options: .*null/],
    [{ signal: {} }, /signal: expected an AbortSignal/],
    [{ sinks: null }, /sinks/],
    [{ streams: 'door' }, /streams/],
    [{ env: 5 }, /env: expected an object of texts.*5 \(number\)/],
    [{ env: { A: 5 } }, /env: expected an object of texts/],
    [{ cacheDir: Symbol('x') }, /cacheDir: expected text, received Symbol\(x\)/],
    [{ ffmpegPath: {} }, /ffmpegPath: expected text/],
    [{ modelPath: 'x' }, /modelPath: expected a list of text/],
    [{ onNotice: 5 }, /onNotice: expected a function/],
    [{ model: Symbol('x') }, /model: .*Symbol\(x\)/],
    [{ pipeline: 5 }, /pipeline: expected text/],
    [{ lanes: 5n }, /lanes: .*5n/],
    [{ streams: [{ id: Symbol('a'), source: 'demo' }] }, /id: .*Symbol\(a\)/],
  ])('are refused by open: %o', async (options, text) => {
    const opening = Sightline.open(options as never);
    await expect(opening).rejects.toMatchObject(invalid(text));
  });

  it('are refused by the other calls, which then do nothing', async () => {
    const engine = await open();
    const { streams } = engine as { streams: unknown } as { streams: Record<string, (...of: unknown[]) => unknown> };
    await engine.streams.push({ id: 'own' });
    await expect(streams.add!()).rejects.toMatchObject(invalid(/nothing/));
    await expect(streams.add!(null)).rejects.toMatchObject(invalid(/null/));
    await expect(streams.update!('own')).rejects.toMatchObject(invalid(/nothing/));
    const camera = { id: 'b', source: 'synthetic:testsrc2=size=32x32:rate=1' };
    await expect(streams.add!(camera, { signal: {} })).rejects.toMatchObject(invalid(/add: signal: .*AbortSignal/));
    await expect(engine.detect(grey(4, 4), null as never)).rejects.toMatchObject(invalid(/detect: .*null/));
    await expect(engine.detect(grey(4, 4), { sginal: 1 } as never)).rejects.toMatchObject(invalid(/sginal: unknown/));
    expect(() => engine.results({ signal: {} } as never)).toThrow(/results: signal: expected an AbortSignal/);
    expect(engine.streams.list().map(({ id }) => id)).toEqual(['own']);
  });

  it.each([
    [null, /serve: .*null/],
    [{ port: 70_000 }, /serve: port: expected .*65,?535, received 70000/],
    [{ port: -1 }, /serve: port: .*-1/],
    [{ port: 1.5 }, /serve: port: .*1\.5/],
    [{ port: 'x' }, /serve: port: .*"x" \(string\)/],
    [{ prot: 0 }, /serve: prot: unknown key; did you mean "port"/],
    [{ port: 0, host: 7 }, /serve: host: .*7/],
    [{ port: 0, token: 7 }, /serve: token: expected text/],
    [{ port: 0, token: 'short' }, /^serve: token: expected at least 16 characters, received 5 characters$/],
  ])('are refused by serve: %j', async (options, text) => {
    const engine = await open();
    await expect(engine.serve(options as never)).rejects.toMatchObject(invalid(text));
  });

  it('are refused for pushed streams: those of sources, and wrong signals', async () => {
    const engine = await open();
    for (const wrong of [{ source: 'a.mp4' }, { loop: true }, { realtime: false }])
      await expect(engine.streams.push({ id: 'own', ...wrong } as never)).rejects.toMatchObject(
        invalid(new RegExp(`push: ${Object.keys(wrong)[0]}: .*leave it out`)),
      );
    const own = await engine.streams.push({ id: 'own' });
    await expect(own.push(grey(4, 4).data, { ...grey(4, 4), signal: {} } as never)).rejects.toMatchObject(
      invalid(/push: signal/),
    );
    await expect(own.push(grey(4, 4).data, null as never)).rejects.toMatchObject(invalid(/push: .*null/));
  });
});

describe('pictures', () => {
  it('are refused with their fault: no name, sizes that are text, more pixels than allowed', async () => {
    const engine = await open({ decoder: { maxPixels: 4096 } });
    await expect(engine.detect('')).rejects.toMatchObject(invalid(/picture: .*an empty text/));
    await expect(engine.detect({ ...grey(4, 4), width: '4' } as never)).rejects.toMatchObject(
      invalid(/48 bytes for "4" \(string\)x4/),
    );
    const large = { code: 'SOURCE_TOO_LARGE', message: expect.stringMatching(/65x64, .*maxPixels allows 4096/) };
    await expect(engine.detect(grey(65, 64))).rejects.toMatchObject(large);
    const own = await engine.streams.push({ id: 'own' });
    await expect(own.push(grey(65, 64).data, grey(65, 64))).rejects.toMatchObject(large);
    await expect(engine.detect(grey(64, 64))).resolves.toMatchObject({ width: 64, warnings: [] });
  });

  it('that are cut off have a result with a warning, and no others have', async () => {
    const engine = await open();
    const raw = { width: 100, height: 80, channels: 3 } as const;
    const whole = await sharp(random(100 * 80 * 3), { raw })
      .png()
      .toBuffer();
    const cut = whole.subarray(0, whole.length / 2);
    const found = await Promise.all([whole, cut, whole, cut].map((bytes) => engine.detect(bytes)));
    const warning = expect.stringMatching(/^bytes: the picture is cut off or damaged/);
    expect(found.map(({ warnings }) => warnings)).toEqual([[], [warning], [], [warning]]);
  });

  it('that wait when the engine closes are rejected with that reason', async () => {
    const engine = await open({ model: { ...FAKE, fake: { ...FAKE.fake, callMs: 1000 } } });
    const own = await engine.streams.push({ id: 'own' });
    const waiting = [
      ...Array.from({ length: 40 }, () => engine.detect(grey(4, 4))),
      ...Array.from({ length: 40 }, () => own.push(grey(4, 4).data, grey(4, 4))),
    ].map((picture) => picture.then(() => 'a result').catch(({ message }: Error) => message));
    await engine.close();
    const told = new Set(await Promise.all(waiting));
    told.delete('a result');
    expect([...told]).toEqual(['the engine was closed']);
  });
});

describe('names and ends', () => {
  it('of readers begin at 1', async () => {
    const engine = await open();
    const results = engine.results();
    expect(engine.stats().host.sinks?.map(({ id }) => id)).toEqual(['results-1']);
    await results.return!();
  });

  it('of a pushed stream: it can end twice and after it was removed, and takes no other stream with it', async () => {
    const engine = await open();
    const first = await engine.streams.push({ id: 'own' });
    await Promise.all([first.end(), first.end()]);
    const second = await engine.streams.push({ id: 'own' });
    await first.end();
    expect(engine.streams.list()).toHaveLength(1);
    await engine.streams.remove('own');
    await second.end();
    const third = await engine.streams.push({ id: 'own' });
    await engine.close();
    await third.end();
  });
});
