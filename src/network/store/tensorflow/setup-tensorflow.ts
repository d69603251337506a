import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdir, readdir, readFile, realpath, rename, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { packageRoot } from '../package-root.ts';
import { providePackage } from '../packages/provide-package.ts';
import { installWheels, manylinux } from '../wheels/install-wheels.ts';
import { type RunTool, reasonOf, setupFailed } from '../wheels/run-tool.ts';
import { makeFolder, removeAbandoned, requireSpace } from '../wheels/setup-folder.ts';
import { type BindingPlace, findBindingPlace, SETUP_RECORD_NAME, type SetupRecord } from './binding-place.ts';
import { buildBinding } from './build-binding.ts';
import { findLibrary } from './library-layout.ts';

export interface SetupOptions {
  /** True for the build with CUDA, false for CPUs. */
  readonly isGpu: boolean;
  /** A folder with libtensorflow and its headers, used in place instead of a download. */
  readonly from: string | undefined;
  readonly cacheDir: string;
  /** Command that starts Python. */
  readonly python: string;
  /** Command that starts the C++ compiler; if undefined, the set-up searches for one. */
  readonly compiler: string | undefined;
  readonly onStep: (text: string) => void;
  readonly run: RunTool;
  /** The remaining options are for tests. */
  readonly place?: BindingPlace;
  readonly requirements?: string;
  readonly freeBytes?: (folder: string) => Promise<number>;
}

/** Peak disk space, for the archive and the unpacked files. Measured with 2.21.0. */
const NEEDED_BYTES = { cpu: 1.3e9, gpu: 9e9 };
const BINDING_NAME = 'tfjs_binding.node';
const FROM_COMMAND = 'sightline setup tensorflow --from FOLDER';
/**
 * Files that the binding is compiled and linked against, and CUDA, which libtensorflow looks for in `../nvidia/NAME/lib`.
 */
const WANTED =
  /^(?:tensorflow\/libtensorflow|tensorflow\/include\/(?:tensorflow\/c|tensorflow\/core\/platform|tsl\/platform|xla\/tsl\/c)\/|nvidia\/)/;
/** Files that are not needed to run a network. */
const UNWANTED = /^nvidia\/.*(?:\/include\/|\/samples\/|\.a$)/;
const MACHINES: Readonly<Partial<Record<string, 'x86_64' | 'aarch64'>>> = { x64: 'x86_64', arm64: 'aarch64' };

/**
 * Builds the binding of `@tensorflow/tfjs-node-gpu`: fetches libtensorflow, compiles the package's source against it, and links
 * the result to the path where the package looks for it. All large files are in the cache, in a folder named by a hash of
 * everything that goes into it, so after `npm ci` only the link is created again.
 *
 * @returns the record of the set-up.
 * @throws SETUP_FAILED; then no partial files stay.
 */
export async function setupTensorflow(options: SetupOptions): Promise<SetupRecord> {
  const place = options.place ?? (await packageOf(options));
  const home = join(options.cacheDir, 'tensorflow');
  const folder = join(home, await keyOf(place, options));
  await removeAbandoned(home);
  const existing = await findFinished(folder, options);
  if (existing !== null) {
    options.onStep(`already set up: TensorFlow ${existing.tensorflow} (${existing.flavour}) in ${folder}`);
    await link(place, folder, options);
    return existing;
  }
  const record = await makeFolder(folder, async (partial) => {
    await mkdir(join(partial, 'site'));
    return build(place, partial, options);
  });
  await link(place, folder, options);
  return record;
}

async function packageOf({ cacheDir, onStep, run }: SetupOptions): Promise<BindingPlace> {
  const runNpm = (args: readonly string[], folder: string): Promise<string> => run('npm', args, folder);
  await providePackage('@tensorflow/tfjs-node-gpu', { cacheDir, onNotice: onStep, runNpm });
  return findBindingPlace(cacheDir)!;
}

async function build(place: BindingPlace, partial: string, options: SetupOptions): Promise<SetupRecord> {
  const { from, run, onStep } = options;
  const output = join(partial, BINDING_NAME);
  const packages = from === undefined ? await fetchAndUnpack(partial, options) : {};
  const library = findLibrary(from === undefined ? join(partial, 'site') : await realpath(from));
  onStep(`compiling the binding of tfjs-node-gpu ${place.version} for Node-API ${place.napiVersion}`);
  const runPath = from === undefined ? '$ORIGIN/site/tensorflow' : library.libDir;
  await buildBinding(place, library, { output, runPath, compiler: options.compiler, run });
  onStep('loading it');
  const tensorflow = await loadedVersion(output, run);
  const flavour = from !== undefined ? 'folder' : options.isGpu ? 'gpu' : 'cpu';
  const record: SetupRecord = { tensorflow, flavour, packages };
  await writeFile(join(partial, SETUP_RECORD_NAME), `${JSON.stringify(record, null, 2)}\n`);
  return record;
}

async function fetchAndUnpack(partial: string, options: SetupOptions): Promise<Record<string, string>> {
  const { isGpu, python, run, onStep, freeBytes } = options;
  const machine = machineOf(isGpu);
  await requireSpace(partial, NEEDED_BYTES[isGpu ? 'gpu' : 'cpu'], freeBytes);
  const requirements = requirementsOf(options);
  onStep(`fetching the wheels of ${requirements} (${isGpu ? '3.4 GB' : '270 MB'})`);
  const otherwise = `or give a folder with libtensorflow: ${FROM_COMMAND}`;
  const packages = await installWheels(requirements, partial, join(partial, 'site'), {
    python,
    platforms: manylinux(machine),
    otherwise,
    run,
    onStep,
    what: `libtensorflow${isGpu ? ', CUDA and cuDNN' : ''} and the headers`,
    wanted: WANTED,
    unwanted: UNWANTED,
  });
  await makeExecutable(join(partial, 'site', 'nvidia', 'cuda_nvcc', 'bin'));
  return packages;
}

/** Restores the execute permission, which Python's zip module drops. XLA runs ptxas. */
async function makeExecutable(folder: string): Promise<void> {
  const names = existsSync(folder) ? await readdir(folder) : [];
  await Promise.all(names.map((name) => chmod(join(folder, name), 0o755)));
}

function machineOf(isGpu: boolean): 'x86_64' | 'aarch64' {
  const machine = process.platform === 'linux' ? MACHINES[process.arch] : undefined;
  if (machine === undefined || (isGpu && machine !== 'x86_64')) {
    throw setupFailed(
      `there are no wheels${isGpu ? ' with CUDA' : ''} for ${process.platform} ${process.arch} here (Linux on x64${isGpu ? '' : ' and arm64'}); ` +
        `give a folder with libtensorflow: ${FROM_COMMAND}`,
    );
  }
  return machine;
}

function requirementsOf({ isGpu, requirements }: SetupOptions): string {
  return requirements ?? join(packageRoot(), 'workers', 'requirements', `tensorflow-${isGpu ? 'gpu' : 'cpu'}.txt`);
}

/** Returns the folder name of a set-up: a hash of everything that goes into it. */
async function keyOf({ version, napiVersion }: BindingPlace, options: SetupOptions): Promise<string> {
  const hash = createHash('sha256').update(`${version} ${napiVersion} ${process.platform} ${process.arch}\n`);
  if (options.from === undefined) {
    hash.update(await readFile(requirementsOf(options)));
    return `${options.isGpu ? 'gpu' : 'cpu'}-${hash.digest('hex').slice(0, 12)}`;
  }
  const { libDir, libraryName } = findLibrary(options.from);
  const path = await realpath(join(libDir, libraryName));
  const { size, mtimeMs } = await stat(path);
  return `folder-${hash.update(`${path} ${size} ${mtimeMs}`).digest('hex').slice(0, 12)}`;
}

/** Returns the record of an earlier set-up that still loads; null if there is none. */
async function findFinished(folder: string, { run, onStep }: SetupOptions): Promise<SetupRecord | null> {
  const path = join(folder, SETUP_RECORD_NAME);
  if (!existsSync(path)) return null;
  try {
    const record = JSON.parse(await readFile(path, 'utf8')) as SetupRecord;
    await loadedVersion(join(folder, BINDING_NAME), run);
    return record;
  } catch (error) {
    onStep(`${folder} is damaged and will be rebuilt: ${(error as Error).message.split('\n')[0]}`);
    return null;
  }
}

/** Loads the binding in a separate process, because an incompatible one can crash its process. */
async function loadedVersion(path: string, run: RunTool): Promise<string> {
  const script = `process.stdout.write(require(${JSON.stringify(path)}).TF_Version)`;
  try {
    return await run(process.execPath, ['-e', script], dirname(path));
  } catch (error) {
    throw setupFailed(`the binding cannot be loaded:\n${reasonOf(error)}`, error);
  }
}

async function link({ bindingPath }: BindingPlace, folder: string, { onStep }: SetupOptions): Promise<void> {
  try {
    await mkdir(dirname(bindingPath), { recursive: true });
    const fresh = `${bindingPath}.${process.pid}`;
    await symlink(join(folder, BINDING_NAME), fresh);
    await rename(fresh, bindingPath);
  } catch (error) {
    throw setupFailed(`${bindingPath} cannot be linked: ${(error as Error).message}`, error);
  }
  onStep(`linked ${bindingPath}`);
}
