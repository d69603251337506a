import { readOpenvinoFacts } from '../src/frame/infer/openvino/facts.ts';

/** Loads the OpenVINO library given as argument and prints its version and devices as JSON. */
try {
  process.stdout.write(JSON.stringify(readOpenvinoFacts(process.argv[2]!)));
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
