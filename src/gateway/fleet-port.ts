import type { DeadLetter, JobOrder, JobReport } from '../protocol/fleet.ts';
import type { FleetHost, FleetReport } from '../protocol/fleet-report.ts';
import type { StreamReport } from '../protocol/report.ts';

/** A job with what became of it. The list of inputs, which may be long, stays out. */
export interface JobView {
  readonly report: JobReport;
  readonly order: Omit<JobOrder, 'inputs'>;
  readonly deadLetters: readonly DeadLetter[];
}

/** What the gateway of a fleet counts beside the report, for the metrics. */
export interface FleetFigures {
  /** Messages of hosts that had lost their lease. */
  readonly staleMessages: number;
  /** Messages that did not have the shape that was expected. */
  readonly malformedMessages: number;
  /** Messages that this process could not publish. */
  readonly busDropped: number;
}

/**
 * What the gateway needs of a fleet beside its `RuntimePort`: hosts, jobs, and the handful of things an operator may do to
 * them. Every promise rejects with CONTROL_UNREACHABLE while the control plane does not answer.
 */
export interface FleetPort {
  fleet(): FleetReport;
  figures(): FleetFigures;
  /** @throws HOST_NOT_FOUND */
  drainHost(hostId: string, isDraining: boolean): Promise<FleetHost>;
  /** @param hostId - null leaves the choice to the fleet. @throws STREAM_NOT_FOUND, HOST_NOT_FOUND, CONFIG_INVALID */
  moveStream(streamId: string, hostId: string | null): Promise<StreamReport>;
  /** All that are known, newest first. */
  jobs(): Promise<readonly JobReport[]>;
  /** @throws JOB_NOT_FOUND */
  job(jobId: string): Promise<JobView>;
  /** `request` is unchecked user input. @throws CONFIG_INVALID, SOURCE_FORBIDDEN, JOB_EXISTS */
  submitJob(request: unknown): Promise<JobReport>;
  /** @throws JOB_NOT_FOUND */
  cancelJob(jobId: string): Promise<JobReport>;
  /** @returns how many dead letters went back in the queue. @throws JOB_NOT_FOUND */
  retryJob(jobId: string): Promise<number>;
}
