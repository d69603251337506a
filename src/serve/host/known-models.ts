import { cpus } from 'node:os';
import { loadConfigured, manifestFolders } from '../../frame/runtime/model/load-detector.ts';
import { type EngineChoice, EngineChoices } from '../../network/store/engine-choices.ts';
import { findWeights } from '../../network/store/find-weights.ts';
import { listManifests, listUserManifests, type Manifest } from '../../network/store/manifests.ts';
import { comparableLabels } from '../../network/store/reported-ap.ts';
import type { Environment } from '../../settings/config/environment.ts';
import type { ModelConfig } from '../../settings/config/model-config.ts';
import type { ModelSummary } from '../../wire/protocol/rest.ts';

/** Whoever adds a model or fetches its weights sees it after this time; hashing all weights takes a second. */
const KEPT_MS = 30_000;

interface Configured {
  readonly model: ModelConfig;
  /** By the names that streams give them. */
  readonly models: Readonly<Record<string, ModelConfig>>;
}

/**
 * Returns a function that lists the built-in detectors, the user's own and the configured ones: what is known of their quality, and what
 * a frame costs on this machine where engine `auto` has measured it.
 */
export function knownModels(config: Configured, environment: Environment): () => Promise<readonly ModelSummary[]> {
  let kept: { readonly untilMs: number; readonly models: Promise<readonly ModelSummary[]> } | null = null;
  return () => {
    if (kept === null || performance.now() > kept.untilMs)
      kept = { untilMs: performance.now() + KEPT_MS, models: listModels(config, environment) };
    return kept.models;
  };
}

async function listModels({ model, models }: Configured, environment: Environment): Promise<ModelSummary[]> {
  const { modelPath: searchPath, cacheDir } = environment;
  // What is wrong with a manifest or a file is said by the command that uses it.
  const ignore = (): void => undefined;
  const manifestOf = (each: ModelConfig): Promise<Manifest[]> =>
    loadConfigured(each, environment).then(
      (manifest) => [manifest],
      () => [],
    );
  const configured = await manifestOf(model);
  const detectors = new Map<string, string[]>();
  for (const [name, each] of Object.entries(models))
    for (const manifest of await manifestOf(each)) {
      configured.push(manifest);
      detectors.set(manifest.name, [...(detectors.get(manifest.name) ?? []), name]);
    }
  const own = await listUserManifests(manifestFolders({ searchPath, cacheDir }), ignore);
  const manifests = new Map([...(await listManifests()), ...own, ...configured].map((each) => [each.name, each]));
  const costs = await new EngineChoices(cacheDir).list();
  const summaries: ModelSummary[] = [];
  // One after the other: each hashes its files.
  for (const manifest of manifests.values()) {
    const weights = findWeights(manifest, { searchPath, cacheDir, mayFetch: false, onNotice: ignore });
    const isHere = await weights.then(
      () => true,
      () => false,
    );
    const names = detectors.get(manifest.name);
    summaries.push({ ...summaryOf(manifest, isHere, costs), ...(names === undefined ? {} : { detectors: names }) });
  }
  return summaries;
}

function summaryOf(manifest: Manifest, isHere: boolean, costs: readonly EngineChoice[]): ModelSummary {
  const { name, family, input, reported, classes } = manifest;
  const inputSize = `${input.width}x${input.height}`;
  const cpu = cpus()[0]?.model.trim();
  const measured = costs
    .filter((choice) => choice.model === name && choice.inputSize === inputSize && choice.cpu === cpu)
    .flatMap((choice) => choice.measured)
    .sort((a, b) => a.frameMs - b.frameMs)[0];
  return {
    name,
    family,
    inputWidth: input.width,
    inputHeight: input.height,
    reportedAp: reported?.ap ?? null,
    reportedOn: comparableLabels(reported),
    isHere,
    labels: classes,
    cost: measured ?? null,
  };
}
