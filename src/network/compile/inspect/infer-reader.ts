import type { ReaderFamily, ResizeRule } from '../../../base/core/model.ts';
import type { NetworkInput } from '../network-input.ts';
import type { DetectorHints, InferredDetector } from './infer-detector.ts';
import { describePort, fault, type Outline, type Port } from './outline.ts';
import { type PictureInput, pictureInput } from './picture-input.ts';

/** The part of a manifest that is inferred from a network that reads crops. */
export interface InferredReader extends Omit<InferredDetector, 'family'> {
  readonly family: ReaderFamily;
}

interface ReaderHints extends Omit<DetectorHints, 'family'> {
  readonly family?: ReaderFamily | undefined;
}

/** Preparation without colours that the file states, and the input of a network with free axes. */
type Preparation = Pick<NetworkInput, 'colours' | 'range' | 'mean' | 'deviation' | 'width' | 'height'> & {
  readonly resize: ResizeRule;
};

/** As torchvision trains: mean and deviation of ImageNet. */
const IMAGENET: Preparation = {
  colours: 'rgb',
  range: [0, 1],
  mean: [0.485, 0.456, 0.406],
  deviation: [0.229, 0.224, 0.225],
  width: 224,
  height: 224,
  resize: { mode: 'stretch', kernel: 'linear' },
};

/** What a family is usually trained with, and its outputs in words. */
const USUAL: Readonly<Record<ReaderFamily, Preparation & { readonly shape: string }>> = {
  heads: { ...IMAGENET, shape: 'each output [n, classes]' },
  labels: { ...IMAGENET, shape: 'one output [n, labels] that ends in a sigmoid' },
  ctc: {
    colours: 'bgr',
    range: [-1, 1],
    width: 320,
    height: 48,
    shape: 'one output [n, steps, 1 + characters]',
    // Grey is 0 in the network, as its tools fill.
    resize: { mode: 'letterbox', anchor: 'top-left', padValue: 128, kernel: 'linear', rounding: 'round' },
  },
  slots: {
    ...IMAGENET,
    range: [0, 255],
    mean: [0, 0, 0],
    deviation: [1, 1, 1],
    shape: 'one output [n, slots, characters]',
  },
  embedding: { ...IMAGENET, width: 128, height: 256, shape: 'one output [n, length]' },
};

/** Characters of networks for number plates that name none: the last fills empty slots. */
const PLATE_CHARACTERS = [...'0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_'];

/**
 * Infers the manifest of an ONNX file that reads crops of objects. Without a family in the hints it recognises text whose characters are in
 * the metadata, number plates, several heads, and labels beside other outputs.
 *
 * @returns null if it is none of these.
 * @throws MODEL_AMBIGUOUS if the family of the hints does not fit the outputs, if several outputs end in a sigmoid, or text has no characters; as `pictureInput` does.
 */
export function inferReader(outline: Outline, hints: ReaderHints): InferredReader | null {
  const family = hints.family ?? recognise(outline);
  if (family === null) return null;
  const outputs = outputsOf(family, outline);
  if (outputs === null)
    throw fault(
      'MODEL_AMBIGUOUS',
      outline,
      `family ${family} expects ${USUAL[family].shape}; its outputs are ${outline.outputs.map(describePort).join('; ') || 'none'}`,
    );
  const ports = Object.values(outputs);
  const { width, height } = USUAL[family];
  const picture = pictureInput(outline, hints.inputSize ?? { width, height });
  const classNames = family === 'ctc' || family === 'slots' ? charactersOf(family, ports[0]!, outline, hints) : null;
  return {
    family,
    input: inputOf(family, picture, hints),
    outputs: namesOf(outputs),
    batch: picture.batch,
    classNames: family === 'embedding' ? ['embedding'] : classNames,
    classCount: classCountOf(family, ports),
    nmsIou: null,
  };
}

function recognise(outline: Outline): ReaderFamily | null {
  const { outputs, metadata } = outline;
  if (metadata.has('character') && outputs.some(isSequence)) return 'ctc';
  if (plateOf(outputs) !== undefined) return 'slots';
  const heads = outputs.map(lengthOf);
  if (!heads.every((length) => length !== null && length > 1)) return null;
  if (heads.length < 2) return null;
  if (!outputs.some(isOfSigmoid)) return 'heads';
  // Each number stands for itself: no class is the best of them.
  if (labelsOf(outputs) !== undefined) return 'labels';
  throw fault(
    'MODEL_AMBIGUOUS',
    outline,
    'outputs that end in a sigmoid are labels, each by itself, or places in the picture, and several can be labels; its outputs are ' +
      `${outputs.map((port) => `${describePort(port)} (${port.operator ?? 'of an unknown operator'})`).join('; ')}. ` +
      'Write a manifest of family labels that names the output of the labels, or give the family heads if one class of each output holds',
  );
}

function isOfSigmoid({ operator }: Port): boolean {
  return operator === 'Sigmoid';
}

/** Two numbers beside others are a point. */
const POINT_LENGTH = 2;

/** The only output whose numbers are labels, each by itself. */
function labelsOf(outputs: readonly Port[]): Port | undefined {
  if (outputs.length === 1) return outputs[0];
  const found = outputs.filter((port) => isOfSigmoid(port) && (lengthOf(port) ?? 0) > POINT_LENGTH);
  return found.length === 1 ? found[0] : undefined;
}

function plateOf(outputs: readonly Port[]): Port | undefined {
  return outputs.find((port) => isSequence(port) && port.dims!.at(-1) === PLATE_CHARACTERS.length);
}

/** [n, steps, scores]. */
function isSequence({ dims }: Port): boolean {
  return dims?.length === 3;
}

/** Numbers of an output [n, length] or [n, length, 1, 1]; null for another shape. */
function lengthOf({ dims }: Port): number | null {
  const [, length, ...rest] = dims ?? [];
  const isFlat = rest.every((size) => size === 1) && (rest.length === 0 || rest.length === 2);
  return isFlat && typeof length === 'number' ? length : null;
}

/** Returns the outputs by the names that the decoder uses; null if the family has none like them. */
function outputsOf(family: ReaderFamily, { outputs }: Outline): Readonly<Record<string, Port>> | null {
  const first = (name: string, port: Port | undefined) => (port === undefined ? null : { [name]: port });
  switch (family) {
    case 'heads':
      return outputs.length > 0 && outputs.every((port) => lengthOf(port) !== null)
        ? Object.fromEntries(outputs.map((port) => [port.name, port]))
        : null;
    case 'labels': {
      const port = labelsOf(outputs);
      return first('scores', port !== undefined && lengthOf(port) !== null ? port : undefined);
    }
    case 'embedding':
      return first('vector', outputs.length === 1 && lengthOf(outputs[0]!) !== null ? outputs[0] : undefined);
    case 'slots':
      return first('scores', plateOf(outputs) ?? outputs.find(isSequence));
    case 'ctc':
      return first('scores', outputs.find(isSequence));
  }
}

function namesOf(outputs: Readonly<Record<string, Port>>): Record<string, string> {
  return Object.fromEntries(Object.entries(outputs).map(([name, port]) => [name, port.name]));
}

function classCountOf(family: ReaderFamily, ports: readonly Port[]): number | null {
  if (family === 'embedding') return 1;
  if (family === 'heads') return ports.reduce((sum, port) => sum + lengthOf(port)!, 0);
  if (family === 'labels') return lengthOf(ports[0]!);
  const scores = ports[0]!.dims!.at(-1)!;
  return typeof scores === 'number' ? scores - Number(family === 'ctc') : null;
}

/** Null if the user lists them. */
function charactersOf(
  family: 'ctc' | 'slots',
  port: Port,
  outline: Outline,
  { classCount }: ReaderHints,
): readonly string[] | null {
  if (classCount !== undefined) return null;
  const scores = port.dims!.at(-1);
  const written = outline.metadata.get('character');
  if (family === 'slots' && scores === PLATE_CHARACTERS.length) return PLATE_CHARACTERS;
  if (written === undefined)
    throw fault(
      'MODEL_AMBIGUOUS',
      outline,
      `expected its characters in the metadata "character", or in a file that labels names, one a line; it has ${scores} scores for each place`,
    );
  const characters = written.replace(/\r?\n$/, '').split(/\r?\n/);
  // The tools of these networks add a space that the list does not have.
  return family === 'ctc' && scores === characters.length + 2 ? [...characters, ' '] : characters;
}

function inputOf(family: ReaderFamily, picture: PictureInput, hints: ReaderHints): InferredReader['input'] {
  const { shape: _, ...usual } = USUAL[family];
  const { tensor, sizeTensor, layout, width, height, type } = picture;
  // Levels that the user states are all that is done to them.
  const white = type === 'u8' ? 255 : hints.white;
  const levels =
    white === undefined ? {} : { range: [0, white] as const, mean: [0, 0, 0] as const, deviation: [1, 1, 1] as const };
  const resize: ResizeRule =
    hints.resize === undefined
      ? usual.resize
      : hints.resize === 'stretch'
        ? { mode: 'stretch', kernel: 'linear' }
        : {
            mode: 'letterbox',
            anchor: hints.resize === 'letterbox' ? 'center' : 'top-left',
            padValue: 128,
            kernel: 'linear',
            rounding: 'round',
          };
  return {
    ...usual,
    ...levels,
    tensor,
    sizeTensor,
    layout,
    width,
    height,
    colours: hints.colours ?? usual.colours,
    resize,
  };
}
