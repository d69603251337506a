import { SightlineError } from '../../src/base/errors/sightline-error.ts';
import type { DeadLetter, JobReport } from '../../src/wire/protocol/fleet.ts';
import type { FleetHost, FleetReport } from '../../src/wire/protocol/fleet-report.ts';
import type { FleetFigures, FleetPort } from '../../src/wire/protocol/ports/fleet-port.ts';
import type { StreamReport } from '../../src/wire/protocol/report.ts';
import type { JobView } from '../../src/wire/protocol/rest.ts';
import { hostCard, jobOrder, jobReport } from './fleet-plane.ts';
import type { RuntimeDouble } from './runtime-double.ts';
import { scaleReport } from './sample-reports.ts';

/** A fleet in front of a runtime double: three hosts share its streams, two jobs run. Records the operator's actions. */
export class FleetDouble implements FleetPort {
  readonly hostId = 'edge-1';
  readonly calls: string[] = [];
  readonly runtime: RuntimeDouble;
  readonly hosts = new Map<string, FleetHost>();
  readonly jobReports = new Map<string, JobReport>();
  readonly letters: DeadLetter[] = [];
  scale: FleetReport['scale'] = {
    ...scaleReport(4),
    reason: 'Live streams take 74 % of 3 hosts, and 46 tasks have waited for up to 95 s.',
  };
  readonly #places = new Map<string, string>();

  constructor(runtime: RuntimeDouble) {
    this.runtime = runtime;
    const model = 'yolox-nano-480x256, 480x256, onnx cpu f32';
    for (const [i, id] of ['edge-1', 'edge-2', 'rack-7'].entries()) {
      const loads = [
        { liveFps: 96, bulkFps: 41, capacityFps: 184, segments: 2 },
        { liveFps: 121, bulkFps: 22, capacityFps: 184, segments: 1 },
        { liveFps: 88, bulkFps: 190, capacityFps: 410, segments: 4 },
      ];
      const card = hostCard(id, { ...loads[i]!, model, streams: 4, url: `http://10.0.0.${i + 1}:8080` });
      this.hosts.set(id, { ...card, state: 'ready', lastSeenMs: runtime.timeMs });
    }
    const ids = [...this.hosts.keys()];
    for (const [i, { id }] of runtime.report().streams.entries()) this.#places.set(id, ids[i % ids.length]!);
    this.#makeJobs();
    runtime.decorate = (report) => ({
      ...report,
      streams: report.streams.map((s) => this.#placed(s)),
      fleet: this.fleet(),
    });
  }

  fleet(): FleetReport {
    const streams = this.#places.size;
    return {
      hosts: [...this.hosts.values()],
      placement: { placed: streams, waiting: 0, paused: 0 },
      jobs: [...this.jobReports.values()],
      queue: { waiting: 46, active: 7, oldestWaitingMs: 95_000 },
      scale: this.scale,
    };
  }

  figures(): FleetFigures {
    return { staleMessages: 0, malformedMessages: 0, busDropped: 0 };
  }

  async drainHost(hostId: string, isDraining: boolean): Promise<FleetHost> {
    this.calls.push(`${isDraining ? 'drain' : 'undrain'} ${hostId}`);
    const host = this.hosts.get(hostId);
    if (host === undefined) throw new SightlineError('HOST_NOT_FOUND', `host "${hostId}": not found`);
    const changed: FleetHost = { ...host, state: isDraining ? 'draining' : 'ready' };
    this.hosts.set(hostId, changed);
    this.runtime.tick();
    return changed;
  }

  async moveStream(streamId: string, hostId: string | null): Promise<StreamReport> {
    this.calls.push(`move ${streamId} ${hostId}`);
    if (hostId !== null) this.#places.set(streamId, hostId);
    return this.runtime.report().streams.find(({ id }) => id === streamId)!;
  }

  async jobs(): Promise<readonly JobReport[]> {
    return [...this.jobReports.values()];
  }

  async job(jobId: string): Promise<JobView> {
    const { inputs: _, ...order } = jobOrder(jobId);
    return { report: this.#job(jobId), order, deadLetters: this.letters.filter((letter) => letter.jobId === jobId) };
  }

  async submitJob(): Promise<JobReport> {
    throw new Error('the page submits no jobs');
  }

  async cancelJob(jobId: string): Promise<JobReport> {
    this.calls.push(`cancel ${jobId}`);
    return this.#put({ ...this.#job(jobId), state: 'cancelled', secondsLeft: null, finishedMs: this.runtime.timeMs });
  }

  async retryJob(jobId: string): Promise<number> {
    this.calls.push(`retry ${jobId}`);
    const { deadLetters } = this.#job(jobId);
    this.#put({ ...this.#job(jobId), state: 'running', deadLetters: 0, finishedMs: null });
    return deadLetters;
  }

  #placed(stream: StreamReport): StreamReport {
    const host = this.#places.get(stream.id);
    return host === undefined ? stream : { ...stream, host, fence: 17 };
  }

  #makeJobs(): void {
    const running = { state: 'running', segments: 240, segmentsDone: 102, frames: 184_320 } as const;
    const more = { inputs: 48, filesDone: 19, progressRatio: 0.425, secondsLeft: 754, outDir: '/srv/results/november' };
    this.jobReports.set('archive-november', jobReport('archive-november', { ...running, ...more }));
    const failed = { state: 'failed', segments: 61, segmentsDone: 59, frames: 91_204, finishedMs: 5 } as const;
    const rest = { inputs: 12, filesDone: 10, progressRatio: 0.967, deadLetters: 2, outDir: '/srv/results/dock' };
    this.jobReports.set('dock-recount', jobReport('dock-recount', { ...failed, ...rest }));
    for (const [i, reason] of ['moov atom not found', 'ended 214 frames before its index does'].entries()) {
      this.letters.push({
        taskId: `dock-recount-${i}`,
        jobId: 'dock-recount',
        kind: i === 0 ? 'split' : 'segment',
        input: `/srv/footage/dock-${i + 3}.mp4`,
        reason: `SOURCE_UNREADABLE: ${reason}`,
        attempts: 3,
        failedMs: this.runtime.timeMs,
      });
    }
  }

  #job(jobId: string): JobReport {
    const report = this.jobReports.get(jobId);
    if (report === undefined) throw new SightlineError('JOB_NOT_FOUND', `job "${jobId}": not found`);
    return report;
  }

  #put(report: JobReport): JobReport {
    this.jobReports.set(report.id, report);
    this.runtime.tick();
    return report;
  }
}
