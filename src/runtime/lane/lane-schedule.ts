import { spawnSync } from 'node:child_process';
import { threadId } from '../../telemetry/thread-id.ts';

const TIMEOUT_MS = 1000;

/**
 * How the system schedules this lane's thread and the ffmpegs that it starts. A lane that reads files alone is in no hurry: as
 * `SCHED_BATCH` it does not interrupt an inference each time that ffmpeg has written something, and finds more of it when its
 * turn comes. On two busy cores that more than halves the changes of threads (2.7 to 1.2 a frame of YOLOX-nano) and
 * saves 1 % of the CPU. Node has no call for it, `chrt` of util-linux has. Where there is none, only that is lost.
 */
export class LaneSchedule {
  #isBatch = false;

  /**
   * To be called before a stream is opened: its ffmpeg inherits what holds then.
   *
   * @param hasLive - does the lane serve a stream whose newest frame is waited for?
   */
  follow(hasLive: boolean): void {
    const tid = threadId();
    if (tid === null || this.#isBatch === !hasLive) return;
    this.#isBatch = !hasLive;
    const policy = hasLive ? '--other' : '--batch';
    spawnSync('chrt', [policy, '--pid', '0', String(tid)], { stdio: 'ignore', timeout: TIMEOUT_MS });
  }
}
