import { access, constants, mkdir } from 'node:fs/promises';
import { availableParallelism, cpus, tmpdir, totalmem } from 'node:os';
import type { Command } from 'commander';
import { SightlineError } from '../errors/sightline-error.ts';
import { onnxRuntime } from '../process/fetched-packages.ts';
import { choiceText, EngineChoices } from '../store/engine-choices.ts';
import { findWeights } from '../store/find-weights.ts';
import { listManifests } from '../store/manifests.ts';
import { findProvided } from '../store/packages/provide-package.ts';
import { type CliIo, print, printJson } from './cli-io.ts';
import { examineDecoder } from './doctor-decoder.ts';
import { examineOpenvino } from './doctor-openvino.ts';
import { examineTensorflow } from './doctor-tensorflow.ts';
import type { Finding, Verdict } from './finding.ts';
import { BETTER_MODEL, BETTER_MODEL_TEXT } from './model-hint.ts';
import { ReportedFailure } from './reported-failure.ts';

const LEAST_NODE_MAJOR = 22;

export function addDoctor(program: Command, io: CliIo): void {
  program
    .command('doctor')
    .option('--json', 'one JSON document on standard output')
    .action(async ({ json }: { json?: boolean }) => {
      const findings = [
        node(),
        machine(),
        ...(await examineDecoder(io.environment)),
        await sharp(),
        await onnx(io.environment.cacheDir),
        await wasm(),
        ...(await examineOpenvino(io.environment, io.stop)),
        ...(await examineTensorflow(io.environment.cacheDir)),
        ...(await folders(io)),
        ...(await engineChoices(io)),
        ...(await models(io)),
        { what: 'model choice', verdict: 'note' as const, found: BETTER_MODEL_TEXT, remedy: BETTER_MODEL.command },
      ];
      if (json === true) printJson(io, findings);
      else
        for (const { what, verdict, found, remedy } of findings)
          print(
            io,
            `${MARK[verdict]} ${what.padEnd(24)} ${found}${remedy === undefined ? '' : `\n${' '.repeat(31)}-> ${remedy}`}`,
          );
      const missing = findings.find(({ verdict }) => verdict === 'missing');
      if (missing !== undefined)
        throw new ReportedFailure(new SightlineError('ENGINE_UNAVAILABLE', `${missing.what}: ${missing.found}`));
    });
}

const MARK: Readonly<Record<Verdict, string>> = { ok: '[ok]  ', note: '[note]', missing: '[miss]' };

function node(): Finding {
  const major = Number(process.versions.node.split('.')[0]);
  const isSupported = major >= LEAST_NODE_MAJOR;
  return {
    what: 'Node.js',
    verdict: isSupported ? 'ok' : 'note',
    found: process.version,
    ...(isSupported ? {} : { remedy: `supported are ${LEAST_NODE_MAJOR} and later` }),
  };
}

function machine(): Finding {
  return {
    what: 'machine',
    verdict: 'ok',
    found: `${availableParallelism()} cores (${cpus()[0]?.model.trim() ?? 'unknown'}), ${(totalmem() / 2 ** 30).toFixed(1)} GiB, ${process.platform} ${process.arch}`,
  };
}

async function sharp(): Promise<Finding> {
  return library('sharp', async () => {
    const { default: sharpLibrary } = await import('sharp');
    return `${sharpLibrary.versions.sharp}, libvips ${sharpLibrary.versions.vips}`;
  });
}

async function onnx(cacheDir: string): Promise<Finding> {
  const what = 'engine onnx';
  if (findProvided('onnxruntime-node', cacheDir) === null)
    return { what, verdict: 'note', found: 'fetched from npm when it is first used', remedy: 'sightline setup onnx' };
  return library(what, async () => {
    const ort = onnxRuntime();
    const backends = ort.listSupportedBackends().map(({ name }) => name);
    return `onnxruntime-node ${ort.env.versions.common}, providers: ${backends.join(', ')}`;
  });
}

async function wasm(): Promise<Finding> {
  return library('engine wasm', async () => {
    const { version_wasm } = await import('@tensorflow/tfjs-backend-wasm');
    return `tfjs-backend-wasm ${version_wasm}`;
  });
}

async function library(what: string, load: () => Promise<string>): Promise<Finding> {
  try {
    return { what, verdict: 'ok', found: await load() };
  } catch (error) {
    return {
      what,
      verdict: 'missing',
      found: (error as Error).message.split('\n')[0]!,
      remedy: 'install Sightline again, with optional packages',
    };
  }
}

/** The two folders that are written. Nothing else is, except what a setting or an argument names. */
async function folders(io: CliIo): Promise<Finding[]> {
  return [
    await writable(
      'cache',
      io.environment.cacheDir,
      'set SIGHTLINE_CACHE_DIR to a writable folder: all that is kept goes there',
    ),
    await writable('temporary files', tmpdir(), 'set TMPDIR to a writable folder'),
  ];
}

async function writable(what: string, folder: string, remedy: string): Promise<Finding> {
  try {
    await mkdir(folder, { recursive: true });
    await access(folder, constants.W_OK);
    return { what, verdict: 'ok', found: folder };
  } catch (error) {
    return { what, verdict: 'missing', found: `${folder} cannot be written: ${(error as Error).message}`, remedy };
  }
}

/** Lists the measurements that engine `auto` has made on this machine. */
async function engineChoices(io: CliIo): Promise<Finding[]> {
  const choices = await new EngineChoices(io.environment.cacheDir).list();
  return choices.map((choice) => ({ what: 'engine auto', verdict: 'ok', found: choiceText(choice) }));
}

async function models(io: CliIo): Promise<Finding[]> {
  const { modelPath, cacheDir } = io.environment;
  return Promise.all(
    (await listManifests()).map(async (manifest): Promise<Finding> => {
      const what = `model ${manifest.name}`;
      const options = { searchPath: modelPath, cacheDir, mayFetch: false, onNotice: () => undefined };
      return findWeights(manifest, options).then(
        (paths) => ({ what, verdict: 'ok', found: paths[0]! }),
        () => ({
          what,
          verdict: 'note',
          found: 'weights not on this machine',
          remedy: `sightline models pull ${manifest.name}`,
        }),
      );
    }),
  );
}
