import { ChildGroup } from '../../../base/process/child-group.ts';
import { confinedWriter, type Ffmpeg } from '../../../base/process/confinement.ts';
import { cameraArguments } from '../../../frame/decode/encode-command.ts';
import { drawClock, TICKS_PER_MS } from '../../../frame/infer/clock-code.ts';
import { type CodedFrame, FlvReader } from './flv-reader.ts';
import type { PictureSource } from './virtual-camera.ts';

/** Reads the system's monotonic clock, which all processes of a machine share, in ticks of 0.1 ms. */
export function systemTicks(): number {
  return Number(process.hrtime.bigint() / 100_000n);
}

/** Draws the clock into each picture and encodes it at once: the time in a picture is the time when its shutter opened. */
export class ClockEncoder implements PictureSource {
  readonly #group: ChildGroup;
  readonly #size: { readonly width: number; readonly height: number };
  readonly #waiting: { readonly drawnTicks: number; readonly onFrame: (frame: CodedFrame) => void }[] = [];
  readonly #ticks: () => number;
  #encodeMs = 0;
  #count = 0;

  /** @param ticks - the clock that is drawn. */
  constructor(
    ffmpeg: Ffmpeg,
    size: { readonly width: number; readonly height: number; readonly fps: number },
    ticks: () => number = systemTicks,
  ) {
    this.#size = size;
    this.#ticks = ticks;
    const args = cameraArguments({ ...size, pictures: { kind: 'raw' }, frames: null });
    const { path, args: all, environment } = confinedWriter(ffmpeg, args);
    this.#group = new ChildGroup(path, all, { stdio: ['pipe', 'pipe', 'ignore'], environment });
    const { child } = this.#group;
    const reader = new FlvReader();
    child.on('error', () => undefined);
    child.stdin!.on('error', () => undefined);
    child.stdout!.on('data', (chunk: Buffer) => {
      for (const frame of reader.push(chunk)) {
        const request = this.#waiting.shift();
        if (request === undefined) continue;
        this.#encodeMs += (this.#ticks() - request.drawnTicks) / TICKS_PER_MS;
        this.#count += 1;
        request.onFrame(frame);
      }
    });
  }

  /** Mean time from drawing a picture to its coded bytes: part of the camera, as in a real one. */
  get meanEncodeMs(): number {
    return this.#count === 0 ? 0 : this.#encodeMs / this.#count;
  }

  next(_index: number, onFrame: (frame: CodedFrame) => void): void {
    const { width, height } = this.#size;
    const picture = Buffer.alloc(width * height);
    const drawnTicks = this.#ticks();
    drawClock(picture, width, height, drawnTicks);
    this.#waiting.push({ drawnTicks, onFrame });
    this.#group.child.stdin!.write(picture);
  }

  close(): void {
    this.#group.end();
  }
}
