import { access, constants, copyFile, mkdir, stat, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { stringify } from 'yaml';
import { replaceFile } from '../../base/disk/replace-file.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { readBuiltInClasses } from './class-names.ts';
import { loadManifest, type Manifest, userModelFolder } from './manifests.ts';

/**
 * Chooses the folder for a user's manifests: the first writable folder of the search path, else a subfolder of the cache, which
 * is created.
 */
export async function writableModelFolder(searchPath: readonly string[], cacheDir: string): Promise<string> {
  for (const folder of searchPath) {
    if (await isWritable(folder)) return folder;
  }
  const folder = userModelFolder(cacheDir);
  await mkdir(folder, { recursive: true });
  return folder;
}

async function isWritable(folder: string): Promise<boolean> {
  try {
    await access(folder, constants.W_OK);
    const stats = await stat(folder);
    // Root can write to any folder, so respect a folder without write permissions here.
    return stats.isDirectory() && (stats.mode & 0o222) !== 0;
  } catch {
    return false;
  }
}

/**
 * Writes a manifest as `NAME.yaml`, atomically, after reading it back to check it.
 *
 * @returns the path.
 * @throws MODEL_INVALID if the manifest fails the schema; then no file is written.
 */
export async function saveManifest(manifest: Manifest, folder: string): Promise<string> {
  const { path: _, ...document } = manifest;
  const coco = await readBuiltInClasses('coco-80');
  const isCoco = coco.length === document.classes.length && coco.every((name, at) => name === document.classes[at]);
  const path = join(folder, `${manifest.name}.yaml`);
  const text = stringify({ ...document, classes: isCoco ? 'coco-80' : [...document.classes] });
  try {
    await mkdir(folder, { recursive: true });
    await replaceFile(path, async (temporaryPath) => {
      await writeFile(temporaryPath, text);
      await loadManifest(resolve(temporaryPath));
    });
  } catch (error) {
    if (error instanceof SightlineError) throw error;
    throw new SightlineError(
      'COMMAND_INVALID',
      `${path}: the manifest cannot be written (${(error as Error).message})`,
    );
  }
  return path;
}

/** Copies weights beside a manifest; readers see the whole file or none. */
export async function copyWeights(from: string, to: string): Promise<void> {
  try {
    await replaceFile(to, (temporaryPath) => copyFile(from, temporaryPath));
  } catch (error) {
    throw new SightlineError('COMMAND_INVALID', `${to}: the weights cannot be copied (${(error as Error).message})`);
  }
}
