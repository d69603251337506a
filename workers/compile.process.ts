import type { CompileJob } from '../src/network/compile/compile-job.ts';
import { writeArtefact } from '../src/network/compile/write-artefact.ts';
import { answerOneJob } from './answer-one-job.ts';

/** Compiles one network. */
answerOneJob<CompileJob, void>(writeArtefact);
