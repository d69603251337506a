import { readFile } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import { distance } from 'fastest-levenshtein';
import { glob } from 'tinyglobby';
import { parse } from 'yaml';
import type { z } from 'zod';
import type { ModelSpec } from '../core/model.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import { readBuiltInClasses } from './class-names.ts';
import { type ManifestDocument, manifestSchema } from './manifest-schema.ts';
import { packageRoot } from './package-root.ts';

/** A manifest that passed its schema. */
export interface Manifest extends Omit<ManifestDocument, 'classes'> {
  /** File that it was read from. */
  readonly path: string;
  /** Label of each class id. */
  readonly classes: readonly string[];
}

/** Reads every built-in manifest, by name. Throws MODEL_INVALID where one is malformed. */
export async function listManifests(): Promise<Manifest[]> {
  const paths = await builtInPaths();
  return Promise.all(Array.from(paths.values(), readManifest));
}

/** Folder below the cache for the manifests and weights that a user adds. */
export function userModelFolder(cacheDir: string): string {
  return join(cacheDir, 'models');
}

/**
 * Reads the manifests that a user keeps in folders, by name; one that has the name of a built-in is left out.
 *
 * @param onProblem - is told of a YAML file that calls itself a manifest (it has a `family`) and cannot be used.
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
 * @param folders - where a user keeps manifests, as `NAME.yaml`; not below them.
 * Throws MODEL_NOT_FOUND, with the nearest name; MODEL_INVALID, with the key, what was expected and what came.
 */
export async function loadManifest(nameOrPath: string, folders: readonly string[] = []): Promise<Manifest> {
  if (/[\\/]|\.ya?ml$/i.test(nameOrPath)) return readManifest(resolve(nameOrPath));
  const own = (await userPaths(folders)).map((path) => [basename(path, '.yaml'), path] as const);
  // A built-in wins over a user's manifest of the same name, and an earlier folder over a later one.
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

/** What ffmpeg's scaling may cost a detector in AP before sharp fits its pictures; a little more, for rounding. */
const MOST_LOSS = 0.005 + 1e-9;

/** Gives what the stages need to know of a detector, at the size that it was published at. */
export function modelSpec(manifest: Manifest): ModelSpec {
  const { name, family, classes, nmsIou, scoreThreshold, maxDetections, classesPerBox } = manifest;
  const { width, height, resize } = manifest.input;
  const input = { width, height, resize };
  const { ap, apByFfmpeg } = { ap: 0, apByFfmpeg: null, ...manifest.reported };
  const resizeBy = apByFfmpeg !== null && ap - apByFfmpeg > MOST_LOSS ? 'sharp' : 'ffmpeg';
  return { name, family, input, classes, nmsIou, scoreThreshold, maxDetections, classesPerBox, resizeBy };
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

async function readManifest(path: string): Promise<Manifest> {
  const document = parseYaml(await readText(path), path);
  const checked = manifestSchema.safeParse(document, { reportInput: true });
  if (!checked.success) {
    const complaints = checked.error.issues.map((issue) => complain(issue, document));
    throw new SightlineError('MODEL_INVALID', `${path}: ${complaints.join('; ')}`, { path });
  }
  const { classes } = checked.data;
  return { ...checked.data, path, classes: classes === 'coco-80' ? await readBuiltInClasses(classes) : classes };
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new SightlineError('MODEL_NOT_FOUND', `${path}: the manifest cannot be read (${reason})`, { path });
  }
}

function parseYaml(text: string, path: string): unknown {
  if (text.includes('\0') || text.includes('\ufffd'))
    throw new SightlineError('MODEL_INVALID', `${path}: expected a manifest in YAML, received a binary file`, { path });
  try {
    return parse(text);
  } catch (error) {
    // The first line says what and where; those after it quote the file.
    const [reason] = (error as Error).message.split('\n');
    throw new SightlineError('MODEL_INVALID', `${path}: expected YAML: ${reason}`, { path });
  }
}

/** One complaint as `input.width: expected number, received "wide" (string)`. */
function complain(issue: z.core.$ZodIssue, document: unknown): string {
  const key = issue.path.join('.') || 'manifest';
  if (issue.code === 'unrecognized_keys') return `${key}: unknown key ${issue.keys.join(', ')}`;
  const received = issue.path.reduce<unknown>(
    (value, step) => (value as Record<PropertyKey, unknown> | null)?.[step],
    document,
  );
  const expected = issue.message.replace(/^Invalid (input|option): /, '').replace(/, received .*$/, '');
  return `${key}: ${expected}, received ${show(received)}`;
}

function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value);
  return `${text.length > 60 ? `${text.slice(0, 57)}...` : text} (${Array.isArray(value) ? 'list' : typeof value})`;
}

/** Resolves a path written in a manifest against the manifest's folder. */
export function besideManifest(manifest: Manifest, path: string): string {
  return isAbsolute(path) ? path : join(dirname(manifest.path), path);
}
