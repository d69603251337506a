import { isDeepStrictEqual } from 'node:util';
import { type EngineChoice, EngineChoices } from '../../../network/store/engine-choices.ts';
import { findWeights } from '../../../network/store/find-weights.ts';
import { loadManifest, type Manifest } from '../../../network/store/manifests.ts';
import { comparedAp, type ReportedSide } from '../../../network/store/reported-ap.ts';
import type { EngineInfo } from '../../../wire/protocol/threads.ts';
import type { OtherModel } from '../../telemetry/judge-overload.ts';
import type { EngineOptions } from './engine-request.ts';
import { manifestFolders } from './load-detector.ts';

/** The model that runs. */
export interface PresentModel {
  readonly name: string;
  readonly inputSize: string;
  readonly classes: readonly string[];
  readonly info: EngineInfo;
}

/**
 * Returns the detectors with the same classes whose files are on this machine, whose time engine `auto` has measured here, and that a roll-out
 * takes without labels: as good as the present one by their manifests. Nothing is measured or fetched for it.
 */
export async function modelsAtHand(
  present: PresentModel,
  { model: { engine }, environment }: Pick<EngineOptions, 'model' | 'environment'>,
): Promise<OtherModel[]> {
  const choices = await new EngineChoices(environment.cacheDir).list();
  const isOwn = ({ model, inputSize }: EngineChoice): boolean =>
    model === present.name && inputSize === present.inputSize;
  const timeOf = ({ measured }: EngineChoice): EngineChoice['measured'][number] | undefined =>
    measured.find((each) => each.engine === present.info.engine && each.precision === present.info.precision) ??
    (engine === 'auto' ? measured[0] : undefined);
  const own = choices.find(isOwn);
  const ownMs = (own === undefined ? undefined : timeOf(own)?.frameMs) ?? warmMs(present.info);
  const presentManifest = await manifestAtHand(present.name, environment);
  const models = new Map<string, OtherModel>();
  for (const choice of choices) {
    const time = timeOf(choice);
    if (choice.model === present.name || time === undefined || ownMs === null) continue;
    const manifest = await manifestAtHand(choice.model, environment);
    if (manifest === null || !isDeepStrictEqual(manifest.classes, present.classes)) continue;
    if (!isAsGood(manifest, presentManifest)) continue;
    if (choice.inputSize !== `${manifest.input.width}x${manifest.input.height}`) continue;
    const times = `${time.frameMs.toFixed(1)} instead of ${ownMs.toFixed(1)} ms a frame`;
    const basis = `${times}, measured once on this machine on ${time.engine} ${time.precision}`;
    models.set(choice.model, { name: choice.model, speedup: ownMs / time.frameMs, basis });
  }
  return [...models.values()];
}

/** As a roll-out without labels wants it, see `labelledVerdictOf`. */
function isAsGood(candidate: Manifest, present: Manifest | null): boolean {
  if (present === null) return false;
  const compared = comparedAp(sideOf(present), sideOf(candidate));
  if (compared !== null && typeof compared !== 'string') return compared.candidateAp >= compared.controlAp;
  return candidate.family === present.family;
}

function sideOf({ name, reported, files }: Manifest): ReportedSide {
  return { name, reported, weights: files.map(({ sha256 }) => sha256) };
}

/** Time of an inference of one input, the best of the warm-up; null if it warmed up with more. */
function warmMs({ batchSizes, warmMs: times }: EngineInfo): number | null {
  return times[batchSizes.indexOf(1)] ?? null;
}

async function manifestAtHand(
  name: string,
  { modelPath, cacheDir }: EngineOptions['environment'],
): Promise<Manifest | null> {
  const places = { searchPath: modelPath, cacheDir };
  try {
    const manifest = await loadManifest(name, manifestFolders(places));
    await findWeights(manifest, { ...places, onNotice: () => undefined, mayFetch: false });
    return manifest;
  } catch {
    return null;
  }
}
