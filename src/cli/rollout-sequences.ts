import { setTimeout } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { type RunningPipeline, readStartRequest } from '../fleet/control/rollout/start-request.ts';
import { rolledSettings, withChanges } from '../fleet/control/rollout/stream-changes.ts';
import { collectOnSequences, followingSettings } from '../lab/optimize/gate/collect-on-sequences.ts';
import type { CollectedResults } from '../lab/optimize/gate/collect-results.ts';
import type { GateVerdict } from '../lab/optimize/gate/gate-verdict.ts';
import { judge } from '../lab/optimize/gate/judge.ts';
import { readTrackSequences } from '../lab/optimize/gate/track-sequence.ts';
import { batchConfig } from '../settings/config/batch.ts';
import { check } from '../settings/config/check.ts';
import { modelConfig } from '../settings/config/model-config.ts';
import { parseStream } from '../settings/config/parse-stream.ts';
import type { StreamConfig } from '../settings/config/stream.ts';
import type { GatewayApi } from '../wire/client/gateway-api.ts';
import type { Version, VersionReport } from '../wire/protocol/rollout-records.ts';
import { type CliIo, note, wrongCommand } from './cli-io.ts';

/** As that of `optimize`. */
const MAX_LOSS = 0.02;
const VERSION_WAIT_MS = 500;
const VERSION_TRIES = 120;

/** The streams and lanes of a running pipeline, as its gateway shows them. */
interface ShownPipeline {
  readonly lanes?: number | null;
  readonly defaults?: Readonly<Record<string, unknown>>;
  readonly streams?: readonly (Readonly<Record<string, unknown>> & { readonly id: string; readonly model?: string })[];
}

type Settled = Pick<Version, 'model' | 'batch' | 'streams'>;

/**
 * Runs the version in use and the one that a request asks for over sequences with true tracks, on this machine, and says how well both keep identities.
 *
 * @param body - of the request that starts the roll-out.
 * @throws COMMAND_INVALID if the new one is not shown to keep them; DATASET_INVALID; the errors of the gateway and of the models.
 */
export async function requireIdentities(
  folders: string,
  body: unknown,
  { api, detector, io }: { readonly api: GatewayApi; readonly detector: string | undefined; readonly io: CliIo },
): Promise<void> {
  const sequences = await readTrackSequences(folders, '--sequences');
  const used = await versionInUse(api, detector, io.stop);
  const { effective } = await api.pipeline.get();
  const live: Version = {
    ...used,
    model: check(modelConfig, used.settings.model, `version ${used.label}: model`),
    batch: check(batchConfig, used.settings.batch, `version ${used.label}: batch`),
    streams: used.settings.streams,
    weights: [],
  };
  const { lanes, defaults = {}, streams = [] } = effective as ShownPipeline;
  const own = streams.filter(({ model = 'default' }) => model === (detector ?? 'default'));
  const running: RunningPipeline = { ...rolledSettings({ defaults, streams: own }), lanes: lanes ?? 1 };
  const wanted: Settled = readStartRequest({ ...(body as object), partial: true }, live, running);
  const stream = judgedStream(own, live, wanted);
  note(io, `running both versions over ${folders}, as stream "${stream.id}" is read`);
  const run = ({ model, batch, streams: changes }: Settled): Promise<CollectedResults> =>
    collectOnSequences(
      { model, batch, environment: io.environment, stop: io.stop, onNotice: (text) => note(io, text) },
      withChanges(stream, changes),
      sequences,
    );
  const [before, after] = [await run(live), await run(wanted)];
  const ground = { kind: 'tracks', sequences, startsUs: before.startsUs } as const;
  const verdict: GateVerdict = await judge(before, after, ground, { maxLoss: MAX_LOSS });
  if (verdict.verdict !== 'passed')
    throw wrongCommand(
      `--sequences ${folders}: the new version is not shown to keep identities, so it is not rolled out: ${verdict.reason}`,
    );
  note(io, `identities are kept: ${verdict.reason}`);
}

/** A host that has just started hashes the files of its network first. */
async function versionInUse(
  api: GatewayApi,
  detector: string | undefined,
  signal: AbortSignal,
): Promise<VersionReport> {
  for (let tries = 0; ; tries++) {
    const versions = await api.versions.list({ detector });
    const used = versions.find(({ role }) => role === 'live');
    if (used !== undefined) return used;
    if (versions.some(({ role }) => role === 'candidate'))
      throw wrongCommand(
        '--sequences: expected no roll-out that runs; wait for its end, or end it with "sightline rollout abort"',
      );
    if (tries === VERSION_TRIES)
      throw wrongCommand('--sequences: expected a version that the streams use, the gateway shows none');
    await setTimeout(VERSION_WAIT_MS, undefined, { signal });
  }
}

/** The first stream on which the two versions follow objects otherwise; else the first one. */
function judgedStream(streams: ShownPipeline['streams'] & object, live: Settled, wanted: Settled): StreamConfig {
  const all = streams.map((stream) => parseStream({ id: stream.id, source: 'demo', ...followingSettings(stream) }, {}));
  const settings = (stream: StreamConfig, { streams: changes }: Settled): object =>
    followingSettings(withChanges(stream, changes));
  const differing = all.find((stream) => !isDeepStrictEqual(settings(stream, live), settings(stream, wanted)));
  return differing ?? all[0] ?? parseStream({ id: 'sequence', source: 'demo' }, {});
}
