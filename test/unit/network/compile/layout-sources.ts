import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import type { CompileSource } from '../../../../src/network/compile/compile-source.ts';
import { sharedDir } from '../../../support/shared.ts';

const models = join(sharedDir ?? '', 'models');

interface Layout {
  readonly file: string;
  readonly graph: { readonly outputs: Record<string, unknown> };
  readonly input: {
    readonly width: number;
    readonly height: number;
    readonly layout: 'NCHW' | 'NHWC';
    readonly range: readonly [number, number];
  };
}

/** Picture input of the files whose input is not named `images`. */
const INPUTS: Readonly<Record<string, string>> = {
  'detr_hf.onnx': 'pixel_values',
  'detr_rfdetr.onnx': 'input',
  'ssd_tf.onnx': 'input_tensor',
};

/** Compile sources of the exporters' files in `layouts/`, by file and size; empty without the shared models. */
export const LAYOUTS: ReadonlyMap<string, CompileSource> = new Map(
  readLayouts().map((layout) => {
    const { width, height } = layout.input;
    const name = `${layout.file} ${width}x${height}`;
    const outputs = Object.fromEntries(Object.keys(layout.graph.outputs).map((output) => [output, output]));
    return [
      name,
      source(join('layouts', layout.file), {
        tensor: INPUTS[layout.file] ?? 'images',
        layout: layout.input.layout === 'NHWC' ? 'nhwc' : 'nchw',
        range: layout.input.range,
        width,
        height,
        outputs,
        batch: layout.file.includes('dynamic') ? 'free' : 1,
      }),
    ];
  }),
);

function readLayouts(): Layout[] {
  if (sharedDir === null) return [];
  const path = join(models, 'layouts', 'expected.json');
  return (JSON.parse(readFileSync(path, 'utf8')) as { layouts: Layout[] }).layouts;
}

/** A source with a family that has no requirements on the graph. */
export function source(
  file: string,
  {
    tensor,
    layout,
    range,
    width,
    height,
    outputs,
    batch,
  }: Omit<CompileSource['input'], 'colours' | 'sizeTensor'> & Pick<CompileSource, 'outputs' | 'batch'>,
): CompileSource {
  return {
    spec: {
      name: file.replace(/^.*\//, '').replace('.onnx', ''),
      family: 'centernet',
      input: { width, height, resize: { mode: 'stretch' } },
      classes: [],
      nmsIou: null,
      scoreThreshold: 0,
      classesPerBox: 'best',
      maxDetections: 300,
    },
    format: 'onnx',
    input: { tensor, sizeTensor: null, layout, width, height, colours: 'rgb', range },
    outputs,
    batch,
    weightPaths: [join(models, file)],
  };
}

/** Three pictures of COCO, u8 [height, width, 3]. */
export async function pictures(width: number, height: number): Promise<Uint8Array[]> {
  const images = join(sharedDir ?? '', 'coco-val-100', 'images');
  const names = readdirSync(images).slice(0, 3);
  return Promise.all(
    names.map(async (name) => {
      const picture = sharp(join(images, name))
        .resize(width, height, { fit: 'fill' })
        .toColourspace('srgb')
        .removeAlpha();
      return new Uint8Array(await picture.raw().toBuffer());
    }),
  );
}
