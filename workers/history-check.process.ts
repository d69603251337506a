import './quiet-sqlite.ts';
import { answerOneJob } from './answer-one-job.ts';

/** Reads the file of a history for damage: SQLite's check blocks for seconds, and cannot be stopped in a thread. */
const { findDamage } = await import('../src/after/history/find-damage.ts');
answerOneJob<{ readonly path: string }, string | null>(async ({ path }) => findDamage(path));
