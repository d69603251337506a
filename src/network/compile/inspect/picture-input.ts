import { describePort, fault, type Outline, type Port } from './outline.ts';
import { parsePythonLiteral } from './python-literal.ts';

/** What a file declares about its picture input. */
export interface PictureInput {
  readonly tensor: string;
  /** Name of the i64 [n, 2] input for width and height; null if there is none. */
  readonly sizeTensor: string | null;
  readonly type: 'f32' | 'f16' | 'u8';
  readonly layout: 'nchw' | 'nhwc';
  readonly width: number;
  readonly height: number;
  /** Whether height and width are free axes. */
  readonly anySize: boolean;
  readonly batch: 'free' | number;
}

type Size = { readonly width: number; readonly height: number };

/** Size for free axes without a size in the metadata: most networks are trained at it. */
const DEFAULT_SIDE_PX = 640;

const LARGEST_SIDE_PX = 8192;

/**
 * Reads type, axes and size of the picture input.
 *
 * @param requested - size for networks with free axes.
 * Throws MODEL_UNSUPPORTED if the inputs are not one RGB picture and at most its size.
 */
export function pictureInput(outline: Outline, requested: Size | undefined): PictureInput {
  const { inputs } = outline;
  const pictures = inputs.filter(({ dims }) => dims?.length === 4);
  const sizes = inputs.filter(({ type, dims }) => type === 'i64' && dims?.length === 2 && dims[1] === 2);
  const picture = pictures[0];
  if (
    picture === undefined ||
    inputs.length !== pictures.length + sizes.length ||
    inputs.length > 2 ||
    pictures.length > 1
  ) {
    const received = inputs.map(describePort).join('; ') || 'none';
    throw fault(
      'MODEL_UNSUPPORTED',
      outline,
      `expected one input with four axes for the picture, and at most an i64 [n, 2] for its size; received ${received}`,
    );
  }
  const { type } = picture;
  if (type !== 'f32' && type !== 'f16' && type !== 'u8')
    throw fault(
      'MODEL_UNSUPPORTED',
      outline,
      `expected a picture of f32, f16 or u8, received ${describePort(picture)}`,
    );
  const [batch, ...axes] = picture.dims as [number | string, ...(number | string)[]];
  const layout = layoutOf(picture, outline);
  const [height, width] = layout === 'nchw' ? [axes[1]!, axes[2]!] : [axes[0]!, axes[1]!];
  const size = sizeOf({ width, height }, outline, requested);
  return {
    tensor: picture.name,
    sizeTensor: sizes[0]?.name ?? null,
    type,
    layout,
    ...size,
    anySize: typeof width === 'string' && typeof height === 'string',
    batch: typeof batch !== 'string' ? batch : outline.rangesOfBatch ? 1 : 'free',
  };
}

function layoutOf(picture: Port, outline: Outline): 'nchw' | 'nhwc' {
  const [, first, , last] = picture.dims!;
  if (first === 3) return 'nchw';
  if (last === 3) return 'nhwc';
  if (typeof first === 'string' && (typeof last === 'string' || last! > 4)) return 'nchw';
  throw fault('MODEL_UNSUPPORTED', outline, `expected a picture of three colours, received ${describePort(picture)}`);
}

type Axes = { readonly width: number | string; readonly height: number | string };

function sizeOf({ width, height }: Axes, outline: Outline, requested: Size | undefined): Size {
  const usual = sizeInMetadata(outline) ?? { width: DEFAULT_SIDE_PX, height: DEFAULT_SIDE_PX };
  const size = {
    width: typeof width === 'number' ? width : (requested?.width ?? usual.width),
    height: typeof height === 'number' ? height : (requested?.height ?? usual.height),
  };
  if (Math.max(size.width, size.height) > LARGEST_SIDE_PX)
    throw fault(
      'MODEL_UNSUPPORTED',
      outline,
      `expected sides of up to ${LARGEST_SIDE_PX} pixels, received ${size.width}x${size.height}`,
    );
  return size;
}

/** Reads `imgsz` of Ultralytics: [height, width], or one number for both. */
function sizeInMetadata({ metadata }: Outline): Size | null {
  try {
    const value = parsePythonLiteral(metadata.get('imgsz') ?? '');
    const [height, width] = Array.isArray(value) ? value : [value, value];
    const isSize = [height, width].every((side) => Number.isInteger(side) && Number(side) > 0);
    return isSize ? { width: Number(width), height: Number(height) } : null;
  } catch {
    return null;
  }
}
