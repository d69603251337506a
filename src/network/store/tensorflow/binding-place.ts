import { readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { findProvided } from '../packages/provide-package.ts';

/** Folder of `@tensorflow/tfjs-node-gpu`, and the path in it where the package looks for its binding. */
export interface BindingPlace {
  readonly packageDir: string;
  /** Version of the npm package. */
  readonly version: string;
  /** Node-API version that the binding is built for: the highest that both the package and this Node support. */
  readonly napiVersion: number;
  /** `lib/napi-v8/tfjs_binding.node` in the package. */
  readonly bindingPath: string;
}

/** The record that `setup tensorflow` writes beside a binding that it built. */
export interface SetupRecord {
  /** Version that libtensorflow reports. */
  readonly tensorflow: string;
  readonly flavour: 'cpu' | 'gpu' | 'folder';
  /** Versions of the unpacked wheels. */
  readonly packages: Readonly<Record<string, string>>;
}

export const SETUP_RECORD_NAME = 'setup.json';

/** Finds the npm package, beside this one or in the cache; null if it is in neither. */
export function findBindingPlace(cacheDir: string, napi: string = process.versions.napi ?? '0'): BindingPlace | null {
  const manifestPath = findProvided('@tensorflow/tfjs-node-gpu', cacheDir);
  if (manifestPath === null) return null;
  const { version, binary } = JSON.parse(readFileSync(manifestPath, 'utf8')) as {
    version: string;
    binary: { napi_versions: number[] };
  };
  const napiVersion = Math.max(...binary.napi_versions.filter((known) => known <= Number(napi)));
  const packageDir = dirname(manifestPath);
  const bindingPath = join(packageDir, 'lib', `napi-v${napiVersion}`, 'tfjs_binding.node');
  return { packageDir, version, napiVersion, bindingPath };
}

/** Reads the record of the set-up; null if there is no binding, `stock` if the binding was not built by the set-up. */
export function readSetupRecord({ bindingPath }: BindingPlace): SetupRecord | 'stock' | null {
  let folder: string;
  try {
    folder = dirname(realpathSync(bindingPath));
  } catch {
    return null;
  }
  try {
    return JSON.parse(readFileSync(join(folder, SETUP_RECORD_NAME), 'utf8')) as SetupRecord;
  } catch {
    return 'stock';
  }
}
