import type { JobReport } from '../fleet.ts';
import type { FleetHost, FleetReport } from '../fleet-report.ts';
import type { StreamReport } from '../report.ts';
import type { JobView } from '../rest.ts';

/** Counters of a fleet's gateway that are not part of the report, for the metrics. */
export interface FleetFigures {
  /** Messages of hosts that had lost their lease. */
  readonly staleMessages: number;
  /** Messages that failed validation. */
  readonly malformedMessages: number;
  /** Messages that this process could not publish. */
  readonly busDropped: number;
}

/**
 * What the gateway needs from a fleet beside its `RuntimePort`: hosts, jobs, and what an operator can do with them. Every
 * promise rejects with CONTROL_UNREACHABLE while the control plane does not answer.
 */
export interface FleetPort {
  /** Name of the host of this gateway. */
  readonly hostId: string;
  fleet(): FleetReport;
  figures(): FleetFigures;
  /** @throws HOST_NOT_FOUND */
  drainHost(hostId: string, isDraining: boolean): Promise<FleetHost>;
  /** @param hostId - null lets the fleet choose. @throws STREAM_NOT_FOUND, HOST_NOT_FOUND, CONFIG_INVALID */
  moveStream(streamId: string, hostId: string | null): Promise<StreamReport>;
  /** All known jobs, newest first. */
  jobs(): Promise<readonly JobReport[]>;
  /** @throws JOB_NOT_FOUND */
  job(jobId: string): Promise<JobView>;
  /** `request` is unchecked user input. @throws CONFIG_INVALID, SOURCE_FORBIDDEN, JOB_EXISTS */
  submitJob(request: unknown): Promise<JobReport>;
  /** @throws JOB_NOT_FOUND */
  cancelJob(jobId: string): Promise<JobReport>;
  /** @returns the number of dead letters that were queued again. @throws JOB_NOT_FOUND */
  retryJob(jobId: string): Promise<number>;
}
