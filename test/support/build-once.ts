import { execFileSync } from 'node:child_process';

/** Threads are started from `dist/`, so a test run begins with an up-to-date build (incremental, a second or two). */
export default function buildOnce(): void {
  execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'], {
    stdio: 'inherit',
  });
}
