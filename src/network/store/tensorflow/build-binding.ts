import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { type RunTool, reasonOf, setupFailed } from '../wheels/run-tool.ts';
import type { BindingPlace } from './binding-place.ts';
import type { LibraryLayout } from './library-layout.ts';

const SOURCES = ['binding/tfjs_backend.cc', 'binding/tfjs_binding.cc'];
const COMPILERS = ['g++', 'c++', 'clang++'];

/**
 * Compiles the binding, whose source is in the npm package, against libtensorflow. One compiler call does what the package's
 * binding.gyp describes for Linux; node-gyp would need make and download Node's headers. The Node-API headers are the same for
 * every Node version and come from the npm package `node-api-headers`. Takes 10 s on two cores.
 *
 * @param output - path of the binding. @param runPath - folder where the loaded binding looks for the library.
 * @throws SETUP_FAILED
 */
export async function buildBinding(
  { packageDir, napiVersion }: BindingPlace,
  library: LibraryLayout,
  { output, runPath, compiler, run }: { output: string; runPath: string; compiler: string | undefined; run: RunTool },
): Promise<void> {
  const sources = SOURCES.map((path) => join(packageDir, path));
  const missing = sources.find((path) => !existsSync(path));
  if (missing !== undefined) throw setupFailed(`${missing} is missing: install the npm package again`);
  const args = [
    ...['-O2', '-std=c++17', '-fPIC', '-shared', '-w', `-DNAPI_VERSION=${napiVersion}`],
    ...['-I', nodeApiHeaders(), '-I', library.includeDir],
    ...sources,
    ...['-o', output, '-L', library.libDir, `-l:${library.libraryName}`, `-l:${library.frameworkName}`],
    `-Wl,-rpath,${runPath}`,
  ];
  try {
    await run(await findCompiler(compiler, packageDir, run), args, packageDir);
  } catch (error) {
    throw setupFailed(`the binding does not compile:\n${reasonOf(error, 12)}`, error);
  }
}

async function findCompiler(requested: string | undefined, folder: string, run: RunTool): Promise<string> {
  const commands = requested === undefined || requested === '' ? COMPILERS : [requested];
  for (const command of commands) {
    try {
      await run(command, ['--version'], folder);
      return command;
    } catch {}
  }
  throw setupFailed(
    `no C++ compiler: ${commands.join(', ')} cannot be run. Install one (Debian: apt-get install g++), or name it in CXX`,
  );
}

function nodeApiHeaders(): string {
  try {
    const { include_dir } = createRequire(import.meta.url)('node-api-headers') as { include_dir: string };
    return include_dir;
  } catch (error) {
    throw setupFailed(
      'the npm package node-api-headers is missing: install Sightline again, with optional packages',
      error,
    );
  }
}
