import { createRequire } from 'node:module';

/** Returns the version of ONNX Runtime without loading it; null if it is not installed. */
export function onnxRuntimeVersion(): string | null {
  try {
    const { version } = createRequire(import.meta.url)('onnxruntime-node/package.json') as { version: string };
    return version;
  } catch {
    return null;
  }
}
