import { randomBytes } from 'node:crypto';
import { isAbsolute } from 'node:path';
import { redact } from '../../../base/core/redact.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { check } from '../../../settings/config/check.ts';
import type { HostCard, JobOrder } from '../../../wire/protocol/fleet.ts';
import { jobRequest } from '../../../wire/protocol/rest.ts';
import type { ControlPlane } from '../control-plane.ts';
import { choosePipeline } from './choose-pipeline.ts';

export interface JobOrdersOptions {
  readonly control: ControlPlane;
  /** Default pipeline of a job; null takes the one that the hosts run. */
  readonly pipeline: string | null;
  /** Refuses paths that no host may read or write. @throws SOURCE_FORBIDDEN */
  readonly admit: (order: JobOrder) => Promise<void> | void;
}

/** Validates job requests and queues them. */
export class JobOrders {
  readonly #options: JobOrdersOptions;

  constructor(options: JobOrdersOptions) {
    this.#options = options;
  }

  /**
   * @param where - name of the request, for messages: `body`, `job`.
   * @throws CONFIG_INVALID, SOURCE_FORBIDDEN, JOB_EXISTS, CONTROL_UNREACHABLE
   */
  async submit(request: unknown, where: string): Promise<JobOrder> {
    const { model, ...requested } = check(jobRequest, request, where);
    for (const [i, input] of requested.inputs.entries()) requireAbsolute(input, `${where}: inputs[${i}]`);
    requireAbsolute(requested.outDir, `${where}: outDir`);
    const { control } = this.#options;
    const { nowMs, hosts } = await control.state.snapshot();
    const named = requested.pipeline ?? (model === undefined ? this.#options.pipeline : null);
    const fitting = model === undefined ? hosts : hostsWith(model, hosts, named, `${where}: model`);
    const chosen = named ?? choosePipeline(fitting, `${where}: pipeline`);
    const createdMs = Math.floor(nowMs);
    // Random, so that nobody can put a link in place of the folder beforehand.
    const partsKey = randomBytes(16).toString('hex');
    const order = { ...requested, id: requested.id ?? jobId(Date.now()), pipeline: chosen, createdMs, partsKey };
    await this.#options.admit(order);
    await control.tasks.submit(order);
    return order;
  }
}

/** @param pipeline - of the hosts; null for any. @throws CONFIG_INVALID if none of them runs the detector. */
function hostsWith(model: string, hosts: readonly HostCard[], pipeline: string | null, where: string): HostCard[] {
  const asked = hosts.filter((host) => pipeline === null || host.pipeline === pipeline);
  const found = asked.filter((host) => modelOf(host) === model);
  if (found.length > 0) return found;
  const running = [...new Set(asked.map(modelOf))].sort().join(', ') || 'none';
  throw new SightlineError(
    'CONFIG_INVALID',
    `${where}: expected a detector that a host runs, received "${redact(model)}"; they run ${running}. Start one with \`sightline host --model\``,
  );
}

/** A card begins with the name of the detector: `yolox-nano, 416x416, onnx cpu f32`. */
function modelOf({ model }: HostCard): string {
  return model.split(/[ ,]/, 1)[0]!;
}

/** Hosts have different working folders: a relative path would mean a different file on each. */
function requireAbsolute(path: string, where: string): void {
  if (isAbsolute(path)) return;
  throw new SightlineError(
    'CONFIG_INVALID',
    `${where}: expected an absolute path as the hosts see it, received "${redact(path)}"`,
  );
}

/** `job-20260131-140307-9f3c`: sorts by time; the suffix separates jobs of the same second. */
function jobId(nowMs: number): string {
  const [day, time] = new Date(nowMs).toISOString().replaceAll(/[-:]/g, '').split(/[T.]/) as [string, string];
  return `job-${day}-${time}-${randomBytes(2).toString('hex')}`;
}
