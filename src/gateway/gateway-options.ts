import type { Clock } from '../core/clock.ts';
import type { Incidents } from '../telemetry/incidents.ts';
import type { FleetPort } from './fleet-port.ts';

/** What the gateway needs of a log; a pino logger fits. */
export interface GatewayLogger {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
  error(details: object, message: string): void;
}

export interface GatewayOptions {
  /** Address to listen on; `127.0.0.1` unless told otherwise. Any address beyond loopback needs a token. */
  readonly host?: string;
  /** 0 takes a free port. */
  readonly port: number;
  /** Secret that every request must carry, except `/healthz`; an empty string counts as none. */
  readonly token?: string | undefined;
  /** Origins beside the gateway's own that may use it, e.g. `https://video.example` of a reverse proxy. */
  readonly allowedOrigins?: readonly string[];
  /** Folder of the dashboard; the package's own unless told otherwise. */
  readonly webDir?: string;
  readonly logger?: GatewayLogger;
  /** Hosts and jobs; absent where the gateway shows one machine. */
  readonly fleet?: FleetPort;
  /** Shown as they are by `GET /api/pipelines`. */
  readonly pipelines?: readonly object[];
  /** Shown as they are by `GET /api/models`. */
  readonly models?: readonly object[];
  /** Most pictures a second and stream that go out; 5 unless told otherwise. */
  readonly maxPreviewFps?: number;
  /** Bytes that may wait for one client before it gets only the newest; 1 MiB unless told otherwise. */
  readonly maxBufferedBytes?: number;
  /** WebSocket clients at once; 200 unless told otherwise. */
  readonly maxClients?: number;
  /** A client that shows no life for this long is cut off after one more; 15 000 unless told otherwise. */
  readonly heartbeatMs?: number;
  readonly clock?: Clock;
  /** Counts what is refused and what barriers catch, for the metrics; absent, the gateway counts its own. */
  readonly incidents?: Incidents;
}

export interface Gateway {
  /** Where the dashboard is, without the token. */
  readonly url: string;
  readonly port: number;
  /** Says good-bye to every client and frees the port; may be called twice. */
  close(): Promise<void>;
}

export const silentLogger: GatewayLogger = { info() {}, warn() {}, error() {} };
