import { describe, expect, it } from 'vitest';
import { codeOf, readFiles, type SourceFile } from './source-files.ts';

/**
 * Files that open others directly, and whose names those are. Whatever a user, a manifest, a data set or a client names is
 * opened by `src/base/disk/given-file.ts`: it waits for no FIFO or device, reads regular files only, and knows a limit.
 */
const OPENERS: Readonly<Record<string, string>> = {
  'src/cli/gateway-client.ts': 'a token or certificates of the caller, which a pipe may carry',
  'src/cli/recordings.ts': 'creates a file of its own',
  'src/cli/secret-arguments.ts': 'a text of the caller, which a pipe may carry',
  'src/network/compile/compiler-version.ts': 'scripts of the package',
  'src/network/compile/onnx/external-data.ts':
    'a file beside an ONNX file: opened without waiting, regular files only, in parts',
  'src/fleet/control/jobs/atomic-file.ts': 'creates a file of its own',
  'src/fleet/control/state/kept-rollouts.ts': 'own state',
  'src/base/disk/artefact-hash.ts': 'own record beside an own file of the cache',
  'src/base/disk/given-file.ts': 'the one place',
  'src/fleet/control/rollout/start-log.ts': 'own record of starts',
  'src/base/disk/replace-file.ts': 'writes files of its own',
  'src/serve/gateway/access/tokens-file.ts': 'creates a lock and a file of its own',
  'src/serve/gateway/package-files.ts': 'a file of the package',
  'src/frame/infer/optimised-graph.ts': '/proc/cpuinfo',
  'src/lab/loadtest/own-streams.ts': '/proc',
  'src/lab/measure/machine-facts.ts': 'a file of the package',
  'src/lab/measure/measurement-log.ts': 'own log',
  'src/after/recording/fragment-file.ts': 'creates a file of its own',
  'src/lab/optimize/review/review-page.ts': 'pages of the package',
  'src/base/process/descriptor-limit.ts': '/proc',
  'src/after/sinks/frame-record.ts': 'a file of its own',
  'src/base/process/fetched-packages.ts': 'a file of a package',
  'src/after/sinks/output-lock.ts': 'own lock, and /proc',
  'src/after/sinks/parquet-file.ts': 'creates a file of its own',
  'src/after/sinks/recover-video.ts': 'output of an earlier run',
  'src/after/sinks/sink-files.ts': 'outputs of a user, which may be FIFOs, and own spools',
  'src/after/sinks/video-encoder.ts': 'creates a file of its own',
  'src/network/store/class-names.ts': 'a list of the package',
  'src/network/store/engine-choices.ts': 'own record in the cache',
  'src/network/store/find-weights.ts': 'own record in the cache',
  'src/network/store/npm-package.ts': 'an archive that npm has just written',
  'src/network/store/openvino/openvino-place.ts': 'own record in the cache',
  'src/network/store/openvino/setup-openvino.ts': 'a list of the package, own record in the cache',
  'src/network/store/package-root.ts': 'a file of the package',
  'src/network/store/packages/provide-package.ts': 'copies files of the package',
  'src/network/store/save-manifest.ts': 'copies weights whose hash has just been checked',
  'src/network/store/tensorflow/binding-place.ts': 'files of a package, own record in the cache',
  'src/network/store/tensorflow/nvidia-driver.ts': '/proc and /sys',
  'src/network/store/tensorflow/setup-tensorflow.ts': 'a list of the package, own record in the cache',
  'src/frame/telemetry/cpu-ledger.ts': '/proc',
  'src/frame/telemetry/energy-counters.ts': '/proc and /sys',
  'src/frame/telemetry/process-usage.ts': '/proc',
};

/** Functions of `node:fs` and `node:fs/promises` that open a file. `stat` and its like open nothing and cannot wait. */
const OPENS = [
  'open',
  'openSync',
  'openAsBlob',
  'readFile',
  'readFileSync',
  'createReadStream',
  'copyFile',
  'copyFileSync',
  'cp',
  'cpSync',
];
const FS_IMPORT = /import\s+(type\s+)?([^;]*?)\s+from\s*'(?:node:)?fs(?:\/promises)?'/g;

/** Returns the opening functions that a file imports; `fs` as a whole counts as all of them. */
function opensOf(file: SourceFile): string[] {
  return [...codeOf(file).matchAll(FS_IMPORT)].flatMap(([, isType, clause]) => {
    if (isType !== undefined) return [];
    const named = /\{([^}]*)\}/.exec(clause!)?.[1];
    if (named === undefined) return OPENS;
    return named
      .split(',')
      .map((name) => name.trim().split(/\s+as\s+/)[0]!)
      .filter((name) => OPENS.includes(name));
  });
}

const shipped = readFiles(['src', 'models'], ['.ts']);

describe('files that somebody else names', () => {
  it('are opened in one place: every other file that opens one says whose it is', () => {
    const openers = shipped.filter((file) => opensOf(file).length > 0).map(({ path }) => path);
    expect(openers.sort()).toEqual(Object.keys(OPENERS).sort());
  });

  it('are never named to libvips, which waits for a pipe and reads a device until the memory is full', () => {
    const named = shipped.filter((file) => /\bsharp\(\s*(?:path|source|file|name|['"`])/i.test(codeOf(file)));
    expect(named.map(({ path }) => path)).toEqual([]);
  });

  it('are never named to Fastify, which follows links: it sends files of the package only', () => {
    const named = shipped.filter((file) => /\.sendFile\(/.test(codeOf(file)));
    expect(named.map(({ path }) => path)).toEqual(['src/serve/gateway/static-files.ts']);
  });

  it('are found however fs is imported', () => {
    const opens = (text: string): string[] => opensOf({ path: 'src/x.ts', text });
    expect(opens("import fs from 'node:fs';")).toEqual(OPENS);
    expect(opens("import * as fs from 'fs/promises';")).toEqual(OPENS);
    expect(opens("import { stat, readFile as read } from 'node:fs/promises';")).toEqual(['readFile']);
    expect(opens("import {\n  constants,\n  createReadStream,\n} from 'node:fs';")).toEqual(['createReadStream']);
    expect(opens("import type { FileHandle } from 'node:fs/promises';")).toEqual([]);
    expect(opens("// import { open } from 'node:fs';")).toEqual([]);
  });
});
