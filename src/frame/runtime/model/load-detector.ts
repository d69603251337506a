import { realPaths } from '../../../base/disk/real-path.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { admitModelFile, isModelPath, isOnnxFile, type ModelRoots } from '../../../network/store/admit-model.ts';
import {
  loadManifest,
  localSources,
  type Manifest,
  readForeignManifest,
  userModelFolder,
} from '../../../network/store/manifests.ts';
import type { Environment } from '../../../settings/config/environment.ts';
import { type ModelConfig, parseInputSize } from '../../../settings/config/model-config.ts';
import { type DetectorPlaces, type DetectorRequest, fileSettings } from './detector-request.ts';

/** Folders that are searched for manifests by name, besides the built-in ones. */
export function manifestFolders({ searchPath, cacheDir }: DetectorPlaces): string[] {
  return [...searchPath, userModelFolder(cacheDir)];
}

/**
 * Reads the manifest of a detector, or infers one from an ONNX file.
 *
 * @param nameOrPath - name of a built-in or user manifest, path of a manifest, or path of a file that ends in .onnx.
 * Throws MODEL_NOT_FOUND, MODEL_INVALID; for an ONNX file MODEL_UNSUPPORTED, MODEL_AMBIGUOUS and, for a wrong list of
 * labels, COMMAND_INVALID; CONFIG_INVALID if settings for an ONNX file were given with a manifest; MODEL_FORBIDDEN if
 * `modelRoots` do not admit a path.
 */
export async function loadDetector(nameOrPath: string, request: DetectorRequest): Promise<Manifest> {
  const { modelRoots } = request;
  const admitted =
    modelRoots !== undefined && isModelPath(nameOrPath) ? await admitModelFile(nameOrPath, 'model', modelRoots) : null;
  if (isOnnxFile(nameOrPath)) {
    // Reading graphs takes 40 files, which a manifest does not need.
    const { inferManifest } = await import('./infer-manifest.ts');
    return inferManifest(admitted?.path ?? nameOrPath, request);
  }
  const given = Object.entries(request.settings ?? {}).filter(([, value]) => value !== undefined);
  if (given.length > 0) {
    const names = given.map(([name]) => name).join(', ');
    throw new SightlineError(
      'CONFIG_INVALID',
      `model ${nameOrPath}: ${names} can be set for an ONNX file only; a manifest defines its own`,
    );
  }
  if (admitted === null || modelRoots === undefined) return loadManifest(nameOrPath, manifestFolders(request));
  const manifest = await readForeignManifest(admitted);
  // A manifest that the pipeline file of this host names may have its weights anywhere.
  if ((await realPaths(modelRoots.files)).includes(admitted.path)) return manifest;
  for (const path of manifest.files.flatMap((file) => localSources(manifest, file)))
    await admitModelFile(path, `a file of model ${manifest.name}`, modelRoots).catch((error: unknown) => {
      // The weights may come from a search folder or another source.
      if (!(error instanceof SightlineError) || error.code !== 'MODEL_NOT_FOUND') throw error;
    });
  return manifest;
}

/** Calls `loadDetector` for the model of a configuration. */
export function loadConfigured(
  model: ModelConfig,
  { modelPath, cacheDir }: Environment,
  modelRoots?: ModelRoots,
  onNotice?: (text: string) => void,
): Promise<Manifest> {
  const inputSize = model.inputSize === undefined ? undefined : parseInputSize(model.inputSize);
  const settings = fileSettings(model);
  return loadDetector(model.name, { searchPath: modelPath, cacheDir, settings, inputSize, modelRoots, onNotice });
}
