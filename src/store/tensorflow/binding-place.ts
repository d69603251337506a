import { readFileSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** Where npm put `@tensorflow/tfjs-node-gpu`, and where in it the package looks for its binding. */
export interface BindingPlace {
  readonly packageDir: string;
  /** Of the npm package. */
  readonly version: string;
  /** Node-API version that the binding is built for: the highest that both the package and this Node know. */
  readonly napiVersion: number;
  /** `lib/napi-v8/tfjs_binding.node` in the package. */
  readonly bindingPath: string;
}

/** What `setup:tensorflow` wrote beside a binding that it built. */
export interface SetupRecord {
  /** Of libtensorflow, as the library says. */
  readonly tensorflow: string;
  readonly flavour: 'cpu' | 'gpu' | 'folder';
  /** Wheels that were unpacked, with their versions. */
  readonly packages: Readonly<Record<string, string>>;
}

export const SETUP_RECORD_NAME = 'setup.json';

/** Finds the npm package; null where it is not installed. */
export function findBindingPlace(napi: string = process.versions.napi ?? '0'): BindingPlace | null {
  let manifestPath: string;
  try {
    manifestPath = createRequire(import.meta.url).resolve('@tensorflow/tfjs-node-gpu/package.json');
  } catch {
    return null;
  }
  const { version, binary } = JSON.parse(readFileSync(manifestPath, 'utf8')) as {
    version: string;
    binary: { napi_versions: number[] };
  };
  const napiVersion = Math.max(...binary.napi_versions.filter((known) => known <= Number(napi)));
  const packageDir = dirname(manifestPath);
  const bindingPath = join(packageDir, 'lib', `napi-v${napiVersion}`, 'tfjs_binding.node');
  return { packageDir, version, napiVersion, bindingPath };
}

/** What was set up; null where there is no binding, `stock` where one is there that we did not build. */
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
