import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import { distance } from 'fastest-levenshtein';
import { glob } from 'tinyglobby';
import type { z } from 'zod';
import { type ModelSpec, taskOf } from '../../base/core/model.ts';
import { MOST_BYTES, readGivenText } from '../../base/disk/given-file.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { parseYaml } from '../../settings/config/parse-yaml.ts';
import { type AdmittedFile, isManifestPath } from './admit-model.ts';
import { readBuiltInClasses } from './class-names.ts';
import { type ManifestDocument, type ManifestFile, manifestSchema } from './manifest-schema.ts';
import { packageRoot } from './package-root.ts';

/** A manifest that passed its schema. */
export interface Manifest extends Omit<ManifestDocument, 'classes'> {
  /** File that the manifest was read from. */
  readonly path: string;
  /** Label of each class id. */
  readonly classes: readonly string[];
}

/** Reads every built-in manifest, by name. @throws MODEL_INVALID if one is malformed. */
export async function listManifests(): Promise<Manifest[]> {
  const paths = await builtInPaths();
  return Promise.all(Array.from(paths.values(), (path) => readManifest(path)));
}

/** Returns the cache subfolder for the manifests and weights that a user adds. */
export function userModelFolder(cacheDir: string): string {
  return join(cacheDir, 'models');
}

/**
 * Reads the user's manifests in some folders, by name. Manifests with the name of a built-in one are left out.
 *
 * @param onProblem - called for each YAML file that has a `family`, so is meant as a manifest, but is invalid.
 */
export async function listUserManifests(
  folders: readonly string[],
  onProblem: (text: string) => void,
): Promise<Manifest[]> {
  const builtIn = await builtInPaths();
  const manifests = new Map<string, Manifest>();
  for (const path of await userPaths(folders)) {
    try {
      if (!/^family:/m.test(await readText(path))) continue;
      const manifest = await readManifest(path);
      if (!builtIn.has(manifest.name) && !manifests.has(manifest.name)) manifests.set(manifest.name, manifest);
    } catch (error) {
      onProblem((error as Error).message);
    }
  }
  return [...manifests.values()];
}

/**
 * Reads one manifest.
 *
 * @param nameOrPath - a built-in name, the name of a manifest in one of the folders, or the path of a manifest (anything with
 * a slash or ending in .yaml or .yml).
 * @param folders - folders with the user's manifests, `NAME.yaml`; subfolders are not searched.
 * @throws MODEL_NOT_FOUND with the nearest name; MODEL_INVALID with the key, the expected and the received value.
 */
export async function loadManifest(nameOrPath: string, folders: readonly string[] = []): Promise<Manifest> {
  if (isManifestPath(nameOrPath)) return readManifest(resolve(nameOrPath));
  const own = (await userPaths(folders)).map((path) => [basename(path, '.yaml'), path] as const);
  // Built-in manifests take precedence over the user's, and earlier folders over later ones.
  const paths = new Map([...own.reverse(), ...(await builtInPaths())]);
  const path = paths.get(nameOrPath);
  if (path !== undefined) return readManifest(path);
  const names = [...paths.keys()];
  const nearest = names.reduce((best, name) => (distance(name, nameOrPath) < distance(best, nameOrPath) ? name : best));
  throw new SightlineError(
    'MODEL_NOT_FOUND',
    `model ${nameOrPath}: no manifest has this name. Did you mean ${nearest}? Known: ${names.join(', ')}; or give the path of a manifest or of an ONNX file`,
    { model: nameOrPath, nearest },
  );
}

/** If ffmpeg's scaling costs a detector more AP than this, sharp scales its pictures. The 1e-9 allows for rounding. */
const MAX_AP_LOSS = 0.005 + 1e-9;

/** Returns what the stages need to know about a detector, at its published input size. */
export function modelSpec(manifest: Manifest): ModelSpec {
  const { name, family, classes, nmsIou, scoreThreshold, maxDetections, classesPerBox } = manifest;
  const { width, height, resize } = manifest.input;
  const input = { width, height, resize };
  const { ap, apByFfmpeg } = { ap: 0, apByFfmpeg: null, ...manifest.reported };
  const heads = family === 'heads' ? { heads: Object.keys(manifest.outputs) } : {};
  const resizeBy = apByFfmpeg !== null && ap - apByFfmpeg > MAX_AP_LOSS ? 'sharp' : 'ffmpeg';
  const { keypoints } = manifest;
  const task = taskOf(family);
  return {
    name,
    family,
    input,
    classes,
    nmsIou,
    scoreThreshold,
    maxDetections,
    classesPerBox,
    resizeBy,
    ...heads,
    ...(task === 'boxes' ? {} : { task }),
    ...(keypoints === undefined ? {} : { keypoints }),
  };
}

async function builtInPaths(): Promise<Map<string, string>> {
  const folder = join(packageRoot(), 'models');
  const paths = await glob('*/*.yaml', { cwd: folder, absolute: true });
  return new Map(paths.sort().map((path) => [basename(path, '.yaml'), path]));
}

async function userPaths(folders: readonly string[]): Promise<string[]> {
  const groups = await Promise.all(
    folders.map((folder) => glob('*.yaml', { cwd: folder, absolute: true, onlyFiles: true }).catch(() => [])),
  );
  return groups.flatMap((group) => group.sort());
}

/**
 * Reads a manifest that somebody named over the network. Its errors quote nothing of the file, which may be another one.
 *
 * @throws MODEL_NOT_FOUND, MODEL_INVALID
 */
export async function readForeignManifest({ path, within }: AdmittedFile): Promise<Manifest> {
  try {
    return await readManifest(path, within);
  } catch (error) {
    if (!(error instanceof SightlineError) || error.code !== 'MODEL_INVALID') throw error;
    throw new SightlineError(
      'MODEL_INVALID',
      `${path}: it is no valid manifest; run "sightline models list" on its host`,
      { path },
    );
  }
}

async function readManifest(path: string, within?: readonly string[]): Promise<Manifest> {
  const document = parseManifest(await readText(path, within), path);
  const checked = manifestSchema.safeParse(document, { reportInput: true });
  if (!checked.success) {
    const problems = checked.error.issues.map((issue) => describeIssue(issue, document));
    throw new SightlineError('MODEL_INVALID', `${path}: ${problems.join('; ')}`, { path });
  }
  const { classes } = checked.data;
  return { ...checked.data, path, classes: classes === 'coco-80' ? await readBuiltInClasses(classes) : classes };
}

function readText(path: string, within?: readonly string[]): Promise<string> {
  const as = `${path}: the manifest cannot be read`;
  const given = { code: 'MODEL_NOT_FOUND', as, mostBytes: MOST_BYTES.settings } as const;
  return readGivenText(path, { ...given, within });
}

function parseManifest(text: string, path: string): unknown {
  if (text.includes('\0') || text.includes('\ufffd'))
    throw new SightlineError('MODEL_INVALID', `${path}: expected a manifest in YAML, received a binary file`, { path });
  const {
    value,
    faults: [fault],
  } = parseYaml(text);
  if (fault === undefined) return value;
  throw new SightlineError('MODEL_INVALID', `${path}: ${fault.place}not valid YAML: ${fault.what}`, { path });
}

/** Formats an issue as `input.width: expected number, received "wide" (string)`. */
function describeIssue(issue: z.core.$ZodIssue, document: unknown): string {
  const key = issue.path.join('.') || 'manifest';
  if (issue.code === 'unrecognized_keys') return `${key}: unknown key ${issue.keys.join(', ')}`;
  const received = issue.path.reduce<unknown>(
    (value, step) => (value as Record<PropertyKey, unknown> | null)?.[step],
    document,
  );
  const expected = issue.message.replace(/^Invalid (input|option): /, '').replace(/, received .*$/, '');
  return `${key}: ${expected}, received ${describeValue(received)}`;
}

function describeValue(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value);
  return `${text.length > 60 ? `${text.slice(0, 57)}...` : text} (${Array.isArray(value) ? 'list' : typeof value})`;
}

/** Returns the paths of the `file:` sources of a model's file. */
export function localSources(manifest: Manifest, { sources }: ManifestFile): string[] {
  const local = sources.filter((source) => source.startsWith('file:'));
  return local.map((source) => besideManifest(manifest, source.slice('file:'.length).replace(/^\/\/(?=\/)/, '')));
}

/** Resolves a path in a manifest against the manifest's folder. */
function besideManifest(manifest: Manifest, path: string): string {
  return isAbsolute(path) ? path : join(dirname(manifest.path), path);
}
