import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { cpuMsOf, nameInferenceThread, readCpuUse } from '../../../../src/frame/telemetry/cpu-ledger.ts';
import { threadId } from '../../../../src/frame/telemetry/thread-id.ts';

/** Computes for some 100 ms, then waits: the kernel no longer lists threads that have ended. */
const BUSY_THREAD = `
  const { parentPort } = require('node:worker_threads');
  require('node:crypto').pbkdf2Sync('a', 'b', 200_000, 64, 'sha512');
  parentPort.on('message', () => undefined);
  parentPort.postMessage('done');
`;

describe('CPU time by stage', () => {
  it.skipIf(!existsSync('/proc/thread-self'))(
    'counts threads that an inference thread started as inference: OpenVINO computes on threads of its own',
    async () => {
      const tid = threadId()!;
      const comm = `/proc/self/task/${tid}/comm`;
      const name = readFileSync(comm, 'latin1');
      const ids = { main: process.pid, engines: [], children: [] };
      const pool = [{ tid, enginePid: null }];
      nameInferenceThread(tid);
      const [before, ofPool] = [readCpuUse(ids)!, cpuMsOf(pool)!];
      const worker = new Worker(BUSY_THREAD, { eval: true });
      try {
        await once(worker, 'message');
        const after = readCpuUse(ids)!;
        const inferMs = after.infer - before.infer;
        expect(inferMs).toBeGreaterThan(10 * (after.preprocess - before.preprocess));
        expect(inferMs).toBeGreaterThan(0.7 * (after.total - before.total));
        expect(cpuMsOf(pool)! - ofPool).toBeGreaterThan(0.7 * (after.total - before.total));
      } finally {
        await worker.terminate();
        writeFileSync(comm, name);
      }
      // The same thread without its name is one of those that feed the lanes.
      const other = new Worker(BUSY_THREAD, { eval: true });
      const again = readCpuUse(ids)!;
      await once(other, 'message');
      const last = readCpuUse(ids)!;
      await other.terminate();
      expect(last.preprocess - again.preprocess).toBeGreaterThan(10 * (last.infer - again.infer));
    },
  );
});
