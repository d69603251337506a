import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { classColour } from '../../src/after/sinks/drawing/class-colours.ts';
import type { VideoSinkRequest } from '../../src/after/sinks/open-video-sink.ts';
import { ResultSinks } from '../../src/after/sinks/result-sinks.ts';
import { VideoSink } from '../../src/after/sinks/video-sink.ts';
import { workerEntry } from '../../src/base/core/worker-entry.ts';
import type { SightlineError } from '../../src/base/errors/sightline-error.ts';
import { encodeArguments } from '../../src/frame/decode/encode-command.ts';
import { openRuntime } from '../../src/frame/runtime/open-runtime.ts';
import { resolveStreamInput } from '../../src/frame/runtime/stream/stream-input.ts';
import { parsePipeline } from '../../src/serve/pipeline/load-pipeline.ts';
import { parseStream } from '../../src/settings/config/parse-stream.ts';
import { hasProc, isAlive } from '../support/processes.ts';
import { describeVideo, ffmpeg, readFrame, runFfmpeg } from '../support/read-video.ts';
import { frameAt, notingFfmpegIn, openVideo, picture, size } from '../support/video-sinks.ts';
import { waitFor } from '../support/wait-for.ts';
import { person } from '../unit/after/sinks/frames.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-video-'));
afterAll(() => rmSync(folder, { recursive: true }));

const unexpected = (error: SightlineError) => expect.unreachable(error.message);
const open = (name: string, more: Partial<VideoSinkRequest> = {}): Promise<VideoSink> => openVideo(folder, name, more);
const notingFfmpeg = (name: string) => notingFfmpegIn(folder, name);

function pixelAt(pixels: Uint8Array, x: number, y: number): number[] {
  expect(pixels).toHaveLength(size.width * size.height * 3);
  return [...pixels.subarray((y * size.width + x) * 3, (y * size.width + x) * 3 + 3)];
}

/** Encoding loses some colour: half the chroma resolution, and 8 bits in limited range. */
function expectColour(pixel: readonly number[], colour: readonly number[]): void {
  pixel.forEach((value, i) => {
    expect(Math.abs(value - colour[i]!), `${pixel} against ${colour}`).toBeLessThan(40);
  });
}

describe('the video', () => {
  it.each(['out.mp4', 'out.mkv', 'out.mov'])(
    '%s has every picture at its own time, whatever the frame rate',
    async (name) => {
      const sink = await open(name);
      // Ten per second, then a fast burst, then a pause: no constant rate matches these.
      const timesMs = [5000, 5100, 5200, 5233, 5266, 5300, 7300, 7400];
      await Promise.all(timesMs.map((ms) => sink.draw(frameAt(ms), picture())));
      await sink.close();
      const video = await describeVideo(join(folder, name));
      expect(video).toMatchObject({ width: 640, height: 360, codec: 'h264' });
      expect(video.timesMs).toEqual(timesMs.map((ms) => ms - 5000));
      expect(video.durationMs).toBeGreaterThanOrEqual(2400);
      // The duration of the last picture is unknown, but at most the mean of the others, 2400 / 7.
      expect(video.durationMs).toBeLessThanOrEqual(2400 + 343);
      expect(readdirSync(folder).filter((file) => /partial|tmp/.test(file))).toEqual([]);
    },
  );

  it('lasts as long as a source of ten pictures per second', async () => {
    const sink = await open('ten.mp4');
    for (let i = 0; i < 30; i++) await sink.draw(frameAt(i * 100), picture());
    await sink.close();
    expect((await describeVideo(join(folder, 'ten.mp4'))).durationMs).toBeCloseTo(3000, -2);
  });

  it('has each box in its place and class colour, and the picture unchanged elsewhere', async () => {
    const sink = await open('box.mp4');
    await sink.draw(frameAt(0, [{ ...person, box: [200, 100, 160, 200] }]), picture(90));
    await sink.close();
    const pixels = await readFrame(join(folder, 'box.mp4'), 0);
    const colour = classColour(0);
    for (const [x, y] of [
      [200, 200],
      [358, 200],
      [280, 298],
      [300, 100],
    ] as const)
      expectColour(pixelAt(pixels, x, y), colour);
    for (const [x, y] of [
      [190, 200],
      [280, 200],
      [370, 200],
      [280, 310],
    ] as const)
      expectColour(pixelAt(pixels, x, y), [90, 90, 90]);
  });

  it('places the boxes of a source of another aspect correctly', async () => {
    const sink = await open('resized.mp4');
    // 320x240 fills 480 of the 640 columns: 80 are black on each side, and one source pixel is 1.5 wide.
    const source = { width: 320, height: 240 };
    await sink.draw(frameAt(0, [{ ...person, box: [80, 80, 160, 120] }], source), picture());
    await sink.close();
    const pixels = await readFrame(join(folder, 'resized.mp4'), 0);
    expectColour(pixelAt(pixels, 80 + 120, 200), classColour(0));
    expectColour(pixelAt(pixels, 80 + 358, 200), classColour(0));
    expectColour(pixelAt(pixels, 80 + 240, 298), classColour(0));
    expectColour(pixelAt(pixels, 80, 200), [0, 0, 0]);
  });

  it('keeps colours: red stays red', async () => {
    const sink = await open('red.mp4');
    const red = picture();
    for (let i = 0; i < red.length; i += 3) red[i] = 220;
    await sink.draw(frameAt(0), red);
    await sink.close();
    const [r, g, b] = pixelAt(await readFrame(join(folder, 'red.mp4'), 0), 320, 180) as [number, number, number];
    expect([Math.abs(r - 220) < 6, g < 6, b < 6]).toEqual([true, true, true]);
  });

  it.each([
    ['an interrupted command', { keepsEarlier: false }, false],
    ['a stream of a service', { keepsEarlier: true }, true],
  ])('of %s leaves no file, and is no failure, if it ends before its first picture', async (_, more, isComplete) => {
    const sink = await open('none-yet.mp4', more);
    const isThere = (): boolean => existsSync(join(folder, 'none-yet.partial.mp4'));
    await waitFor('the encoder', isThere, { deadlineMs: 60_000 });
    await sink.close(isComplete);
    expect(readdirSync(folder).filter((name) => name.startsWith('none-yet'))).toEqual([]);
    expect(sink.figures).toMatchObject({ problem: null, sent: 0, waiting: 0 });
  });

  it('has increasing times even if the source does not', async () => {
    const sink = await open('loop.mp4');
    for (const ms of [0, 40, 80, 0, 40, 80]) await sink.draw(frameAt(ms), picture());
    await sink.close();
    expect((await describeVideo(join(folder, 'loop.mp4'))).timesMs).toEqual([0, 40, 80, 120, 160, 200]);
  });

  it("does not change the stream's memory", async () => {
    const sink = await open('clean.mp4');
    const pixels = picture(7);
    await sink.draw(frameAt(0, [{ ...person, box: [0, 0, 600, 300] }]), pixels);
    await sink.close();
    expect(pixels.every((value) => value === 7)).toBe(true);
  });

  it.each(['mpeg4', 'mjpeg'] as const)('can also be encoded by %s', async (encoder) => {
    const path = join(folder, `${encoder}.mp4`);
    const encodeArgs = encodeArguments({ ffmpegMajor: ffmpeg.major, encoder, container: 'mp4', path: `${path}.part` });
    const sink = direct({ encodeArgs, path, partialPath: `${path}.part` });
    for (const ms of [0, 100, 133]) await sink.draw(frameAt(ms), picture(50));
    await sink.close();
    expect(await describeVideo(path)).toMatchObject({ timesMs: [0, 100, 133], codec: encoder });
  });
});

describe('a stream with a video sink', () => {
  it('writes every frame of its file with its boxes, and holds no slot at the end', async () => {
    const source = join(folder, 'source.mp4');
    await runFfmpeg('-f', 'lavfi', '-i', 'color=0x202020:size=640x360:rate=10', '-frames:v', '25', source);
    // The model's input is 512x512, the picture stretched into it: a quarter of each side is 160 and 90 pixels.
    const fake = { rows: [128, 128, 256, 256, 0.9, 0] };
    const settings = { name: 'film', description: 'A film.', model: { engine: 'fake', fake } };
    const config = parsePipeline(JSON.stringify(settings), 'film.yaml');
    const line = { id: 'door', from: [0.1, 0.9], to: [0.9, 0.9] };
    const overlay = parseStream({ id: 'street', source, lines: [line] }, {});
    const input = await resolveStreamInput(overlay, ffmpeg, { maxWidth: null });
    const counts = { zones: [], lines: [{ id: 'door', leftToRight: 1, rightToLeft: 2 }] };
    const sink = await open('stream.mp4', { picture: input.picture!, overlay, counts: () => counts });
    const environment = {
      ffmpegPath: ffmpeg.path,
      searchPath: '',
      modelPath: [],
      cacheDir: join(folder, 'cache'),
      token: undefined,
    };
    const sinks = new ResultSinks([]);
    sinks.addPictureSink('street', sink);
    const runtime = await openRuntime({ ...config, sinks, environment, onNotice: () => undefined });
    const stream = runtime.add(overlay, input);
    await stream.settled();
    expect(await runtime.stop()).toEqual([]);
    expect(stream.heldSlots).toBe(0);

    const path = join(folder, 'stream.mp4');
    expect((await describeVideo(path)).timesMs).toEqual(Array.from({ length: 25 }, (_, i) => i * 100));
    const pixels = await readFrame(path, 24);
    expectColour(pixelAt(pixels, 160, 200), classColour(0));
    expectColour(pixelAt(pixels, 478, 200), classColour(0));
    expectColour(pixelAt(pixels, 320, 200), [0x20, 0x20, 0x20]);
    // The line lies on row 324, in red.
    const [red, green] = pixelAt(pixels, 500, 324) as [number, number];
    expect(red).toBeGreaterThan(green + 60);
  });
});

describe('when encoding is slow', () => {
  it('a file waits: nothing is lost', async () => {
    const sink = await open('waits.mp4');
    const drawn = Array.from({ length: 20 }, (_, i) => sink.draw(frameAt(i * 40), picture()));
    const closing = sink.close();
    expect(sink.close()).toBe(closing);
    await Promise.all([...drawn, closing]);
    expect((await describeVideo(join(folder, 'waits.mp4'))).timesMs).toHaveLength(20);
  });

  it('a live stream drops pictures at once, counts them and reports them', async () => {
    const notices: string[] = [];
    const sink = await open('live.mp4', { policy: 'live', onNotice: (text) => notices.push(text) });
    // All in one turn of the event loop: the thread cannot answer in between.
    const drawn = Array.from({ length: 20 }, (_, i) => sink.draw(frameAt(i * 40), picture()));
    expect(sink.figures.lost.overflow).toBe(17);
    await Promise.all(drawn);
    await sink.close();
    expect((await describeVideo(join(folder, 'live.mp4'))).timesMs).toEqual([0, 40, 80]);
    expect(notices.at(-1)).toMatch(/lacks 17 of 20 pictures/);
    expect(notices).toHaveLength(2);
  });
});

interface Direct {
  readonly encodeArgs: readonly string[];
  readonly path: string;
  readonly partialPath: string;
  readonly failures?: SightlineError[];
}

function direct({ encodeArgs, path, partialPath, failures }: Direct): VideoSink {
  return new VideoSink({
    id: 'film',
    thread: workerEntry('annotate.thread'),
    file: { id: 'film', path, partialPath, ffmpeg, encodeArgs, finish: null, keepsEarlier: false },
    ...size,
    fit: { mode: 'stretch' },
    overlay: { zones: [], lines: [] },
    policy: 'file',
    onFailure: (error) => (failures === undefined ? unexpected(error) : failures.push(error)),
    onNotice: () => undefined,
  });
}

describe('failures', () => {
  async function failing(sink: VideoSink, failures: readonly SightlineError[], message: RegExp): Promise<void> {
    while (failures.length === 0) await sink.draw(frameAt(0), picture());
    // A broken sink never holds a slot.
    await sink.draw(frameAt(0), picture());
    await expect(sink.close()).rejects.toMatchObject({ code: 'SINK_FAILED', message: expect.stringMatching(message) });
    expect(failures).toHaveLength(1);
    expect(failures[0]).toMatchObject({ code: 'SINK_FAILED', message: expect.stringMatching(message) });
  }

  it('a folder that does not exist is named, with advice', async () => {
    const failures: SightlineError[] = [];
    const sink = await open('missing/out.mp4', { onFailure: (error) => failures.push(error) });
    await failing(sink, failures, /film: cannot write .*missing.out\.mp4: the folder .*missing does not exist.*ENOENT/);
  });

  it('a path that is a folder is rejected before the start', async () => {
    mkdirSync(join(folder, 'taken.mp4'));
    const failures: SightlineError[] = [];
    const sink = await open('taken.mp4', { onFailure: (error) => failures.push(error) });
    await failing(sink, failures, /EISDIR/);
    expect(existsSync(join(folder, 'taken.partial.mp4'))).toBe(false);
  });

  it('an unknown extension is an invalid setting', async () => {
    await expect(open('out.gif')).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(/out\.gif.*\.mp4, \.m4v, \.mov, \.mkv/),
    });
  });

  it('an ffmpeg that cannot be started is reported', async () => {
    await expect(open('none.mp4', { ffmpeg: { ...ffmpeg, path: join(folder, 'no-ffmpeg') } })).rejects.toMatchObject({
      code: 'FFMPEG_MISSING',
    });
  });

  it.skipIf(!existsSync('/dev/full'))('a full disk is reported', async () => {
    const failures: SightlineError[] = [];
    const path = join(folder, 'full.mp4');
    const encodeArgs = encodeArguments({
      ffmpegMajor: ffmpeg.major,
      encoder: 'mpeg4',
      container: 'mp4',
      path: '/dev/full',
    });
    const sink = direct({ encodeArgs, path, partialPath: `${path}.part`, failures });
    await failing(sink, failures, /no space is left on the disk.*ENOSPC/);
    expect(existsSync(path)).toBe(false);
  });

  it.skipIf(process.platform === 'win32')(
    'a killed encoder leaves a playable file, and the failure says where',
    async () => {
      const noting = notingFfmpeg('killed');
      const failures: SightlineError[] = [];
      const sink = await open('killed.mp4', { ffmpeg: noting, onFailure: (error) => failures.push(error) });
      const partial = join(folder, 'killed.partial.mp4');
      let ms = 0;
      while (!existsSync(partial) || statSync(partial).size < 10_000) {
        await sink.draw(frameAt(ms, [{ ...person, box: [ms % 600, 10, 30, 40] }]), picture(ms % 255));
        ms += 40;
      }
      process.kill(noting.pid(), 'SIGKILL');
      await failing(sink, failures, /signal SIGKILL; the output so far is in .*killed\.partial\.mp4/);
      expect(existsSync(join(folder, 'killed.mp4'))).toBe(false);
      expect((await describeVideo(partial)).timesMs.length).toBeGreaterThan(10);
    },
  );

  it.skipIf(!hasProc)('a thread that dies leaves no ffmpeg behind', async () => {
    const noting = notingFfmpeg('crashed');
    const failures: SightlineError[] = [];
    const sink = await open('crashed.mp4', { ffmpeg: noting, onFailure: (error) => failures.push(error) });
    while (!existsSync(join(folder, 'crashed.pid'))) await sink.draw(frameAt(0), picture());
    await sink.crash();
    await failing(sink, failures, /crashed\.mp4: its thread ended/);
    await waitFor('the end of ffmpeg', () => !isAlive(noting.pid()));
  });
});
