import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { Recorder } from '../../src/after/recording/recorder.ts';
import { systemClock } from '../../src/base/core/clock.ts';
import { parseStream } from '../../src/settings/config/parse-stream.ts';
import type { PacketFragment, StreamPackets } from '../../src/wire/protocol/packets.ts';
import { EndlessPackets, packetsOf } from './made-packets.ts';
import { testFfmpeg } from './made-videos.ts';

/** Frames of the video before it begins again, and bits of the number that each shows. */
export const CLOCK_FRAMES = 500;
const BITS = 9;
const [WIDTH, HEIGHT, BIT_PX, FPS] = [320, 180, 32, 25] as const;

const folder = mkdtempSync(join(tmpdir(), 'sightline-clock-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
let made: Promise<StreamPackets[]> | null = null;

/** Makes a video whose frames show their number in a row of black and white squares: the lowest bit is on the left. */
function makeClock(): Promise<StreamPackets[]> {
  const path = join(folder, 'clock.mp4');
  const bit = `255*mod(floor(N/pow(2\\,floor(X/${BIT_PX})))\\,2)`;
  const filter = `geq=lum=if(lt(Y\\,${BIT_PX})\\,${bit}\\,90):cb=128:cr=128`;
  execFileSync(testFfmpeg.path, [
    ...['-hide_banner', '-loglevel', 'error', '-nostdin', '-y'],
    ...['-f', 'lavfi', '-i', `color=gray:size=${WIDTH}x${HEIGHT}:rate=${FPS},format=yuv420p,${filter}`],
    ...['-frames:v', String(CLOCK_FRAMES), '-c:v', 'libx264', '-preset', 'ultrafast', '-bf', '2', '-g', '25', path],
  ]);
  return packetsOf(path, 'gate-1');
}

/** JavaScript that reads the number that a picture of the page shows. @param selector - of a video or a canvas. */
export function frameScript(selector: string): string {
  return `(() => {
    const canvas = new OffscreenCanvas(${WIDTH}, ${HEIGHT});
    const context = canvas.getContext('2d');
    context.drawImage(document.querySelector(${JSON.stringify(selector)}), 0, 0, ${WIDTH}, ${HEIGHT});
    let number = 0;
    for (let bit = 0; bit < ${BITS}; bit++)
      if (context.getImageData(bit * ${BIT_PX} + ${BIT_PX / 2}, ${BIT_PX / 2}, 1, 1).data[0] > 128) number += 2 ** bit;
    return number;
  })()`;
}

export const shownFrame = (page: Page, selector: string): Promise<number> => page.evaluate(frameScript(selector));

/** The camera `gate-1` with a clock in its picture, whose packets are kept by a recorder. */
export class VideoRig {
  readonly recorder: Recorder;
  readonly camera: EndlessPackets;
  readonly #folder: string;
  #timer: NodeJS.Timeout | undefined;

  private constructor(folder: string, recorder: Recorder, camera: EndlessPackets) {
    [this.#folder, this.recorder, this.camera] = [folder, recorder, camera];
  }

  /** @param settings - of the stream, see `parseStream`. */
  static async open(settings: object): Promise<VideoRig> {
    const folder = mkdtempSync(join(tmpdir(), 'sightline-video-'));
    const config = parseStream({ id: 'gate-1', source: 'a.mp4', track: true, ...settings }, {});
    const recorder = new Recorder({
      folder: join(folder, 'kept'),
      ringBytes: 2 ** 26,
      ffmpeg: testFfmpeg,
      clock: systemClock,
      wallMs: Date.now,
      retention: { days: 7, eventDays: 30, clipDays: 90, labelDays: {}, maxBytes: 1e12 },
      configOf: (stream) => (stream === 'gate-1' ? config : null),
      onState: () => undefined,
      onNotice: () => undefined,
      openTarget: () => Promise.reject(new Error('nothing is pushed')),
    });
    made ??= makeClock();
    const camera = new EndlessPackets(await made);
    recorder.onPackets(camera.open('start'));
    return new VideoRig(folder, recorder, camera);
  }

  /** Gives the recorder so many seconds of packets at once. @param zeroMs - wall clock at media time 0. @returns the last fragment. */
  play(seconds: number, zeroMs: number): PacketFragment {
    let last = this.camera.next(zeroMs);
    const untilUs = last.startUs + seconds * 1e6;
    this.recorder.onPackets(last);
    while (last.endUs < untilUs) {
      last = this.camera.next(zeroMs);
      this.recorder.onPackets(last);
    }
    return last;
  }

  /** Sends a second of packets each second, from now on. @param onSecond - called just before, with the media times of its frames. */
  goLive(onSecond: (ptsUs: readonly number[]) => void): void {
    const zeroMs = Date.now() - (this.camera.next().endUs + 1e6) / 1000;
    this.#timer = setInterval(() => {
      const fragment = this.camera.next(zeroMs);
      onSecond(Array.from({ length: FPS }, (_, i) => fragment.startUs + (i * 1e6) / FPS));
      this.recorder.onPackets(fragment);
    }, 1000);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.recorder.close();
    rmSync(this.#folder, { recursive: true });
  }
}
