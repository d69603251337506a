import { access, constants, mkdir } from 'node:fs/promises';
import { availableParallelism, cpus, tmpdir, totalmem } from 'node:os';
import type { Command } from 'commander';
import { SightlineError } from '../base/errors/sightline-error.ts';
import { onnxRuntime } from '../base/process/fetched-packages.ts';
import { choiceText, EngineChoices } from '../network/store/engine-choices.ts';
import { findWeights } from '../network/store/find-weights.ts';
import { listManifests } from '../network/store/manifests.ts';
import { findProvided } from '../network/store/packages/provide-package.ts';
import { type CliIo, JSON_FLAG, type JsonFlag, show } from './cli-io.ts';
import { examineDecoder } from './doctor-decoder.ts';
import { examineOpenvino } from './doctor-openvino.ts';
import { examineTensorflow } from './doctor-tensorflow.ts';
import { type Finding, fine, missing, remark, type Verdict } from './finding.ts';
import { addFlags } from './flag-values.ts';
import { ReportedFailure } from './interruption.ts';
import { BETTER_MODEL, BETTER_MODEL_TEXT } from './model-hint.ts';

/** The first one with SQLite. */
const LEAST_NODE = { major: 22, minor: 13 } as const;

export function addDoctor(program: Command, io: CliIo): void {
  addFlags(program.command('doctor'), JSON_FLAG).action(async (flags: JsonFlag) => {
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
      remark('model choice', BETTER_MODEL_TEXT, BETTER_MODEL.command),
    ];
    show(io, flags, findings, () => findings.map(lineOf).join('\n'));
    const lacking = findings.find(({ verdict }) => verdict === 'missing');
    if (lacking !== undefined)
      throw new ReportedFailure(new SightlineError('ENGINE_UNAVAILABLE', `${lacking.what}: ${lacking.found}`));
  });
}

const MARK: Readonly<Record<Verdict, string>> = { ok: '[ok]  ', note: '[note]', missing: '[miss]' };

function lineOf({ what, verdict, found, remedy }: Finding): string {
  const line = `${MARK[verdict]} ${what.padEnd(24)} ${found}`;
  return remedy === undefined ? line : `${line}\n${' '.repeat(31)}-> ${remedy}`;
}

function node(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  return major > LEAST_NODE.major || (major === LEAST_NODE.major && minor >= LEAST_NODE.minor)
    ? fine('Node.js', process.version)
    : remark('Node.js', process.version, `supported are ${LEAST_NODE.major}.${LEAST_NODE.minor} and later`);
}

function machine(): Finding {
  return fine(
    'machine',
    `${availableParallelism()} cores (${cpus()[0]?.model.trim() ?? 'unknown'}), ${(totalmem() / 2 ** 30).toFixed(1)} GiB, ${process.platform} ${process.arch}`,
  );
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
    return remark(what, 'fetched from npm when it is first used', 'sightline setup onnx');
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
    return fine(what, await load());
  } catch (error) {
    return missing(what, (error as Error).message.split('\n')[0]!, 'install Sightline again, with optional packages');
  }
}

/** The two folders that are written. Nothing else is, except what a setting or an argument names. */
async function folders({ environment: { cacheDir } }: CliIo): Promise<Finding[]> {
  const remedy = 'set SIGHTLINE_CACHE_DIR to a writable folder: all that is kept goes there';
  return [
    await writable('cache', cacheDir, remedy),
    await writable('temporary files', tmpdir(), 'set TMPDIR to a writable folder'),
  ];
}

async function writable(what: string, folder: string, remedy: string): Promise<Finding> {
  try {
    await mkdir(folder, { recursive: true });
    await access(folder, constants.W_OK);
    return fine(what, folder);
  } catch (error) {
    return missing(what, `${folder} cannot be written: ${(error as Error).message}`, remedy);
  }
}

/** Lists the measurements that engine `auto` has made on this machine. */
async function engineChoices(io: CliIo): Promise<Finding[]> {
  const choices = await new EngineChoices(io.environment.cacheDir).list();
  return choices.map((choice) => fine('engine auto', choiceText(choice)));
}

async function models(io: CliIo): Promise<Finding[]> {
  const { modelPath, cacheDir } = io.environment;
  return Promise.all(
    (await listManifests()).map(async (manifest): Promise<Finding> => {
      const what = `model ${manifest.name}`;
      const options = { searchPath: modelPath, cacheDir, mayFetch: false, onNotice: () => undefined };
      return findWeights(manifest, options).then(
        (paths) => fine(what, paths[0]!),
        () => remark(what, 'weights not on this machine', `sightline models pull ${manifest.name}`),
      );
    }),
  );
}
