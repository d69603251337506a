import { stringify } from 'yaml';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { parseYaml } from '../../settings/config/parse-yaml.ts';
import { modelsOf } from '../../settings/config/stream.ts';
import { parsePipeline } from './load-pipeline.ts';

/** The pipeline's own detector, beside the names of its section `models`. */
const OWN = 'default';

/** What commands say of their flag. */
export const DETECTOR = 'which of its detectors is measured, if its streams use several: a name of models, or default';

interface RawPipeline {
  readonly models?: Readonly<Record<string, unknown>>;
  readonly defaults?: object;
  readonly streams: readonly object[];
}

/**
 * Returns the text of a pipeline file with one of its detectors as `model`, for the streams that may use it: what is measured is one
 * detector.
 *
 * @param name - of the section `models`, or `default`; undefined if the streams use no other than their pipeline's own.
 * @throws CONFIG_INVALID; COMMAND_INVALID if it has to be named, or no stream uses it.
 */
export function withOneDetector(text: string, path: string, name: string | undefined): string {
  const { models, streams } = parsePipeline(text, path);
  const used = streams.map((stream) => modelsOf(stream).map((model) => model ?? OWN));
  const all = [...new Set(used.flat())];
  if (all.every((model) => model === OWN) && (name ?? OWN) === OWN) return text;
  if (name === undefined || !all.includes(name)) {
    const what = name === undefined ? 'its streams use several detectors' : `no stream uses the detector "${name}"`;
    throw new SightlineError('COMMAND_INVALID', `${path}: ${what}: expected --detector with one of ${all.join(', ')}`);
  }
  const { models: named, defaults, streams: written, ...rest } = parseYaml(text).value as RawPipeline;
  return stringify({
    ...rest,
    ...(Object.hasOwn(models, name) ? { model: named![name] } : {}),
    ...(defaults === undefined ? {} : { defaults: withoutChoice(defaults) }),
    streams: written.filter((_, i) => used[i]!.includes(name)).map(withoutChoice),
  });
}

function withoutChoice(settings: object): object {
  const { model: _model, modelWhen: _modelWhen, ...others } = settings as Record<string, unknown>;
  return others;
}
