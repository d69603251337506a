import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Places of what tests need, and what CI sets. The cache folder has the installed engines; npm finds its registry
 * through a proxy, a file of settings or an authority.
 */
const KEPT =
  /^(?:SIGHTLINE_(?:SHARED|TEST_REPORT|CACHE_DIR)|npm_config_(?:registry|cache|userconfig|globalconfig|cafile|proxy|https_proxy|noproxy))$/i;
/** Settings of the user: of Sightline, of its Redis, of Node.js and of npm. */
const SETTINGS = /^(?:SIGHTLINE_\w+|REDIS_\w+|NODE_OPTIONS|NODE_PATH|npm_\w+)$/i;

/** Removes the user's settings from an environment, so that tests and the commands that they start see the defaults. */
export function forgetSettings(env: NodeJS.ProcessEnv): void {
  for (const name of Object.keys(env)) if (SETTINGS.test(name) && !KEPT.test(name)) delete env[name];
}

/**
 * Runs once before all test files, which inherit the environment. Threads and commands are started from `dist/`, so a test run
 * begins with an up-to-date build (incremental, a second or two).
 *
 * @returns what runs after the last test.
 */
export default function beforeAll(): () => void {
  forgetSettings(process.env);
  // The user's tokens are in the folder of settings.
  const settings = mkdtempSync(join(tmpdir(), 'sightline-settings-'));
  process.env.XDG_CONFIG_HOME = settings;
  // Some tests load ONNX Runtime themselves.
  process.env.ORT_DISABLE_TELEMETRY = '1';
  const run = (...args: string[]) => execFileSync(process.execPath, args, { stdio: 'inherit' });
  run('workers/settings-types.mjs');
  run('node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json');
  return () => rmSync(settings, { recursive: true, force: true });
}
