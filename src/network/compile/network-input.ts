/** One number for each colour channel. */
export type PerChannel = readonly [number, number, number];

/** What a published network expects as its picture. */
export interface NetworkInput {
  /** Name of the picture's input in the published file. */
  readonly tensor: string;
  /** Name of the input (i64 [n, 2]) for the width and height that boxes are scaled to; null if there is none. */
  readonly sizeTensor: string | null;
  /** Order of axes. */
  readonly layout: 'nchw' | 'nhwc';
  readonly width: number;
  readonly height: number;
  /** Whether it can be compiled for any input size; if absent, the family decides. */
  readonly anySize?: boolean | undefined;
  readonly colours: 'rgb' | 'bgr';
  /** Values of black and white, before mean and deviation. */
  readonly range: readonly [black: number, white: number];
  /** Subtracted from each channel, in the units of `range` and in the order of `colours`; 0 if absent. */
  readonly mean?: PerChannel;
  /** Divisor of each channel, applied after the mean; 1 if absent. */
  readonly deviation?: PerChannel;
}

/** Families that can be compiled for another input size: all but the grids is convolutions, and the grids can be replaced. */
const RESIZABLE: ReadonlySet<string> = new Set(['centernet', 'gfl', 'yolox']);

/** Returns whether a network can be compiled for input sizes other than the published one: sides in multiples of 32. */
export function takesAnySize(family: string, { anySize }: Pick<NetworkInput, 'anySize'>): boolean {
  return anySize ?? RESIZABLE.has(family);
}

/** Returns true for fully convolutional families: networks exported for one picture also work for several. */
export function isBatchFreed(family: string): boolean {
  return family === 'yolox' || family === 'gfl';
}

/** Returns the preprocessing of each network channel as `level * gain + offset`, with levels from 0 to 255. */
export function channelMaps({ range: [black, white], mean, deviation }: NetworkInput): {
  gains: PerChannel;
  offsets: PerChannel;
} {
  const each = (value: (channel: 0 | 1 | 2) => number): PerChannel => [value(0), value(1), value(2)];
  const spread = each((channel) => deviation?.[channel] ?? 1);
  return {
    gains: each((channel) => (white - black) / 255 / spread[channel]),
    offsets: each((channel) => (black - (mean?.[channel] ?? 0)) / spread[channel]),
  };
}

/** Name of the picture input of every compiled ONNX file: u8 [n, height, width, 3], RGB. */
export const FRAMES = 'frames';
