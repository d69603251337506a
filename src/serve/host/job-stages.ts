import { createHash } from 'node:crypto';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import type { JobTools } from '../../fleet/control/jobs/job-tools.ts';
import type { Runtime } from '../../frame/runtime/runtime.ts';
import { SecondStages } from '../../frame/runtime/stages/second-stages.ts';
import type { StageConfig } from '../../settings/config/stages.ts';
import { HostStages, type HostStagesOptions } from './host-stages.ts';

/** The next task of a job comes within this time, unless the job is over. */
const IDLE_MS = 30_000;

export interface JobStagesOptions extends Pick<HostStagesOptions, 'batch' | 'environment' | 'onNotice' | 'modelRoots'> {
  readonly runtime: Runtime;
  /** Called when this host cannot load what a task needs. @param key - names it, the same on all hosts. @returns what the task fails with. */
  readonly onUnfit: (error: SightlineError, key: string) => Promise<SightlineError>;
}

interface StageSet {
  readonly host: HostStages;
  readonly stages: SecondStages;
  readonly ready: Promise<void>;
  users: number;
  idle: NodeJS.Timeout | undefined;
}

/** The second stages of jobs: loaded beside those of the host's streams, for as long as tasks need them. */
export class JobStages {
  readonly #options: JobStagesOptions;
  /** By their settings. */
  readonly #sets = new Map<string, StageSet>();

  constructor(options: JobStagesOptions) {
    this.#options = options;
  }

  /** See `JobTools`. */
  readonly lend: JobTools['lendStages'] = async (wanted, use) => {
    if (wanted.length === 0) return use([]);
    const key = JSON.stringify(wanted);
    const set = this.#sets.get(key) ?? this.#load(key, wanted);
    set.users += 1;
    clearTimeout(set.idle);
    try {
      await set.ready.catch(async (thrown: unknown) => {
        throw await this.#unfit(thrown, key);
      });
      return await use(set.stages.all);
    } finally {
      set.users -= 1;
      if (set.users === 0) set.idle = setTimeout(() => this.#unload(key, set), IDLE_MS).unref();
    }
  };

  #load(key: string, wanted: readonly StageConfig[]): StageSet {
    const { runtime, onUnfit: _, ...options } = this.#options;
    const stages = new SecondStages();
    const host = new HostStages({ ...options, detectors: [runtime.spec], into: stages });
    const set = { host, stages, ready: host.use(runtime, wanted), users: 0, idle: undefined };
    this.#sets.set(key, set);
    // It may be there at the next attempt.
    set.ready.catch(() => this.#sets.delete(key));
    return set;
  }

  #unload(key: string, { host }: StageSet): void {
    this.#sets.delete(key);
    const { runtime, onNotice } = this.#options;
    host.use(runtime, []).catch((error: Error) => onNotice(`second stages of a job: ${error.message}`));
  }

  /** What does not fit the detector fits it on no host. */
  async #unfit(thrown: unknown, key: string): Promise<SightlineError> {
    const error = SightlineError.from(thrown, 'ENGINE_UNAVAILABLE');
    return error.code === 'CONFIG_INVALID' ? error : this.#options.onUnfit(error, hashOf(key));
  }
}

function hashOf(key: string): string {
  return createHash('sha256').update(key).digest('base64url').slice(0, 16);
}
