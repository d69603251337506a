import type { Tensor } from 'onnxruntime-node';
import { onnxRuntime } from '../../../base/process/fetched-packages.ts';
import { externalPaths } from '../onnx/external-paths.ts';
import { halfTensor } from '../onnx/half-tensor.ts';
import type { Outline, Port } from './outline.ts';
import { pictureInput } from './picture-input.ts';

/**
 * Runs a network once on a black picture to get the shapes of its outputs, if the file leaves them open. The batch axis stays as
 * declared.
 *
 * @param size - of the picture, for a network with free axes.
 * @returns the outline with the shapes; null if they are known already, or the network cannot be run.
 */
export async function measureOutputs(
  outline: Outline,
  size: { readonly width: number; readonly height: number } | undefined,
): Promise<Outline | null> {
  const isOpen = ({ dims }: Port) => dims === null || dims.slice(1).some((dim) => typeof dim === 'string');
  if (!outline.outputs.some(isOpen)) return null;
  const picture = pictureInput(outline, size);
  const { width, height, type, layout, tensor, sizeTensor } = picture;
  const batch = picture.batch === 'free' ? 1 : picture.batch;
  const dims = layout === 'nchw' ? [batch, 3, height, width] : [batch, height, width, 3];
  const count = batch * 3 * width * height;
  const ort = onnxRuntime();
  const values = {
    f32: () => new ort.Tensor('float32', new Float32Array(count), dims),
    f16: () => halfTensor(new Uint16Array(count), dims),
    u8: () => new ort.Tensor('uint8', new Uint8Array(count), dims),
  };
  const feeds: Record<string, Tensor> = { [tensor]: values[type]() };
  if (sizeTensor !== null) {
    const sides = Array.from({ length: batch }, () => [BigInt(width), BigInt(height)]).flat();
    feeds[sizeTensor] = new ort.Tensor('int64', BigInt64Array.from(sides), [batch, 2]);
  }
  try {
    await externalPaths(outline.path);
    const session = await ort.InferenceSession.create(outline.path, { intraOpNumThreads: 1, logSeverityLevel: 4 });
    try {
      const results = await session.run(feeds);
      const measured = (port: Port): Port => {
        const shape = results[port.name]?.dims;
        return shape === undefined ? port : { ...port, dims: [port.dims?.[0] ?? shape[0]!, ...shape.slice(1)] };
      };
      return { ...outline, outputs: outline.outputs.map(measured) };
    } finally {
      await session.release();
    }
  } catch {
    // The error is reported when the network is compiled or loaded.
    return null;
  }
}
