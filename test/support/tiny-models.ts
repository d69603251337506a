import { type Graph, i64Tensor } from '../../src/network/compile/graph.ts';
import { GraphBuilder } from '../../src/network/compile/graph-builder.ts';

/** A graph whose metadata declare the layout of YOLOv8. It is never run. */
export function tinyYolov8(classes: number): Graph {
  const builder = new GraphBuilder('');
  const shape = builder.constant('shape', i64Tensor([3], [1, 4 + classes, -1]));
  builder.node('Reshape', 'out', ['images', shape]);
  return builder.finish({
    name: 'tiny',
    opset: 17,
    inputs: [{ name: 'images', type: 'f32', dims: [1, 3, 640, 640] }],
    outputs: [{ name: 'out', type: 'f32', dims: [1, 4 + classes, 8400] }],
  });
}

/** A valid manifest in YAML, with one file that has no known hash. */
export function manifestText(name: string, file: string): string {
  return `name: ${name}
family: yolox
description: A network.
licence: null
reported: null
format: onnx
files: [{ name: own.onnx, sha256: null, sources: ['file:${file}'] }]
input: { tensor: images, layout: nchw, width: 64, height: 64, colours: bgr, range: [0, 255], resize: { mode: stretch } }
outputs: { predictions: out }
batch: 1
classes: [thing]
nmsIou: 0.5
scoreThreshold: 0.3
maxDetections: 10
`;
}
