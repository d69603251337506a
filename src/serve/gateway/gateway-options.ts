import type { History } from '../../after/history/history.ts';
import type { Recorder } from '../../after/recording/recorder.ts';
import type { Clock } from '../../base/core/clock.ts';
import type { Incidents } from '../../base/flow/incidents.ts';
import type { Tracing } from '../../frame/telemetry/tracing/open-tracing.ts';
import type { FleetPort } from '../../wire/protocol/ports/fleet-port.ts';
import type { RolloutPort } from '../../wire/protocol/ports/rollout-port.ts';
import type { ModelSummary, PipelineSummary } from '../../wire/protocol/rest.ts';
import type { ProxyUsersConfig } from './access/proxy-users.ts';
import type { TlsFiles } from './access/tls-files.ts';
import type { RequestPort } from './requests/request-port.ts';
import type { Discovery } from './routes-discover.ts';

/** What the gateway needs from a logger; pino satisfies it. */
export interface GatewayLogger {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
  error(details: object, message: string): void;
}

export interface GatewayOptions {
  /** Address to listen on, by default `127.0.0.1`. An address beyond loopback needs tokens. */
  readonly host?: string;
  /** 0: any free port. */
  readonly port: number;
  /** Path below which a proxy serves it and which that passes on, such as `/cams`; requests without it are answered as well. */
  readonly basePath?: string | undefined;
  /** Origins of pages that may show the dashboard in a frame. */
  readonly frameAncestors?: readonly string[];
  /** A token with the role admin, at least 16 characters; an empty string counts as none. */
  readonly token?: string | undefined;
  /** More tokens: a file that `sightline tokens` writes. It is read again when it changes. */
  readonly tokensFile?: { readonly path: string; readonly mustExist: boolean } | undefined;
  /** Serve HTTPS. Both files are read again when they change. */
  readonly tls?: TlsFiles | undefined;
  /** Addresses and networks of proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed. */
  readonly trustedProxies?: readonly string[];
  /** Users whom one of these proxies has signed in. */
  readonly proxyUsers?: ProxyUsersConfig | undefined;
  /** Where to record who did what; absent: nowhere. The port is part of the name, since it may be chosen at the start. */
  readonly audit?: { readonly pathOf: (port: number) => string; readonly maxBytes: number };
  /** What it searches, and where it adds events and figures; the caller closes it. Absent: one in memory. */
  readonly history?: History | undefined;
  /** Clips and recordings; absent if the gateway has none. */
  readonly recorder?: Recorder | undefined;
  /** Where cameras are searched; absent: in private networks. */
  readonly discovery?: Discovery;
  /** Allowed origins beside the gateway's own, e.g. `https://video.example` of a reverse proxy. */
  readonly allowedOrigins?: readonly string[];
  /** Folder of the dashboard, by default the package's own. */
  readonly webDir?: string;
  readonly logger?: GatewayLogger;
  /** Absent unless requests are traced. */
  readonly tracing?: Pick<Tracing, 'request'> | undefined;
  /** Hosts and jobs; absent if the gateway shows a single machine. */
  readonly fleet?: FleetPort;
  /** Roll-outs of the pipeline; absent if the host cannot run several models. */
  readonly rollouts?: RolloutPort;
  /** Of the detectors that streams name, by their names. */
  readonly namedRollouts?: ReadonlyMap<string, RolloutPort>;
  /** Answers pictures of clients; absent if the gateway takes none. */
  readonly requests?: RequestPort | undefined;
  /** Returned unchanged by `GET /api/pipelines`. */
  readonly pipelines?: readonly PipelineSummary[];
  /** What `GET /api/models` returns. */
  readonly models?: () => Promise<readonly ModelSummary[]>;
  /** Bytes that may be buffered for one client before it gets only the newest messages, by default 1 MiB. */
  readonly maxBufferedBytes?: number;
  /** Most connections at once, in all and from one address; by default 1,000 and 128. */
  readonly maxConnections?: number;
  readonly maxConnectionsPerAddress?: number;
  /** Maximum number of WebSocket clients, by default 200. */
  readonly maxClients?: number;
  /** Interval of pings, by default 15 000. A client that sends nothing until the next ping is disconnected. */
  readonly heartbeatMs?: number;
  /** Called for each route at the start, as `METHOD /pattern`. */
  readonly onRoute?: (route: string) => void;
  readonly clock?: Clock;
  /** Milliseconds since 1970, for the expiry of tokens. */
  readonly wallMs?: () => number;
  /** Counts refusals and caught exceptions for the metrics; if absent, the gateway creates its own. */
  readonly incidents?: Incidents;
}

/** A running gateway: dashboard, WebSocket feed, REST and metrics. */
export interface Gateway {
  /** Where the dashboard is, without the token. */
  readonly url: string;
  /** The port that it listens on. */
  readonly port: number;
  /** Closes every client and frees the port. Idempotent. */
  close(): Promise<void>;
}

export const silentLogger: GatewayLogger = { info() {}, warn() {}, error() {} };
