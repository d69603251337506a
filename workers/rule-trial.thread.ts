import { parentPort, workerData } from 'node:worker_threads';
import { type SeenTrialRequest, tryOnSeen } from '../src/after/events/seen-trial.ts';

/** Tries rules on what their stream just saw, answers, and ends. */
parentPort!.postMessage(tryOnSeen(workerData as SeenTrialRequest));
