import './quiet-sqlite.ts';
import { tryVersions } from '../src/host/recorded-events.ts';
import type { RecordedTrialJob } from '../src/host/recorded-trials.ts';
import { lowerPriority } from '../src/process/lower-priority.ts';
import type { RecordedFinding } from '../src/protocol/rollout-records.ts';
import { answerOneJob } from './answer-one-job.ts';

/** Runs two versions over what is recorded of one stream. Its threads and ffmpeg have its priority. */
lowerPriority(process.pid);
answerOneJob<RecordedTrialJob, RecordedFinding>((job, signal) => tryVersions(job, process.stdout, signal));
