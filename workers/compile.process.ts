import { type CompileJob, writeArtefact } from '../src/compile/write-artefact.ts';
import { answerOneJob } from './answer-one-job.ts';

/** Compiles one network. */
answerOneJob<CompileJob, void>(writeArtefact);
