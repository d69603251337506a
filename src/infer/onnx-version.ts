import { createRequire } from 'node:module';

/** Version of ONNX Runtime, read without loading it; null where it is not installed. */
export function onnxRuntimeVersion(): string | null {
  try {
    const { version } = createRequire(import.meta.url)('onnxruntime-node/package.json') as { version: string };
    return version;
  } catch {
    return null;
  }
}
