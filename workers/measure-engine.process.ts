import { loadEngine } from '../src/frame/infer/engine-kinds.ts';
import type { EngineInfo, EngineRequest } from '../src/wire/protocol/threads.ts';
import { answerOneJob } from './answer-one-job.ts';

/** Loads and warms one engine, and answers with what it measured. */
answerOneJob<EngineRequest, EngineInfo>(async (request) => {
  const engine = await loadEngine(request);
  const { info } = engine;
  await engine.close();
  return info;
});
