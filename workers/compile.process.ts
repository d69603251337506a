import type { CompileJob } from '../src/compile/compile-job.ts';
import { writeArtefact } from '../src/compile/write-artefact.ts';
import { answerOneJob } from './answer-one-job.ts';

/** Compiles one network. */
answerOneJob<CompileJob, void>(writeArtefact);
