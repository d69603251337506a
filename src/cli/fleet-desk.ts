import type { ControlPlane } from '../control/control-plane.ts';
import { JobOrders } from '../control/orders/job-orders.ts';
import { StreamOrders } from '../control/orders/stream-orders.ts';
import { type FleetSummary, readFleetSummary } from '../control/view/fleet-summary.ts';
import { redact } from '../core/redact.ts';
import type { JobReport } from '../protocol/fleet.ts';
import type { FleetReport } from '../protocol/fleet-report.ts';
import type { StreamReport } from '../protocol/report.ts';
import { type JobDocument, jobDocument } from './job-tables.ts';

/** What `--json` prints of an added stream: its order with Redis, its report with a gateway. The source is redacted. */
type AddedStream = { readonly id: string; readonly pipeline?: string } & Readonly<Record<string, unknown>>;

/** What commands do with a fleet, either in its Redis or through the gateway of a host. */
export interface FleetDesk {
  summary(): Promise<FleetSummary>;
  /** `request` is unchecked. */
  addStream(request: object): Promise<AddedStream>;
  /** @param host - null lets the fleet choose. */
  moveStream(id: string, host: string | null): Promise<void>;
  removeStream(id: string): Promise<void>;
  setDraining(host: string, isDraining: boolean): Promise<void>;
  jobs(): Promise<readonly JobReport[]>;
  job(id: string): Promise<JobDocument>;
  /** `request` is unchecked. */
  submitJob(request: object): Promise<Pick<JobReport, 'id' | 'pipeline' | 'outDir'>>;
  cancelJob(id: string): Promise<void>;
  /** @returns the number of tasks that are queued again. */
  retryJob(id: string): Promise<number>;
}

/** Works on the records in Redis, so it needs no host. */
export function controlDesk(control: ControlPlane): FleetDesk {
  const streams = new StreamOrders({ control, sender: 'cli', pipeline: null, defaults: {}, admit: () => {} });
  const jobs = new JobOrders({ control, pipeline: null, admit: () => {} });
  return {
    summary: () => readFleetSummary(control),
    async addStream(request) {
      const order = await streams.add(request);
      return { ...order, config: { ...order.config, source: redact(order.config.source) } };
    },
    async moveStream(id, host) {
      await streams.move(id, host);
    },
    async removeStream(id) {
      await streams.remove(id);
    },
    async setDraining(host, isDraining) {
      await streams.setDraining(host, isDraining);
    },
    jobs: () => control.tasks.jobs(),
    job: (id) => jobDocument(control, id),
    submitJob: (request) => jobs.submit(request, 'job'),
    async cancelJob(id) {
      await control.tasks.cancel(id);
    },
    retryJob: (id) => control.tasks.retry(id),
  };
}

/** Sends a request to a gateway and returns its answer. */
export type AskGateway = (method: 'GET' | 'POST' | 'DELETE', path: string, body?: unknown) => Promise<unknown>;

/** Works through REST, with the rights of a token. */
export function gatewayDesk(ask: AskGateway): FleetDesk {
  const stream = (id: string): string => `/api/streams/${encodeURIComponent(id)}`;
  const job = (id: string): string => `/api/jobs/${encodeURIComponent(id)}`;
  return {
    async summary() {
      const { streams, fleet } = (await ask('GET', '/api/streams')) as {
        readonly streams: readonly StreamReport[];
        readonly fleet?: FleetReport;
      };
      return { hosts: fleet?.hosts ?? [], streams };
    },
    addStream: async (request) => (await ask('POST', '/api/streams', request)) as AddedStream,
    async moveStream(id, host) {
      await ask('POST', `${stream(id)}/move`, { host });
    },
    async removeStream(id) {
      await ask('DELETE', stream(id));
    },
    async setDraining(host, isDraining) {
      await ask('POST', `/api/hosts/${encodeURIComponent(host)}/${isDraining ? 'drain' : 'undrain'}`);
    },
    jobs: async () => ((await ask('GET', '/api/jobs')) as { readonly jobs: readonly JobReport[] }).jobs,
    job: async (id) => (await ask('GET', job(id))) as JobDocument,
    submitJob: async (request) => (await ask('POST', '/api/jobs', request)) as JobReport,
    async cancelJob(id) {
      await ask('POST', `${job(id)}/cancel`);
    },
    retryJob: async (id) => ((await ask('POST', `${job(id)}/retry`)) as { readonly retried: number }).retried,
  };
}
