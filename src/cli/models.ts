import type { Command } from 'commander';
import { SightlineError } from '../base/errors/sightline-error.ts';
import { fileSettings } from '../frame/runtime/model/detector-request.ts';
import { loadConfigured, manifestFolders } from '../frame/runtime/model/load-detector.ts';
import { verifyCompiled } from '../frame/runtime/model/verify-prepared.ts';
import { type FetchState, fetchText } from '../network/store/fetch-progress.ts';
import { findWeights } from '../network/store/find-weights.ts';
import { listManifests, listUserManifests, type Manifest } from '../network/store/manifests.ts';
import { findOpenvino } from '../network/store/openvino/openvino-place.ts';
import { enginesThat, factsOf } from '../settings/config/engines.ts';
import { type CliIo, JSON_FLAG, type JsonFlag, note, print, show, table } from './cli-io.ts';
import { addFlags, type FlagsOf, flagTable, required } from './flag-values.ts';
import { GATEWAY_FLAGS, gatewayApi } from './gateway-client.ts';
import { ENGINE_FLAGS, FILE_FLAGS, modelConfigOf } from './model-flags.ts';
import { addModelsAdd } from './models-add.ts';
import { addModelsCompile, compiled } from './models-compile.ts';
import { type Progress, startProgress } from './progress.ts';
import { versionsText } from './rollout-tables.ts';
import { picturesIn } from './sample-pictures.ts';

const VERSIONS_FLAGS = flagTable({
  ...GATEWAY_FLAGS,
  '--detector <name>': 'of which detector, if the pipeline has several: a name of its models (default: its own)',
});
const VERIFY_FLAGS = flagTable({
  ...FILE_FLAGS,
  ...ENGINE_FLAGS,
  '--images <dir>': required('folder of pictures'),
  ...JSON_FLAG,
});
type VersionsFlags = FlagsOf<typeof VERSIONS_FLAGS>;
type VerifyFlags = FlagsOf<typeof VERIFY_FLAGS>;
type VerifiedRow = Awaited<ReturnType<typeof verifyCompiled>>[number] & {
  readonly engine: string;
  readonly precision: string;
};

export function addModels(program: Command, io: CliIo): void {
  const models = program.command('models');
  const shown = models
    .command('list')
    .description('list the built-in detectors and your own, and whether their weights are on this machine');
  addFlags(shown, JSON_FLAG).action((flags: JsonFlag) => list(flags, io));
  models
    .command('pull')
    .description('fetch the weights of a detector')
    .argument('<model>', 'built-in name or path of a manifest')
    .action(async (name: string) => {
      const manifest = await loadConfigured(modelConfigOf({ model: name }), io.environment);
      for (const path of await pull(manifest, io)) print(io, path);
    });
  const versions = models
    .command('versions')
    .description('list the versions that a running host has used, newest last');
  addFlags(versions, VERSIONS_FLAGS).action((flags: VersionsFlags) => listVersions(flags, io));
  addModelsAdd(models, io);
  addModelsCompile(models, io);
  const verify = models
    .command('verify')
    .description('compare a detector, as compiled for each engine and precision, with its source on real pictures')
    .argument('<model>', 'name, path of a manifest, or path of an ONNX file');
  addFlags(verify, VERIFY_FLAGS)
    .addHelpText(
      'after',
      '\nWithout --engine and --precision every engine and precision is compared.\n\nExamples:\n  sightline models verify centernet --images photos\n  sightline models verify yolox-nano --engine tensorflow --precision f16 --images photos --json',
    )
    .action((name: string, flags: VerifyFlags, command: Command) => verifyAll(name, flags, command, io));
}

async function listVersions(flags: VersionsFlags, io: CliIo): Promise<void> {
  const versions = await gatewayApi(io, flags).versions.list({ detector: flags.detector });
  show(io, flags, versions, () => versionsText(versions));
}

/** Fetches what is missing: with a progress bar on a terminal, else with a line every few seconds. */
async function pull(manifest: Manifest, io: CliIo): Promise<string[]> {
  if (io.stderr.isTTY !== true) return findWeights(manifest, weights(io, true));
  let bar: Progress | null = null;
  const onProgress = (state: FetchState): void => {
    bar ??= startProgress(io, manifest.name, { ownEstimate: true });
    bar.update(state.doneBytes, state.totalBytes ?? state.doneBytes, fetchText(state));
  };
  try {
    return await findWeights(manifest, { ...weights(io, true), onProgress });
  } finally {
    (bar as Progress | null)?.stop();
  }
}

function weights(io: CliIo, mayFetch: boolean): Parameters<typeof findWeights>[1] {
  const { modelPath, cacheDir } = io.environment;
  return { searchPath: modelPath, cacheDir, mayFetch, onNotice: (text) => note(io, text), signal: io.stop };
}

async function list(flags: JsonFlag, io: CliIo): Promise<void> {
  const { modelPath, cacheDir } = io.environment;
  const folders = manifestFolders({ searchPath: modelPath, cacheDir });
  const own = await listUserManifests(folders, (text) => note(io, `warning: ${text}`));
  const rows = await Promise.all(
    [...(await listManifests()), ...own].map(async (manifest) => {
      const isHere = await findWeights(manifest, weights(io, false)).then(
        () => true,
        () => false,
      );
      const { name, family, input, licence, reported, description } = manifest;
      return {
        name,
        family,
        inputSize: `${input.width}x${input.height}`,
        reportedAp: reported?.ap ?? null,
        reportedApByFfmpeg: reported?.apByFfmpeg ?? null,
        reportedOn: reported?.on ?? null,
        licence: licence?.name ?? null,
        isHere,
        description,
      };
    }),
  );
  const cells = rows.map((row) => [
    row.name,
    row.inputSize,
    row.reportedAp?.toFixed(3) ?? '-',
    row.reportedApByFfmpeg?.toFixed(3) ?? '-',
    row.reportedOn ?? '-',
    row.licence ?? 'not stated',
    row.isHere ? 'local' : 'not fetched',
    row.description.split(/[:.] /)[0]!,
  ]);
  const head = ['model', 'input', 'AP', 'by ffmpeg', 'AP on', 'licence', 'weights', 'description'];
  show(io, flags, rows, () => table([head, ...cells]));
}

const MAX_PICTURES = 16;

/** Engines whose network is not the published one. */
const COMPILING = enginesThat(({ network }) => network !== null && network.format !== 'tfjs');

/** Compares the engines and precisions that the flags select; without a flag, all of them. */
async function verifyAll(name: string, flags: VerifyFlags, command: Command, io: CliIo): Promise<void> {
  const pictures = await picturesIn(flags.images, MAX_PICTURES);
  const isGiven = (flag: string) => command.getOptionValueSource(flag) === 'cli';
  const engines = COMPILING.filter((engine) => !isGiven('engine') || engine === flags.engine);
  if (engines.length === 0) {
    throw new SightlineError(
      'COMPILE_UNSUPPORTED',
      `--engine ${flags.engine}: this engine does not use compiled models; expected one of ${COMPILING.join(', ')}`,
    );
  }
  const openvinoLibrary = findOpenvino(io.environment)?.libraryPath;
  const rows: VerifiedRow[] = [];
  const missing = new Set<string>();
  for (const engine of engines) {
    const floats = factsOf(engine).precisions.filter((precision) => precision !== 'int8');
    for (const precision of isGiven('precision') ? [modelConfigOf(flags).precision] : floats) {
      try {
        const model = await compiled(name, { ...flags, precision }, engine, io);
        const how = { engine, precision, provider: flags.provider ?? 'cpu', openvinoLibrary };
        const settings = fileSettings(modelConfigOf(flags));
        const compared = await verifyCompiled(name, model, pictures, weights(io, true), how, settings);
        rows.push(...compared.map((row) => ({ engine, precision, ...row })));
      } catch (error) {
        const isMissing = error instanceof SightlineError && error.code === 'ENGINE_UNAVAILABLE';
        if (isGiven('engine') || !isMissing) throw error;
        missing.add(error.message);
      }
    }
  }
  for (const message of missing) note(io, `${message}; not compared`);
  const cells = rows.map(({ engine, precision, output, maxAbs, maxRel, meanAbs, images }) => [
    ...[engine, precision, output],
    ...[maxAbs, maxRel, meanAbs].map((difference) => difference.toExponential(2)),
    `${images}`,
  ]);
  show(io, flags, { model: name, outputs: rows }, () =>
    table([['engine', 'precision', 'output', 'largest difference', 'relative', 'mean', 'images'], ...cells]),
  );
}
