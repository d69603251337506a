import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { OpenvinoFacts } from '../../../base/core/openvino-facts.ts';
import { workerEntry } from '../../../base/core/worker-entry.ts';
import type { RunTool } from '../wheels/run-tool.ts';

/**
 * Loads OpenVINO in a separate process, because an incompatible library can crash its process, and returns its version and
 * devices. @throws the error of `run`, with the library's message on standard error.
 */
export async function probeOpenvino(libraryPath: string, run: RunTool): Promise<OpenvinoFacts> {
  const entry = fileURLToPath(workerEntry('openvino-probe.process'));
  return JSON.parse(await run(process.execPath, [entry, libraryPath], dirname(libraryPath))) as OpenvinoFacts;
}
