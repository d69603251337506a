/** A u8 picture of interleaved RGB. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** Bits of OpenCV's fixed-point weights. */
const WEIGHT_BITS = 11;

/**
 * Resizes as OpenCV's `INTER_LINEAR` does on bytes, bit for bit: weights of 11 bits, and the mean of four pixels where
 * both sides are halved. Written from the arithmetic, so that a test can make the very input that a reference was run on;
 * slow.
 */
export function opencvLinear(source: Pixels, width: number, height: number): Pixels {
  if (source.width === 2 * width && source.height === 2 * height) return halved(source);
  const columns = taps(source.width, width);
  const rows = taps(source.height, height);
  const data = new Uint8Array(width * height * 3);
  const across = (y: number, x: number, channel: number): number => {
    const { first, second, weights } = columns[x]!;
    const at = (column: number) => source.data[(y * source.width + column) * 3 + channel]!;
    return at(first) * weights[0] + at(second) * weights[1];
  };
  for (let y = 0; y < height; y += 1) {
    const { first, second, weights } = rows[y]!;
    for (let x = 0; x < width; x += 1) {
      for (let channel = 0; channel < 3; channel += 1) {
        const upper = (weights[0] * (across(first, x, channel) >> 4)) >> 16;
        const lower = (weights[1] * (across(second, x, channel) >> 4)) >> 16;
        data[(y * width + x) * 3 + channel] = (upper + lower + 2) >> 2;
      }
    }
  }
  return { width, height, data };
}

/** Puts a picture into a larger grey one. */
export function padded(
  picture: Pixels,
  width: number,
  height: number,
  left: number,
  top: number,
  grey: number,
): Pixels {
  const data = new Uint8Array(width * height * 3).fill(grey);
  for (let y = 0; y < picture.height; y += 1) {
    const row = picture.data.subarray(y * picture.width * 3, (y + 1) * picture.width * 3);
    data.set(row, ((y + top) * width + left) * 3);
  }
  return { width, height, data };
}

function halved(source: Pixels): Pixels {
  const [width, height] = [source.width / 2, source.height / 2];
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y += 1) {
    for (let at = 0; at < width * 3; at += 1) {
      const left = y * 2 * source.width * 3 + Math.floor(at / 3) * 6 + (at % 3);
      const below = left + source.width * 3;
      const { data: from } = source;
      data[y * width * 3 + at] = (from[left]! + from[left + 3]! + from[below]! + from[below + 3]! + 2) >> 2;
    }
  }
  return { width, height, data };
}

interface Tap {
  readonly first: number;
  readonly second: number;
  readonly weights: readonly [number, number];
}

function taps(from: number, to: number): Tap[] {
  const scale = from / to;
  return Array.from({ length: to }, (_, place) => {
    const centre = Math.fround((place + 0.5) * scale - 0.5);
    let first = Math.floor(centre);
    let share = Math.fround(centre - first);
    if (first < 0) [first, share] = [0, 0];
    if (first >= from - 1) [first, share] = [from - 1, 0];
    const one = 1 << WEIGHT_BITS;
    const weights = [roundEven(Math.fround((1 - share) * one)), roundEven(Math.fround(share * one))] as const;
    return { first, second: Math.min(first + 1, from - 1), weights };
  });
}

/** Ties to even, as the processor rounds. */
function roundEven(value: number): number {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
