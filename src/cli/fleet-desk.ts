import type { ControlPlane } from '../fleet/control/control-plane.ts';
import { JobOrders } from '../fleet/control/orders/job-orders.ts';
import { StreamOrders } from '../fleet/control/orders/stream-orders.ts';
import { type FleetSummary, readFleetSummary } from '../fleet/control/view/fleet-summary.ts';
import { sourceText } from '../settings/config/placeholders.ts';
import { shownSettings } from '../settings/config/shown-settings.ts';
import { streamConfig } from '../settings/config/stream.ts';
import type { GatewayApi } from '../wire/client/gateway-api.ts';
import type { JobReport } from '../wire/protocol/fleet.ts';
import type { JobRequest, JobView, StreamRequest } from '../wire/protocol/rest.ts';
import { jobDocument } from './job-tables.ts';

/** What `--json` prints of an added stream: its order with Redis, its report with a gateway. Addresses are redacted. */
type AddedStream = { readonly id: string; readonly pipeline?: string } & Readonly<Record<string, unknown>>;

/** What commands do with a fleet, either in its Redis or through the gateway of a host. */
export interface FleetDesk {
  summary(): Promise<FleetSummary>;
  /** `request` is unchecked. */
  addStream(request: object): Promise<AddedStream>;
  /** @param host - null lets the fleet choose. */
  moveStream(id: string, host: string | null): Promise<unknown>;
  removeStream(id: string): Promise<unknown>;
  setDraining(host: string, isDraining: boolean): Promise<unknown>;
  jobs(): Promise<readonly JobReport[]>;
  job(id: string): Promise<JobView>;
  /** `request` is unchecked. */
  submitJob(request: object): Promise<Pick<JobReport, 'id' | 'pipeline' | 'outDir'>>;
  cancelJob(id: string): Promise<unknown>;
  /** @returns the number of tasks that are queued again. */
  retryJob(id: string): Promise<number>;
}

/** Works on the records in Redis, so it needs no host. */
export function controlDesk(control: ControlPlane): FleetDesk {
  // The hosts check what a source may open, and fill in placeholders from their own machines.
  const admit = (address: string): void => void sourceText(address, undefined);
  const streams = new StreamOrders({ control, sender: 'cli', pipeline: null, defaults: {}, admit });
  const jobs = new JobOrders({ control, pipeline: null, admit: () => {} });
  return {
    summary: () => readFleetSummary(control),
    async addStream(request) {
      const order = await streams.add(request);
      return { ...order, config: shownSettings(streamConfig, order.config) };
    },
    moveStream: (id, host) => streams.move(id, host),
    removeStream: (id) => streams.remove(id),
    setDraining: (host, isDraining) => streams.setDraining(host, isDraining),
    jobs: () => control.tasks.jobs(),
    job: (id) => jobDocument(control, id),
    submitJob: (request) => jobs.submit(request, 'job'),
    cancelJob: (id) => control.tasks.cancel(id),
    retryJob: (id) => control.tasks.retry(id),
  };
}

/** Works through REST, with the rights of a token. */
export function gatewayDesk(api: GatewayApi): FleetDesk {
  return {
    async summary() {
      const { streams, fleet, host } = await api.streams.list();
      const overload = fleet === undefined ? host.overload?.text : undefined;
      return { hosts: fleet?.hosts ?? [], streams, ...(overload === undefined ? {} : { overload }) };
    },
    addStream: async (request) => ({ ...(await api.streams.add(request as StreamRequest)) }),
    moveStream: (id, host) => api.streams.move(id, host),
    removeStream: (id) => api.streams.remove(id),
    setDraining: (host, isDraining) => (isDraining ? api.hosts.drain(host) : api.hosts.undrain(host)),
    jobs: () => api.jobs.list(),
    job: (id) => api.jobs.get(id),
    submitJob: (request) => api.jobs.submit(request as JobRequest),
    cancelJob: (id) => api.jobs.cancel(id),
    retryJob: (id) => api.jobs.retry(id),
  };
}
