import { parseArgs } from 'node:util';
import { forgetSecrets, readEnvironment } from '../src/config/environment.ts';
import { SightlineError } from '../src/errors/sightline-error.ts';
import { setupTensorflow } from '../src/store/tensorflow/setup-tensorflow.ts';
import { toolRunner } from '../src/store/wheels/run-tool.ts';

/** `sightline setup tensorflow` for the image, which has only the sources of the set-up when it runs this. */
const USAGE = `Sets up the engine tensorflow: builds the binding of @tensorflow/tfjs-node-gpu against a current libtensorflow.

  npm run setup:tensorflow                     for CPUs: fetches the wheel of tensorflow-cpu with pip (270 MB)
  npm run setup:tensorflow -- --gpu            for NVIDIA GPUs, with CUDA and cuDNN (3.4 GB)
  npm run setup:tensorflow -- --from FOLDER    uses an existing libtensorflow without copying it

Needs a C++ compiler; without --from also Python with pip. Environment: CXX, PYTHON, SIGHTLINE_CACHE_DIR.`;

// pip and the compiler need none of them.
forgetSecrets(process.env);

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());

function readFlags(): { gpu: boolean; from: string | undefined; help: boolean } {
  try {
    const { values } = parseArgs({
      options: { gpu: { type: 'boolean' }, from: { type: 'string' }, help: { type: 'boolean' } },
    });
    if (values.gpu === true && values.from !== undefined)
      throw new RangeError('--gpu and --from: expected one of them; the folder decides whether there is a GPU');
    return { gpu: values.gpu ?? false, from: values.from, help: values.help ?? false };
  } catch (error) {
    throw new SightlineError('COMMAND_INVALID', `${(error as Error).message}\n\n${USAGE}`);
  }
}

async function main(): Promise<void> {
  const { gpu, from, help } = readFlags();
  if (help) {
    console.log(USAGE);
    return;
  }
  const startedMs = performance.now();
  const { cacheDir } = readEnvironment(process.env);
  const { tensorflow, flavour } = await setupTensorflow({
    isGpu: gpu,
    from,
    cacheDir,
    python: process.env.PYTHON ?? 'python3',
    compiler: process.env.CXX,
    onStep: (text) => console.log(`- ${text}`),
    run: toolRunner(stop.signal),
  });
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(0);
  console.log(`TensorFlow ${tensorflow} (${flavour}) is ready after ${seconds} s. See: npx sightline doctor`);
}

main().catch((error: unknown) => {
  const { message, code, exitCode } = SightlineError.from(error, 'SETUP_FAILED');
  console.error(`error: ${message} [${code}]`);
  process.exitCode = exitCode;
});
