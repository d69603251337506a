import { pathToFileURL } from 'node:url';
import type { ModelSpec, ResizeRule } from '../../src/base/core/model.ts';
import type { SourceInput } from '../../src/base/core/source.ts';
import { type SlotMeta, SlotRing } from '../../src/base/flow/slot-ring.ts';
import type { View, ViewPlacement } from '../../src/base/geometry/views.ts';
import type { FfmpegBinary } from '../../src/frame/decode/ffmpeg-binary.ts';
import { LaneVideo } from '../../src/frame/runtime/lane/lane-video.ts';
import type { FromLane, LaneStream } from '../../src/wire/protocol/threads.ts';
import { runFfmpeg } from './read-video.ts';
import { waitFor } from './wait-for.ts';

/** A frame as a lane hands it over. */
export interface ViewedFrame {
  readonly meta: SlotMeta;
  readonly inputs: readonly (ViewPlacement & { readonly pixels: Uint8Array })[];
}

export interface ViewOptions {
  readonly ffmpeg: FfmpegBinary;
  readonly views: readonly View[];
  readonly input: { readonly width: number; readonly height: number; readonly resize: ResizeRule };
  /** Keeps full pictures of this size, from which sharp makes the inputs; absent: ffmpeg makes them. */
  readonly picture?: { readonly width: number; readonly height: number };
}

/** Reads a video to its end through a real lane and returns every frame with its model inputs. */
export async function readViews(
  source: Pick<SourceInput, 'kind' | 'url'> | string,
  { ffmpeg, views, input, picture }: ViewOptions,
): Promise<ViewedFrame[]> {
  const inputBytes = input.width * input.height * 3;
  const pictureBytes = picture === undefined ? 0 : picture.width * picture.height * 3;
  const ring = SlotRing.create({ slots: 4, inputBytes, views: views.length, pictureBytes });
  const spec = { name: 'test', family: 'yolox', input, classes: ['a'], nmsIou: null } as unknown as ModelSpec;
  const messages: FromLane[] = [];
  const frames: ViewedFrame[] = [];
  const post = (message: FromLane): void => {
    messages.push(message);
    if (message.type !== 'frames') return;
    ring.listen();
    for (let slot = ring.take(); slot >= 0; slot = ring.take()) {
      const inputs = views.map((_, view) => ({ ...ring.readView(slot, view), pixels: ring.input(slot, view).slice() }));
      frames.push({ meta: ring.readMeta(slot), inputs });
      ring.release(slot);
    }
    if (ring.takeWaiting()) setImmediate(() => video.onSlotFree());
  };
  const stream = {
    ring: { ringId: 1, buffer: ring.buffer, shape: ring.shape },
    spec,
    policy: 'file',
    picture: picture ?? null,
    views,
    ffmpeg,
    every: 1,
    maxFps: null,
    after: null,
    hwaccel: 'none',
    decodeThreads: 1,
    staleMs: 10_000,
    openTimeoutMs: 10_000,
    firstFrame: 0,
    shift: { x: 0, y: 0 },
    mediaTime: { lastUs: 0, shiftUs: 0 },
    isBackground: false,
    changeGate: null,
    signs: [],
    masks: [],
    hashesInput: false,
  } as unknown as LaneStream;
  const options = { loop: false, realtime: false, rtspTransport: 'tcp', readTimeoutMs: 5000 } as const;
  const where = typeof source === 'string' ? ({ kind: 'file', url: pathToFileURL(source).pathname } as const) : source;
  const video = new LaneVideo(
    stream,
    { ...where, label: 'test', isLive: false, probeAddress: null, options },
    { post, addPreprocessMs: () => undefined },
  );
  ring.listen();
  video.open();
  await waitFor('the end of the video', () => messages.some(({ type }) => type === 'ended' || type === 'failed'));
  await video.close();
  const failed = messages.find(({ type }) => type === 'failed');
  if (failed !== undefined) throw new Error(JSON.stringify(failed));
  if (ring.heldCount > 0) throw new Error(`${ring.heldCount} slots are held`);
  return frames;
}

export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Makes a black video with a white box, in stored pixels. @returns its path. */
export async function boxVideo(
  path: string,
  size: string,
  { x, y, width, height }: Box,
  ...filters: string[]
): Promise<string> {
  const draw = `drawbox=x=${x}:y=${y}:w=${width}:h=${height}:color=white:t=fill`;
  // Without a format of full colour, ffmpeg's source rounds odd sizes down.
  const pixels = filters.includes('format=yuv444p') ? 'yuv444p' : 'yuv420p';
  const source = `color=black:s=${size}:r=10,format=${pixels}`;
  const encoder = ['-c:v', 'libx264', '-preset', 'ultrafast', '-crf', '4', '-bf', '0', '-pix_fmt', pixels];
  const graph = [draw, ...filters].join(',');
  await runFfmpeg('-f', 'lavfi', '-i', source, '-vf', graph, '-frames:v', '4', ...encoder, path);
  return path;
}
