import { parseInputSize } from '../../../settings/config/model-config.ts';

/** Strides of detectors divide 32. */
const STRIDE_PX = 32;
const LEAST_SIDE_PX = 128;
/** Below this aspect ratio pictures are so nearly square that an input of another aspect gains nothing. */
const SQUARE_ASPECT = 1.15;
/** Sides of square inputs, relative to the published one. */
const SQUARE_FACTORS = [0.625, 0.75, 0.875, 1.25];
/**
 * Longer sides of inputs with the stream's aspect, relative to the published side. At 1 a letterboxed picture keeps its
 * scale and loses its border; at the root of the aspect the input keeps its area.
 */
const ASPECT_FACTORS = [0.77, 1, 1.15, 1.33];

/**
 * Returns the input sizes worth trying for a network that takes any multiples of 32: the published one first, then
 * smaller and larger squares, then shapes with the aspect of the stream.
 *
 * @param published - WIDTHxHEIGHT.
 * @param aspect - width / height of the stream's pictures; null if unknown.
 */
export function inputShapes(published: string, aspect: number | null): string[] {
  const { width, height } = parseInputSize(published);
  const side = Math.sqrt(width * height);
  const shapes = new Set([published]);
  for (const factor of SQUARE_FACTORS) shapes.add(shapeOf(width * factor, height * factor));
  if (aspect !== null && Math.max(aspect, 1 / aspect) >= SQUARE_ASPECT)
    for (const factor of ASPECT_FACTORS) {
      const long = multipleOf32(side * factor);
      shapes.add(aspect > 1 ? shapeOf(long, long / aspect) : shapeOf(long * aspect, long));
    }
  return [...shapes];
}

/** Pixels of an input size. */
export function pixelsOf(inputSize: string): number {
  const { width, height } = parseInputSize(inputSize);
  return width * height;
}

/** Width of an input size divided by its height. */
export function aspectOf(inputSize: string): number {
  const { width, height } = parseInputSize(inputSize);
  return width / height;
}

function shapeOf(width: number, height: number): string {
  return `${multipleOf32(width)}x${multipleOf32(height)}`;
}

function multipleOf32(pixels: number): number {
  return Math.max(LEAST_SIDE_PX, Math.round(pixels / STRIDE_PX) * STRIDE_PX);
}
