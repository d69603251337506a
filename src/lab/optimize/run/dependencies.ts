import { sourceScheme } from '../../../frame/source/parse-source.ts';
import { fingerprintOfFile } from '../../../network/store/file-hash.ts';
import type { PipelineConfig } from '../../../serve/pipeline/pipeline.ts';
import type { StreamConfig } from '../../../settings/config/stream.ts';
import type { MachineFacts } from '../../measure/machine-facts.ts';
import { configHash, type Dependencies, type LeftAside, type MeasurementKind } from '../../measure/measurement-log.ts';
import type { Target } from '../../measure/targets.ts';
import type { TrackSequence } from '../gate/track-sequence.ts';
import type { Labels } from './evidence.ts';

/** What all measurements of a run depend on, whatever the configuration. */
export interface RunGround {
  readonly pipeline: PipelineConfig;
  /** Paths of the recordings that the streams name. */
  readonly recordings: readonly string[];
  readonly labels: Labels | null;
  /** Labelled pictures for the verdict alone. */
  readonly holdOut: Labels | null;
  /** Videos with true tracks. */
  readonly sequences: readonly TrackSequence[];
  readonly machine: MachineFacts;
  readonly targets: readonly Target[];
  readonly seed: number;
  /** Whether rates are by CPU time. */
  readonly byCpuTime: boolean;
}

/**
 * Identifies by content everything that measurements of each kind depend on: recordings, labels and pictures, settings of the pipeline,
 * machine and versions. Reads every file once.
 *
 * @throws the error of the file system.
 */
export async function dependenciesOf(ground: RunGround): Promise<(kind: MeasurementKind) => Dependencies> {
  const { pipeline, machine, labels, holdOut, seed } = ground;
  const { model, batch, preview, lanes, streams, stages } = pipeline;
  const { versions, ...hardware } = machine;
  const all = {
    recording: configHash(await Promise.all(ground.recordings.map((path) => fingerprintOfFile(path)))),
    pipeline: configHash({ model, batch, preview, lanes, streams: streams.map(withoutPlace), stages }),
    machine: configHash(hardware),
    versions: configHash(versions),
  };
  const judged = {
    labels: configHash([await hashOfLabels(labels), await hashOfLabels(holdOut)]),
    ...(await hashOfSequences(ground.sequences)),
    seed: String(seed),
  };
  const rate: Dependencies = ground.byCpuTime ? { rate: 'CPU time' } : {};
  const targets = ground.targets.map(({ text }) => text).join(',');
  return (kind) => {
    if (kind === 'quality' || kind === 'check' || kind === 'verdict') return { ...all, ...judged };
    // Its verdicts are part of the result.
    return kind === 'capacity' ? { ...all, ...rate, targets } : { ...all, ...rate };
  };
}

/** Where a recording lies makes no difference, nor what its stream is called. */
function withoutPlace(stream: StreamConfig): object {
  const source = sourceScheme(stream.source) === 'file' ? '' : stream.source;
  return { ...stream, source, id: '' };
}

/** The annotations and the content of every picture. */
async function hashOfLabels(labels: Labels | null): Promise<string> {
  if (labels === null) return 'none';
  const pictures: string[] = [];
  for (const path of labels.paths) pictures.push(await fingerprintOfFile(path));
  return configHash({ annotations: labels.annotations, pictures });
}

async function hashOfSequences(sequences: readonly TrackSequence[]): Promise<Dependencies> {
  if (sequences.length === 0) return {};
  const parts: object[] = [];
  for (const { video, truth } of sequences) parts.push({ boxes: truth.boxes, video: await fingerprintOfFile(video) });
  return { sequences: configHash(parts) };
}

/** Says how many records of an earlier run are not used, and why. */
export function leftAsideText({ count, of, because }: LeftAside): string {
  const names = Object.entries(because).map(([name, records]) => `${records} for another ${WORDS[name] ?? name}`);
  return `${count} of ${of} earlier measurements are not used and made again: ${names.join(', ')}`;
}

const WORDS: Readonly<Record<string, string>> = {
  pipeline: 'setting of the pipeline',
  labels: 'set of labelled pictures',
  sequences: 'set of sequences',
  versions: 'version of a program',
  targets: 'target',
  rate: 'way to measure, see --when-busy',
};
