import { z } from 'zod';
import {
  MODEL_FAMILIES,
  MODEL_TASKS,
  type ModelFamily,
  READER_FAMILIES,
  type ReaderFamily,
  taskOf,
} from '../../base/core/model.ts';

const SOURCE_PATTERN = /^(npm:(@[^/@#]+\/)?[^/@#]+@[^@#/]+#[^#]+|https:\/\/[^\s]+|file:[^\s].*)$/;

const sidePx = z.int().positive().max(8192);

const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'expected 64 lower-case hexadecimal digits');

const weightsFile = z.strictObject({
  name: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, 'expected a plain file name')
    .describe('Name of the file in search folders and in the cache.'),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/, 'expected 64 lower-case hexadecimal digits')
    .nullable()
    .describe('Hash of the file; null if it is not known: then it is recorded at the first fetch.'),
  sources: z
    .array(z.string().regex(SOURCE_PATTERN, 'expected npm:PACKAGE@VERSION#path/in/package, https://... or file:...'))
    .describe('Where the file can be fetched, best first.'),
});

const kernel = z
  .enum(['linear', 'antialiased-linear', 'area', 'cubic', 'vips-linear'])
  .default('antialiased-linear')
  .describe(
    "Interpolation: linear as OpenCV's INTER_LINEAR, antialiased-linear as Pillow's BILINEAR, area and cubic as OpenCV's INTER_AREA and INTER_CUBIC, vips-linear as libvips, which shifts an enlarged picture by half a pixel.",
  );

const resizeRule = z.discriminatedUnion('mode', [
  z.strictObject({ mode: z.literal('stretch'), kernel }),
  z.strictObject({
    mode: z.literal('crop'),
    share: z
      .number()
      .gt(0)
      .max(1)
      .describe(
        'Part of the shorter side of the picture that fills the input, from its middle: 224 / 256 as torchvision.',
      ),
    kernel,
  }),
  z.strictObject({
    mode: z.literal('letterbox'),
    anchor: z.enum(['top-left', 'center']).describe('Position of the picture in the input.'),
    padValue: z.int().min(0).max(255).describe('Grey level of the border.'),
    kernel,
    rounding: z
      .enum(['floor', 'round'])
      .default('round')
      .describe('How the scaled size of the picture is rounded to whole pixels.'),
  }),
]);

const factor = z.number().positive();

const networkInput = z.strictObject({
  tensor: z.string().min(1).describe("Name of the picture's input in the published file."),
  sizeTensor: z
    .string()
    .min(1)
    .nullable()
    .default(null)
    .describe('Name of an i64 [n, 2] input for the width and height that boxes are scaled to.'),
  layout: z.enum(['nchw', 'nhwc']).describe('Order of axes in the published file.'),
  width: sidePx,
  height: sidePx,
  anySize: z
    .boolean()
    .optional()
    .describe('Whether it can be compiled for any input size; if absent, the family decides.'),
  colours: z.enum(['rgb', 'bgr']),
  range: z.tuple([z.number(), z.number()]).describe('Values of black and white, before mean and deviation.'),
  mean: z
    .tuple([z.number(), z.number(), z.number()])
    .default([0, 0, 0])
    .describe("Subtracted from each channel, in the units of range and the order of the network's colours."),
  deviation: z
    .tuple([factor, factor, factor])
    .default([1, 1, 1])
    .describe('Divisor of each channel, applied after the mean.'),
  resize: resizeRule.describe('How a picture is fitted into the input.'),
});

const averagePrecision = z.number().min(0).max(1);

/** Sets of output names that the decode function of a family accepts; for `gfl` see `gflOutputs`. Those of `heads` are its heads. */
const OUTPUT_NAMES: Readonly<
  Record<Exclude<ModelFamily | ReaderFamily, 'gfl' | 'heads'>, readonly (readonly string[])[]>
> = {
  centernet: [['detections']],
  yolox: [['predictions']],
  yolov5: [['predictions']],
  yolov8: [['predictions']],
  'yolo-end2end': [['detections']],
  detr: [['boxes', 'logits'], ['predictions'], ['detections']],
  deimv2: [['boxes', 'labels', 'scores']],
  ssd: [['boxes', 'classes', 'count', 'scores']],
  rtmdet: [['boxes', 'labels']],
  'rtmdet-ins': [['boxes', 'labels', 'prototypes']],
  'yolov5-seg': [['predictions', 'prototypes']],
  'yolov8-seg': [['predictions', 'prototypes']],
  'yolov8-pose': [['predictions']],
  'yolov8-obb': [['predictions']],
  rtmpose: [['x', 'y']],
  yunet: [['ious', 'predictions', 'scores']],
  classifier: [['logits'], ['probabilities']],
  labels: [['scores']],
  ctc: [['scores']],
  slots: [['scores']],
  embedding: [['vector']],
};

/** Returns the outputs of a `gfl` detector: two for each stride that the manifest names. */
function gflOutputs(names: readonly string[]): string[] {
  const strides = [8, 16, 32, 64, 128].filter((stride) => names.some((name) => name.endsWith(`-${stride}`)));
  return (strides.length === 0 ? [8, 16, 32] : strides).flatMap((stride) => [
    `scores-${stride}`,
    `distances-${stride}`,
  ]);
}

/** The manifest of one detector. Unknown keys are errors. */
export const manifestSchema = z
  .strictObject({
    name: z.string().regex(/^[a-z0-9][a-z0-9.-]{0,63}$/, 'expected lower-case letters, digits, dots and dashes'),
    family: z.enum([...MODEL_FAMILIES, ...READER_FAMILIES]).describe('Selects the decode function for the outputs.'),
    task: z.enum(MODEL_TASKS).optional().describe('What it finds; that of its family, which is the default.'),
    keypoints: z
      .int()
      .min(1)
      .max(256)
      .optional()
      .describe('Number of key points of an object. Needed for task keypoints, and only there.'),
    description: z.string().min(1),
    licence: z
      .strictObject({ name: z.string().min(1), url: z.url() })
      .nullable()
      .describe('Terms of the weights; null if they are not known.'),
    reported: z
      .strictObject({
        ap: averagePrecision.describe("With the publisher's own preprocessing, done by sharp."),
        apByFfmpeg: averagePrecision
          .nullable()
          .default(null)
          .describe('With ffmpeg scaling the picture, as for live video; null if it was not measured.'),
        f16Loss: z
          .number()
          .min(-1)
          .max(1)
          .nullable()
          .default(null)
          .describe('What computing in f16 costs of `ap`, measured; null if it was not. `precision: auto` goes by it.'),
        on: z.string().min(1).describe('Pictures and input size.'),
        measured: z
          .strictObject({
            pictures: z.int().positive().describe('Number of labelled pictures.'),
            labels: sha256.describe('Hash of the pictures and their labels, as "sightline eval --json" prints it.'),
            weights: z
              .array(sha256)
              .min(1)
              .describe('Hashes of its files then: a figure does not hold for other weights.'),
          })
          .nullable()
          .default(null)
          .describe(
            'On what `ap` was measured: two figures are compared only if the labels are the same; null if it was published.',
          ),
      })
      .nullable()
      .describe(
        'COCO average precision, measured or published, and the data it was measured on; null if it is not known.',
      ),
    format: z.enum(['tfjs', 'onnx']),
    archiveMb: z
      .number()
      .positive()
      .optional()
      .describe('Size of the npm package that holds the files, in megabytes; progress counts up to it.'),
    files: z.array(weightsFile).min(1).describe('The model file first, then the files it needs, in order.'),
    input: networkInput,
    outputs: z
      .record(z.string(), z.string())
      .refine((outputs) => Object.keys(outputs).length > 0, 'expected at least one output')
      .describe(
        'Maps the name that the decode function uses to the name in the file; of family heads, the attribute that each gives.',
      ),
    batch: z.union([z.literal('free'), z.int().positive()]).describe('Batch sizes that the published file takes.'),
    classes: z
      .union([z.literal('coco-80'), z.array(z.string().min(1)).min(1)])
      .describe(
        'Of family heads: those of all heads, one after the other. Of family labels: the labels. Of a reader of text: its characters.',
      ),
    nmsIou: z.number().gt(0).max(1).nullable().describe('IoU for suppression; null if the network needs none.'),
    scoreThreshold: z.number().min(0).max(1).describe('Default threshold: boxes with a lower score are not reported.'),
    maxDetections: z.int().positive().describe('Maximum number of boxes per frame.'),
    classesPerBox: z
      .enum(['best', 'all'])
      .default('best')
      .describe('Classes reported for one box: only the best, or each that reaches the threshold.'),
  })
  .superRefine((manifest, context) => {
    const names = Object.keys(manifest.outputs);
    if (manifest.family === 'heads') return;
    const sets = manifest.family === 'gfl' ? [gflOutputs(names).sort()] : OUTPUT_NAMES[manifest.family];
    const expected = sets.map((set) => set.join(', '));
    if (!expected.includes(names.sort().join(', '))) {
      const message = `expected the keys ${expected.join(', or ')} for family ${manifest.family}`;
      context.addIssue({ code: 'custom', path: ['outputs'], message, input: manifest.outputs });
    }
    const task = taskOf(manifest.family);
    if (manifest.task !== undefined && manifest.task !== task) {
      const message = `expected ${task} for family ${manifest.family}`;
      context.addIssue({ code: 'custom', path: ['task'], message, input: manifest.task });
    }
    if ((manifest.keypoints !== undefined) !== (task === 'keypoints')) {
      const message = `expected ${task === 'keypoints' ? 'a whole number' : 'nothing'} for family ${manifest.family}`;
      context.addIssue({ code: 'custom', path: ['keypoints'], message, input: manifest.keypoints });
    }
  });

export type ManifestFile = z.infer<typeof weightsFile>;
export type ManifestDocument = z.infer<typeof manifestSchema>;
