import { parseArgs } from 'node:util';
import { forgetSecrets, readEnvironment } from '../src/config/environment.ts';
import { SightlineError } from '../src/errors/sightline-error.ts';
import { setupOpenvino } from '../src/store/openvino/setup-openvino.ts';
import { toolRunner } from '../src/store/wheels/run-tool.ts';

/** `npm run setup:openvino [-- --from FOLDER]` */
const USAGE = `Sets up the engine openvino: fetches OpenVINO's libraries, or uses those in a folder.

  npm run setup:openvino                     fetches the wheel of openvino with pip (60 MB)
  npm run setup:openvino -- --from FOLDER    uses the OpenVINO in a folder without copying it

Without --from it needs Python with pip. Environment: PYTHON, SIGHTLINE_CACHE_DIR.`;

// pip and the compiler need none of them.
forgetSecrets(process.env);

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());

function readFlags(): { from: string | undefined; help: boolean } {
  try {
    const { values } = parseArgs({ options: { from: { type: 'string' }, help: { type: 'boolean' } } });
    return { from: values.from, help: values.help ?? false };
  } catch (error) {
    throw new SightlineError('COMMAND_INVALID', `${(error as Error).message}\n\n${USAGE}`);
  }
}

async function main(): Promise<void> {
  const { from, help } = readFlags();
  if (help) {
    console.log(USAGE);
    return;
  }
  const startedMs = performance.now();
  const { version, devices } = await setupOpenvino({
    from,
    cacheDir: readEnvironment(process.env).cacheDir,
    python: process.env.PYTHON ?? 'python3',
    onStep: (text) => console.log(`- ${text}`),
    run: toolRunner(stop.signal),
  });
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(0);
  for (const { name, fullName } of devices) console.log(`- ${name}: ${fullName}`);
  console.log(`OpenVINO ${version} is ready after ${seconds} s. See: npx sightline doctor`);
}

main().catch((error: unknown) => {
  const { message, code, exitCode } = SightlineError.from(error, 'SETUP_FAILED');
  console.error(`error: ${message} [${code}]`);
  process.exitCode = exitCode;
});
