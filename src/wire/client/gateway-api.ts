import type { AlertsReply } from '../protocol/alert-delivery.ts';
import type { EventKind, EventMessage } from '../protocol/feed.ts';
import type { JobReport } from '../protocol/fleet.ts';
import type { FleetHost } from '../protocol/fleet-report.ts';
import type { OfferedCamera } from '../protocol/offered-camera.ts';
import type { RecordingsReply } from '../protocol/recordings-reply.ts';
import type {
  CountsReply,
  EventsReply,
  HealthReply,
  HeatReply,
  HistoryReply,
  JobRequest,
  JobView,
  ModelSummary,
  OccupancyReply,
  PipelineReport,
  PipelineSummary,
  ReadyReply,
  RolloutRequest,
  RolloutVerb,
  ScaleReply,
  SeenReply,
  SeenStep,
  SimilarReply,
  StreamChange,
  StreamDetails,
  StreamRequest,
  StreamsReply,
} from '../protocol/rest.ts';
import type { Decision, RolloutReport, VersionReport } from '../protocol/rollout-records.ts';
import type { EventPhase } from '../protocol/rule-event.ts';
import type { SourceTest } from '../protocol/source-test.ts';
import type { RuleTrialReply } from '../protocol/tried-rules.ts';
import type { CallOptions, GatewayRequest, SendRequest } from './send-request.ts';

/** Options of a request about roll-outs. */
export interface DetectorCallOptions extends CallOptions {
  /** Which detector, by its name among `models`; absent: the pipeline's own. */
  readonly detector?: string | undefined;
}

/** Options of a request that acts on a roll-out. */
export interface RolloutCallOptions extends DetectorCallOptions {
  /** Who acts, for the audit log. Only for a gateway without tokens: otherwise the name of the token counts. */
  readonly by?: string | undefined;
}

/** Options of a request that changes a stream. */
export interface ChangeCallOptions extends CallOptions {
  /** `etag` of the settings that the caller saw: if others hold now, the request is refused with STREAM_CHANGED. */
  readonly etag?: string | undefined;
}

/** What to look for; every condition that is given must hold. */
export interface EventSearch extends CallOptions {
  /** Only events about this stream. */
  readonly stream?: string;
  /** Only events of these kinds. */
  readonly kinds?: readonly EventKind[];
  /** Only events with this text in the message, or in the name of the stream, host or kind; upper and lower case are the same. */
  readonly text?: string;
  /** Only events from this time on, milliseconds since 1970. */
  readonly sinceMs?: number;
  /** Most events, 1 to 1,000; by default 200. */
  readonly limit?: number;
}

/** What to look for among events in pages; every condition that is given must hold. */
export interface EventPageSearch extends Omit<EventSearch, 'sinceMs'> {
  /** Only events from this time on, milliseconds since 1970. */
  readonly fromMs?: number;
  /** Only events before this time, milliseconds since 1970. */
  readonly toMs?: number;
  /** Only records of this rule, or of one of several, separated by commas. */
  readonly rule?: string;
  /** Only records of rules about objects of this class. */
  readonly label?: string;
  /** Only records of rules about this zone or line. */
  readonly zone?: string;
  /** Only records of this phase; last: the newest one of each event, in the order in which they were raised; open: the same of events without an end. */
  readonly phase?: EventPhase | 'last' | 'open';
  /** Only records of the event of a rule with this id. */
  readonly event?: string;
  /** `next` of the answer before; absent: the newest events. */
  readonly cursor?: string;
}

/** The time of figures, and its steps. */
export interface HistorySpan extends CallOptions {
  /** From this time on, milliseconds since 1970; by default a day before the end. */
  readonly fromMs?: number;
  /** Until this time, milliseconds since 1970; by default now. */
  readonly toMs?: number;
  /** Length of a step; by default an hour. */
  readonly by?: 'minute' | 'hour' | 'day';
  /** Minutes by which days and hours begin earlier than in UTC, -840 to 840; by default 0. */
  readonly utcOffset?: number;
  /** Only this stream. */
  readonly stream?: string;
}

/** Which object others are compared with: that of an event, or a track of a stream; and which others. */
export interface SimilarSearch extends CallOptions {
  /** Id of the event of a rule. */
  readonly event?: string;
  /** The stream of a track. */
  readonly stream?: string;
  /** The track. */
  readonly trackId?: number;
  /** The run of the track; by default the newest. */
  readonly run?: string;
  /** The second stage whose embeddings are compared; by default the first by name. */
  readonly attribute?: string;
  /** Only objects that were seen from this time on, milliseconds since 1970. */
  readonly fromMs?: number;
  /** Only objects that were seen before this time, milliseconds since 1970. */
  readonly toMs?: number;
  /** Only objects of this class. */
  readonly label?: string;
  /** Only objects of these streams. */
  readonly streams?: readonly string[];
  /** Most objects, 1 to 100; by default 20. */
  readonly limit?: number;
  /** Least similarity, -1 to 1; by default all. */
  readonly min?: number;
}

/**
 * The REST API of a gateway, one method a route; `docs/rest.md` lists them. Each rejects with the `SightlineError` that the
 * gateway answers (its `code` is in `docs/errors.md`), or with GATEWAY_UNREACHABLE if none answers. Replies are not checked
 * against their types: a newer gateway may add keys.
 */
export class GatewayApi {
  readonly #send: SendRequest;

  /** @param send - sends a request to the gateway, for example by `fetch`. */
  constructor(send: SendRequest) {
    this.#send = send;
  }

  /** The streams of the host, or of the fleet. */
  readonly streams = {
    /** The newest report: all streams, and the host of the gateway. */
    list: (options?: CallOptions) => this.#get<StreamsReply>('/api/streams', options),
    /** A stream with its settings. @throws STREAM_NOT_FOUND */
    get: (id: string, options?: CallOptions) => this.#get<StreamDetails>(pathOf('streams', id), options),
    /** What it did in the last seconds, 1 to those of 31 days. @throws STREAM_NOT_FOUND */
    history: (id: string, seconds = 3600, options?: CallOptions) =>
      this.#get<HistoryReply>(`${pathOf('streams', id, 'history')}?seconds=${seconds}`, options),
    /** Adds a stream. @throws CONFIG_INVALID, STREAM_EXISTS, SOURCE_* */
    add: (stream: StreamRequest, options?: CallOptions) => this.#post<StreamDetails>('/api/streams', stream, options),
    /** Changes settings of a stream that runs; after an error it keeps its old ones. @throws CONFIG_INVALID, STREAM_NOT_FOUND */
    update: (id: string, change: StreamChange, options?: ChangeCallOptions) =>
      this.#call<StreamDetails>({ ...options, method: 'PATCH', path: pathOf('streams', id), body: change }),
    /** Gives a stream that runs all its settings; keys that are left out get the defaults. @throws as `update` */
    replace: (id: string, settings: Omit<StreamRequest, 'id'>, options?: ChangeCallOptions) =>
      this.#call<StreamDetails>({ ...options, method: 'PUT', path: pathOf('streams', id), body: settings }),
    /**
     * Tells which events rules would have made of what the stream saw in the last hour; nothing changes. What is left out is as it runs.
     *
     * @throws CONFIG_INVALID as `update`, STREAM_NOT_FOUND, LIMIT_REACHED, STREAM_STATE if another host of a fleet runs it
     */
    tryRules: (id: string, rules: Pick<StreamChange, 'events' | 'zones' | 'lines'>, options?: CallOptions) =>
      this.#post<RuleTrialReply>(`${pathOf('streams', id, 'rules')}/try`, rules, options),
    /** Stops reading a stream until `resume`. @throws STREAM_NOT_FOUND, STREAM_STATE */
    pause: (id: string, options?: CallOptions) =>
      this.#post<StreamDetails>(pathOf('streams', id, 'pause'), undefined, options),
    /** Reads a paused stream again. @throws STREAM_NOT_FOUND, STREAM_STATE */
    resume: (id: string, options?: CallOptions) =>
      this.#post<StreamDetails>(pathOf('streams', id, 'resume'), undefined, options),
    /** Ends a stream. @throws STREAM_NOT_FOUND */
    remove: (id: string, options?: ChangeCallOptions) =>
      this.#call<null>({ ...options, method: 'DELETE', path: pathOf('streams', id) }),
    /** Runs a stream of a fleet on another host; null lets the fleet choose. @throws STREAM_NOT_FOUND, HOST_NOT_FOUND */
    move: (id: string, host: string | null, options?: CallOptions) =>
      this.#post<StreamDetails>(pathOf('streams', id, 'move'), { host }, options),
  };

  /** The settings of the pipeline. */
  readonly pipeline = {
    /** The settings of the pipeline file, the changes to its streams, and the settings in use. */
    get: (options?: CallOptions) => this.#get<PipelineReport>('/api/pipeline', options),
    /** Gives these streams, or all, the settings of the pipeline file again. Not in a fleet. @throws STREAM_NOT_FOUND */
    reset: (streams: readonly string[] | null, options?: CallOptions) =>
      this.#post<PipelineReport>('/api/pipeline/reset', streams === null ? {} : { streams }, options),
  };

  /** The hosts of a fleet. */
  readonly hosts = {
    /** All hosts, by name. */
    list: async (options?: CallOptions) =>
      (await this.#get<{ readonly hosts: readonly FleetHost[] }>('/api/hosts', options)).hosts,
    /** Moves its streams to other hosts and assigns it no more work. @throws HOST_NOT_FOUND */
    drain: (id: string, options?: CallOptions) =>
      this.#post<FleetHost>(pathOf('hosts', id, 'drain'), undefined, options),
    /** Assigns it work again. @throws HOST_NOT_FOUND */
    undrain: (id: string, options?: CallOptions) =>
      this.#post<FleetHost>(pathOf('hosts', id, 'undrain'), undefined, options),
  };

  /** The jobs of a fleet. */
  readonly jobs = {
    /** All known jobs, newest first. */
    list: async (options?: CallOptions) =>
      (await this.#get<{ readonly jobs: readonly JobReport[] }>('/api/jobs', options)).jobs,
    /** A job with its failed tasks. @throws JOB_NOT_FOUND */
    get: (id: string, options?: CallOptions) => this.#get<JobView>(pathOf('jobs', id), options),
    /** Orders a job. @throws CONFIG_INVALID, SOURCE_FORBIDDEN, JOB_EXISTS */
    submit: (job: JobRequest, options?: CallOptions) => this.#post<JobReport>('/api/jobs', job, options),
    /** Starts no more of its tasks; existing results stay. @throws JOB_NOT_FOUND */
    cancel: (id: string, options?: CallOptions) =>
      this.#post<JobReport>(pathOf('jobs', id, 'cancel'), undefined, options),
    /** Queues its failed tasks again; resolves to their number. @throws JOB_NOT_FOUND */
    retry: async (id: string, options?: CallOptions) =>
      (await this.#post<{ readonly retried: number }>(pathOf('jobs', id, 'retry'), undefined, options)).retried,
  };

  /** The change of the pipeline's version, step by step. */
  readonly rollouts = {
    /** The newest roll-out; null if there was none. */
    newest: async (options?: DetectorCallOptions) =>
      (await this.#get<{ readonly rollout: RolloutReport | null }>(ofDetector('/api/rollouts', options), options))
        .rollout,
    /** Starts a roll-out. @throws CONFIG_INVALID, MODEL_*, ROLLOUT_RUNNING, ROLLOUT_PARTIAL */
    start: (rollout: RolloutRequest, options?: DetectorCallOptions) =>
      this.#post<RolloutReport>(ofDetector('/api/rollouts', options), rollout, options),
    /**
     * Goes to the next step, or to the end if `full`.
     *
     * @param seen - the step that the caller saw: another one is refused.
     * @throws ROLLOUT_NOT_FOUND, ROLLOUT_STATE
     */
    promote: (seen: SeenStep & { readonly full?: boolean }, options?: RolloutCallOptions) =>
      this.#act('promote', options, seen),
    /** Stays at this step. @throws ROLLOUT_NOT_FOUND, ROLLOUT_STATE */
    hold: (options?: RolloutCallOptions) => this.#act('hold', options),
    /** Ends a hold. @throws ROLLOUT_NOT_FOUND, ROLLOUT_STATE */
    resume: (options?: RolloutCallOptions) => this.#act('resume', options),
    /** All streams return to the version before. @throws ROLLOUT_NOT_FOUND, ROLLOUT_STATE */
    abort: (options?: RolloutCallOptions) => this.#act('abort', options),
    /** As `abort`, also after the promotion. @throws ROLLOUT_NOT_FOUND, ROLLOUT_STATE */
    undo: (options?: RolloutCallOptions) => this.#act('undo', options),
    /** All decisions, newest first. */
    history: async (options?: DetectorCallOptions) => {
      const path = ofDetector('/api/rollouts/history', options);
      return (await this.#get<{ readonly decisions: readonly Decision[] }>(path, options)).decisions;
    },
  };

  /** The versions that a roll-out can start from or lead to. */
  readonly versions = {
    /** All known versions of the pipeline, oldest first. */
    list: async (options?: DetectorCallOptions) => {
      const path = ofDetector('/api/versions', options);
      return (await this.#get<{ readonly versions: readonly VersionReport[] }>(path, options)).versions;
    },
    /** One version. @param id - label, or at least 8 digits of the hash. @throws ROLLOUT_NOT_FOUND */
    get: (id: string, options?: DetectorCallOptions) =>
      this.#get<VersionReport>(ofDetector(pathOf('versions', id), options), options),
  };

  /**
   * Opens a source for a moment, as a stream with these settings would, and reports what it is. With the `id` of an existing stream, its
   * source as `streams.get` shows it, with the password hidden, stands for the real one.
   *
   * @throws CONFIG_INVALID, LIMIT_REACHED while another one is tested, SOURCE_*
   */
  testSource(source: Omit<StreamRequest, 'id'> & { readonly id?: string }, options?: CallOptions): Promise<SourceTest> {
    return this.#post('/api/sources/test', source, options);
  }

  /**
   * Asks the networks of the host for ONVIF cameras, and these for their streams.
   *
   * @param login - of the cameras: most name their streams only with one.
   * @throws LIMIT_REACHED while somebody searches, SOURCE_UNREACHABLE if the host is in none of the networks
   */
  async discover(
    login?: { readonly user: string; readonly password: string },
    options?: CallOptions,
  ): Promise<readonly OfferedCamera[]> {
    return (
      await this.#post<{ readonly cameras: readonly OfferedCamera[] }>('/api/sources/discover', { login }, options)
    ).cameras;
  }

  /** The detectors that the host can load. */
  async models(options?: CallOptions): Promise<readonly ModelSummary[]> {
    return (await this.#get<{ readonly models: readonly ModelSummary[] }>('/api/models', options)).models;
  }

  /** The pipeline files that come with the host. */
  async pipelines(options?: CallOptions): Promise<readonly PipelineSummary[]> {
    return (await this.#get<{ readonly pipelines: readonly PipelineSummary[] }>('/api/pipelines', options)).pipelines;
  }

  /** The newest events that match, newest last; by default 200 of all. */
  async recentEvents({
    stream,
    kinds,
    text,
    sinceMs,
    limit,
    ...options
  }: EventSearch = {}): Promise<readonly EventMessage[]> {
    const path = withQuery('/api/events', { stream, type: kinds?.join(), q: text, since: sinceMs, limit });
    return (await this.#get<EventsReply>(path, options)).events;
  }

  /** A page of the events that match, newest last; `next` is the `cursor` of the page of older ones. */
  eventPage({
    signal,
    kinds,
    text,
    fromMs,
    toMs,
    cursor = 'newest',
    ...same
  }: EventPageSearch = {}): Promise<EventsReply> {
    const query = { ...same, type: kinds?.join(), q: text, from: fromMs, to: toMs, cursor };
    return this.#get(withQuery('/api/events', query), { signal });
  }

  /** How many objects crossed lines, or appeared, by steps of time. */
  counts({
    signal,
    ...query
  }: HistorySpan & { readonly line?: string; readonly label?: string } = {}): Promise<CountsReply> {
    return this.#get(withQuery('/api/counts', spanQuery(query)), { signal });
  }

  /** How full zones were, by steps of time. */
  occupancy({ signal, ...query }: HistorySpan & { readonly zone?: string } = {}): Promise<OccupancyReply> {
    return this.#get(withQuery('/api/occupancy', spanQuery(query)), { signal });
  }

  /** How long streams were watched, by steps of time. */
  seen({ signal, ...query }: HistorySpan = {}): Promise<SeenReply> {
    return this.#get(withQuery('/api/seen', spanQuery(query)), { signal });
  }

  /** Where objects stood in the picture of a stream. */
  heat(
    stream: string,
    { signal, fromMs, toMs }: Pick<HistorySpan, 'signal' | 'fromMs' | 'toMs'> = {},
  ): Promise<HeatReply> {
    return this.#get(withQuery('/api/heat', { stream, from: fromMs, to: toMs }), { signal });
  }

  /** Objects that look like that of an event, or like a track of a stream, the most similar first. */
  similar({ signal, fromMs, toMs, trackId, streams, ...same }: SimilarSearch): Promise<SimilarReply> {
    const query = { ...same, track: trackId, streams: streams?.join(), from: fromMs, to: toMs };
    return this.#get(withQuery('/api/similar', query), { signal });
  }

  /** What became of the alerts of an event. */
  alertsOf(event: string, { signal }: CallOptions = {}): Promise<AlertsReply> {
    return this.#get(`/api/events/${encodeURIComponent(event)}/alerts`, { signal });
  }

  /** What is recorded of a time, and the clip of an event. */
  recordings({
    signal,
    ...query
  }: Pick<HistorySpan, 'signal' | 'stream' | 'fromMs' | 'toMs'> & {
    readonly event?: string;
  } = {}): Promise<RecordingsReply> {
    return this.#get(withQuery('/api/recordings', spanQuery(query)), { signal });
  }

  /** Fleet only: the recommended number of hosts. */
  scale(options?: CallOptions): Promise<ScaleReply> {
    return this.#get('/api/scale', options);
  }

  /** Answers while the process lives; needs no token. */
  health(options?: CallOptions): Promise<HealthReply> {
    return this.#get('/healthz', options);
  }

  /** Whether the pipeline can work; why only with a token. Resolves also if it cannot. */
  readiness(options?: CallOptions): Promise<ReadyReply> {
    return this.#call({ ...options, method: 'GET', path: '/readyz', okStatus: 503 });
  }

  /** Removes the cookie of a browser that has signed in. */
  async signOut(options?: CallOptions): Promise<void> {
    await this.#post<null>('/sign-out', undefined, options);
  }

  #act(verb: RolloutVerb, { by, ...options }: RolloutCallOptions = {}, seen?: SeenStep): Promise<RolloutReport> {
    const body = seen === undefined && by === undefined ? undefined : { ...seen, ...(by === undefined ? {} : { by }) };
    return this.#post(ofDetector(`/api/rollouts/${verb}`, options), body, options);
  }

  #get<T>(path: string, options?: CallOptions): Promise<T> {
    return this.#call({ ...options, method: 'GET', path });
  }

  #post<T>(path: string, body: unknown, options?: CallOptions): Promise<T> {
    return this.#call({ ...options, method: 'POST', path, body });
  }

  async #call<T>(request: GatewayRequest): Promise<T> {
    return (await this.#send(request)) as T;
  }
}

function spanQuery<T extends HistorySpan>({ fromMs, toMs, ...query }: T): Record<string, string | number | undefined> {
  return { ...(query as Record<string, string>), from: fromMs, to: toMs };
}

function ofDetector(path: string, { detector }: DetectorCallOptions = {}): string {
  return withQuery(path, { detector });
}

function withQuery(path: string, query: Readonly<Record<string, string | number | undefined>>): string {
  const known = Object.entries(query).filter(([, value]) => value !== undefined);
  const text = known.map(([key, value]) => `${key}=${encodeURIComponent(String(value))}`).join('&');
  return text === '' ? path : `${path}?${text}`;
}

function pathOf(kind: string, id: string, verb?: string): string {
  return `/api/${kind}/${encodeURIComponent(id)}${verb === undefined ? '' : `/${verb}`}`;
}
