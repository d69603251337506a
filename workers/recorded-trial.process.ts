import './quiet-sqlite.ts';
import { lowerPriority } from '../src/base/process/lower-priority.ts';
import { tryVersions } from '../src/serve/host/recorded-events.ts';
import type { RecordedTrialJob } from '../src/serve/host/recorded-trials.ts';
import type { RecordedFinding } from '../src/wire/protocol/rollout-records.ts';
import { answerOneJob } from './answer-one-job.ts';

/** Runs two versions over what is recorded of one stream. Its threads and ffmpeg have its priority. */
lowerPriority(process.pid);
answerOneJob<RecordedTrialJob, RecordedFinding>((job, signal) => tryVersions(job, process.stdout, signal));
