import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { OpenvinoFacts } from '../../core/openvino-facts.ts';
import { workerEntry } from '../../core/worker-entry.ts';
import type { RunTool } from '../wheels/run-tool.ts';

/**
 * Loads an OpenVINO in a process of its own, since one that does not fit would end this one, and returns its version and devices.
 * Throws what the tool throws, with the library's message on standard error.
 */
export async function probeOpenvino(libraryPath: string, run: RunTool): Promise<OpenvinoFacts> {
  const entry = fileURLToPath(workerEntry('openvino-probe.process'));
  return JSON.parse(await run(process.execPath, [entry, libraryPath], dirname(libraryPath))) as OpenvinoFacts;
}
