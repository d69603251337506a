/**
 * A host process that tests kill or freeze: runs tasks of the pipeline `bulk` from `dist/`. Prints `begun NAME`, `ended NAME`
 * and `stopped NAME`. Its argument is `{ url, name, timings, policy, segments, segmentMs, frames, isStubborn }`; a stubborn
 * one finishes aborted tasks.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../../dist/src/base/core/clock.js';
import { Incidents } from '../../dist/src/base/flow/incidents.js';
import { Notices } from '../../dist/src/fleet/control/notices.js';
import { BullBroker } from '../../dist/src/fleet/control/redis/bull-broker.js';
import { keyPrefix, RedisConnection } from '../../dist/src/fleet/control/redis/connect.js';
import { RedisStore } from '../../dist/src/fleet/control/redis/redis-store.js';
import { StoredTasks } from '../../dist/src/fleet/control/tasks/stored-tasks.js';
import { DEFAULT_TASK_POLICY } from '../../dist/src/fleet/control/tasks/task-policy.js';

const { url, name, timings, policy: given, segments, segmentMs, frames, isStubborn } = JSON.parse(process.argv[2]);
const onNotice = (text) => console.log(`notice ${text}`);
const connection = await RedisConnection.open({ url, caFile: null, commandTimeoutMs: 1000, onNotice });
const prefix = keyPrefix(name);
const policy = { ...DEFAULT_TASK_POLICY, ...given };
const shared = { policy, notices: new Notices(onNotice, systemClock), incidents: new Incidents(onNotice) };
const broker = new BullBroker({ ...shared, connection, prefix, timings });
const tasks = new StoredTasks({ ...shared, store: new RedisStore(connection, prefix), broker });
process.on('SIGTERM', async () => {
  await tasks.close();
  await connection.close();
});

tasks.work('bulk', 1, async (task, _, { signal, progress }) => {
  const { kind, jobId, pipeline, file } = task;
  const label = `${jobId}/${kind} ${file}${kind === 'segment' ? `.${task.span.index}` : ''}`;
  console.log(`begun ${label}`);
  if (kind === 'segment') await segment(label, signal, progress);
  console.log(`ended ${label}`);
  if (kind !== 'split') return { frames: kind === 'segment' ? frames : 0, next: null };
  const children = Array.from({ length: segments }, (__, index) => ({
    kind: 'segment',
    jobId,
    pipeline,
    file,
    span: { index, fromUs: null, toUs: null, firstFrame: 0 },
  }));
  return { frames: 0, next: { parent: { kind: 'merge', jobId, pipeline, file, segments }, children } };
});

async function segment(label, signal, progress) {
  for (let spentMs = 0; spentMs < segmentMs; spentMs += 10) {
    await sleep(10);
    progress(1);
    if (!signal.aborted) continue;
    console.log(`stopped ${label}`);
    if (isStubborn) return;
    throw new Error('stopped by abort');
  }
}
console.log('ready');
