/** One number for each colour channel. */
export type PerChannel = readonly [number, number, number];

/** What a network, as it was published, expects of its picture. */
export interface NetworkInput {
  /** Name of the picture's input in the published file. */
  readonly tensor: string;
  /** Name of an input that takes width and height (i64 [n, 2]) of the pixels that boxes shall be in; null where none. */
  readonly sizeTensor: string | null;
  /** Order of axes. */
  readonly layout: 'nchw' | 'nhwc';
  readonly width: number;
  readonly height: number;
  /** Whether the published file itself takes any size; where absent, as its family usually does. */
  readonly anySize?: boolean | undefined;
  readonly colours: 'rgb' | 'bgr';
  /** What black and white become, before mean and deviation. */
  readonly range: readonly [black: number, white: number];
  /** Subtracted from each channel, in the units of `range` and in the order of `colours`; 0 where absent. */
  readonly mean?: PerChannel;
  /** What each channel is divided by after that; 1 where absent. */
  readonly deviation?: PerChannel;
}

/** What a level from 0 to 255 becomes in each of the network's channels: `level * gain + offset`. */
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

/** Name of the one input of every compiled ONNX file: u8 [n, height, width, 3], RGB. */
export const FRAMES = 'frames';
