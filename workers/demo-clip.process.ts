import { answerDemoJob, type DemoJob } from '../src/host/demo-source.ts';
import { answerOneJob } from './answer-one-job.ts';

/** Makes the demonstration clip. */
answerOneJob<DemoJob, void>(answerDemoJob);
