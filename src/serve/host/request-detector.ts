import { randomUUID } from 'node:crypto';
import type { Picture } from '../../base/core/picture.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { activeTrace, type TraceParent } from '../../base/flow/trace-context.ts';
import { isMember } from '../../fleet/control/rollout/membership.ts';
import { defaultLanes } from '../../frame/runtime/open-runtime.ts';
import type { RequestsConfig } from '../../settings/config/requests.ts';
import type { DetectedPicture, DetectOptions, RequestPort, ServedVersion } from '../gateway/requests/request-port.ts';
import type { PipelineConfig } from '../pipeline/pipeline.ts';
import type { DetectorRollouts } from './host-rollouts.ts';
import { PictureDetector, type PictureResult } from './picture-detector.ts';
import type { PipelineHost } from './pipeline-host.ts';
import { isStreamState } from './pushed-stream.ts';
import type { LoadedVersion } from './runtime-target.ts';

interface KnownVersion extends Pick<LoadedVersion, 'instance' | 'scoreThreshold'> {
  /** What requests call it. */
  readonly version: string;
  /** Null where there are no roll-outs. */
  readonly hash: string | null;
}

/** What a version may do that another one would not: the picture itself is not the cause. */
const FAILURES: readonly string[] = ['ENGINE_FAILED', 'MODEL_NOT_FOUND'];

/** Answers the pictures of requests, each by a loaded version of the model. The frames of all streams go first. */
export class RequestDetector implements RequestPort {
  readonly name: string;
  readonly settings: RequestsConfig;
  readonly #host: PipelineHost;
  readonly #lanes: number;
  readonly #rollouts: DetectorRollouts | null;
  /** By instance. */
  readonly #detectors = new Map<string, PictureDetector>();
  /** By instance and content, the one that was used least recently first. */
  readonly #results = new Map<string, PictureResult>();

  /** @param rollouts - which load other versions; null without. */
  constructor(host: PipelineHost, config: PipelineConfig, rollouts: DetectorRollouts | null) {
    this.#host = host;
    this.name = config.name;
    this.settings = config.requests;
    this.#lanes = config.lanes ?? defaultLanes();
    this.#rollouts = rollouts;
    if (rollouts !== null) rollouts.target.beforeUnload = (instance) => this.#release(instance);
  }

  versions(): readonly ServedVersion[] {
    const { primary } = this.#host.runtime;
    return this.#loaded.map(({ instance, version }) => ({ version, isActive: instance === primary }));
  }

  async detect(
    picture: Exclude<Picture, string>,
    { version: wanted, signal }: DetectOptions,
  ): Promise<DetectedPicture> {
    const takesShare = wanted === undefined && this.#rollouts?.agent.running != null;
    const hash = this.settings.cacheResults === 0 && !takesShare ? null : await hashOf(picture);
    signal.throwIfAborted();
    const candidate = takesShare ? this.#candidateFor(hash!) : undefined;
    if (candidate === undefined) return this.#ask(this.#find(wanted), picture, hash, signal);
    try {
      return await this.#ask(candidate, picture, hash, signal);
    } catch (error) {
      if (!(error instanceof SightlineError) || !FAILURES.includes(error.code)) throw error;
      signal.throwIfAborted();
      return { ...(await this.#ask(this.#find(undefined), picture, hash, signal)), isFallback: true };
    }
  }

  /** @param hash - of the picture; null: its result is not kept. */
  async #ask(
    { version, instance, scoreThreshold }: KnownVersion,
    picture: Exclude<Picture, string>,
    hash: string | null,
    signal: AbortSignal,
  ): Promise<DetectedPicture> {
    const { cacheResults } = this.settings;
    const key = `${instance} ${hash}`;
    const known = hash === null ? undefined : this.#results.get(key);
    const result =
      known ?? (await this.#detectorOf(instance, scoreThreshold).detect(picture, signal, parentNow()).catch(explain));
    if (hash !== null && cacheResults > 0) {
      this.#results.delete(key);
      this.#results.set(key, result);
      if (this.#results.size > cacheResults) this.#results.delete(this.#results.keys().next().value!);
    }
    return { ...result, version, isCached: known !== undefined };
  }

  /** Ends the streams that its pictures took. */
  async close(): Promise<void> {
    await Promise.all([...this.#detectors.keys()].map((instance) => this.#release(instance)));
  }

  get #loaded(): readonly KnownVersion[] {
    const { primary: instance, scoreThreshold } = this.#host.runtime;
    if (this.#rollouts === null) return [{ version: '1', instance, scoreThreshold, hash: null }];
    const { target, agent } = this.#rollouts;
    // The records of a fleet may count a version otherwise than the host that started with it.
    const labels = new Map(agent.versions().map(({ hash, label }) => [hash, label]));
    return target.loaded.map(({ hash, label, ...version }) => ({
      ...version,
      hash,
      version: (labels.get(hash) ?? label).replace(/^.*@/, ''),
    }));
  }

  /** The candidate of a roll-out, if a picture is of its share. A picture that is sent again meets the same version, on every host. */
  #candidateFor(picture: string): KnownVersion | undefined {
    const rollout = this.#rollouts?.agent.running ?? null;
    if (rollout === null || !isMember(picture, rollout.share)) return undefined;
    return this.#loaded.find(({ hash }) => hash === rollout.to.hash);
  }

  #find(wanted: string | undefined): KnownVersion {
    const loaded = this.#loaded;
    const { primary } = this.#host.runtime;
    const found = loaded.find(({ version, instance }) =>
      wanted === undefined ? instance === primary : version === wanted,
    );
    if (found !== undefined) return found;
    const known = loaded.map(({ version }) => version).join(', ');
    throw new SightlineError(
      'MODEL_NOT_FOUND',
      `version ${JSON.stringify(wanted)} of ${this.name}: not loaded; loaded are: ${known}`,
    );
  }

  #detectorOf(instance: string, scoreThreshold: number): PictureDetector {
    let detector = this.#detectors.get(instance);
    if (detector === undefined) {
      const { runtime, streams } = this.#host;
      detector = new PictureDetector(runtime, streams, {
        most: this.#lanes,
        name: `request-${randomUUID().slice(0, 8)}-`,
        instance,
        scoreThreshold,
        isBelowStreams: true,
      });
      this.#detectors.set(instance, detector);
    }
    return detector;
  }

  /** Resolves when no request uses a model that is about to be ended. */
  async #release(instance: string): Promise<void> {
    const detector = this.#detectors.get(instance);
    this.#detectors.delete(instance);
    for (const key of this.#results.keys()) if (key.startsWith(`${instance} `)) this.#results.delete(key);
    await detector?.close();
  }
}

/** The stream that a picture took was removed, or the host stops. */
function explain(error: unknown): never {
  if (!isStreamState(error)) throw error;
  throw new SightlineError(
    'ENGINE_FAILED',
    'the request was stopped before it had a result; send it again',
    {},
    { cause: error },
  );
}

/** The span of the request, which is sampled, as the parent of its picture. */
function parentNow(): TraceParent | undefined {
  const ids = activeTrace();
  return ids === undefined ? undefined : { traceparent: `00-${ids.trace_id}-${ids.span_id}-01` };
}

/** Runs on another thread. */
async function hashOf(picture: Exclude<Picture, string>): Promise<string> {
  const [bytes, size] = 'data' in picture ? [picture.data, `${picture.width}x${picture.height}`] : [picture, 'file'];
  const digest = await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>);
  return `${size} ${Buffer.from(digest).toString('hex')}`;
}
