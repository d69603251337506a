import type { Clock } from '../core/clock.ts';
import type { Incidents } from '../flow/incidents.ts';
import type { FleetPort } from './fleet-port.ts';
import type { RolloutPort } from './rollout-port.ts';

/** What the gateway needs from a logger; pino satisfies it. */
export interface GatewayLogger {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
  error(details: object, message: string): void;
}

export interface GatewayOptions {
  /** Address to listen on, by default `127.0.0.1`. An address beyond loopback needs a token. */
  readonly host?: string;
  /** 0: any free port. */
  readonly port: number;
  /** Secret that every request except `/healthz` must carry; an empty string counts as none. */
  readonly token?: string | undefined;
  /** Allowed origins beside the gateway's own, e.g. `https://video.example` of a reverse proxy. */
  readonly allowedOrigins?: readonly string[];
  /** Folder of the dashboard, by default the package's own. */
  readonly webDir?: string;
  readonly logger?: GatewayLogger;
  /** Hosts and jobs; absent if the gateway shows a single machine. */
  readonly fleet?: FleetPort;
  /** Roll-outs of the pipeline; absent if the host cannot run several models. */
  readonly rollouts?: RolloutPort;
  /** Returned unchanged by `GET /api/pipelines`. */
  readonly pipelines?: readonly object[];
  /** Returned unchanged by `GET /api/models`. */
  readonly models?: readonly object[];
  /** Maximum preview pictures per second and stream, by default 5. */
  readonly maxPreviewFps?: number;
  /** Bytes that may be buffered for one client before it gets only the newest messages, by default 1 MiB. */
  readonly maxBufferedBytes?: number;
  /** Most connections at once, in all and from one address; by default 1,000 and 128. */
  readonly maxConnections?: number;
  readonly maxConnectionsPerAddress?: number;
  /** Maximum number of WebSocket clients, by default 200. */
  readonly maxClients?: number;
  /** Interval of pings, by default 15 000. A client that sends nothing until the next ping is disconnected. */
  readonly heartbeatMs?: number;
  readonly clock?: Clock;
  /** Counts refusals and caught exceptions for the metrics; if absent, the gateway creates its own. */
  readonly incidents?: Incidents;
}

export interface Gateway {
  /** Where the dashboard is, without the token. */
  readonly url: string;
  readonly port: number;
  /** Closes every client and frees the port. Idempotent. */
  close(): Promise<void>;
}

export const silentLogger: GatewayLogger = { info() {}, warn() {}, error() {} };
