import type { Command } from 'commander';
import { type CliIo, note, show, wrongCommand } from './cli-io.ts';
import { addFlags, type FlagsOf, flagTable } from './flag-values.ts';
import { FLEET_CLIENT_FLAGS, type OpenControl, openRedis, withFleet } from './fleet-access.ts';
import { jobsTable, jobText } from './job-tables.ts';

const FLAGS = flagTable({
  ...FLEET_CLIENT_FLAGS,
  '--cancel': 'stop the job',
  '--retry': 'put tasks that failed for good back in the queue',
});
type JobsFlags = FlagsOf<typeof FLAGS>;

const HELP = `
Examples:
  sightline jobs                     all jobs, newest first
  sightline jobs night-3             one job, with its failed tasks and the reasons
  sightline jobs night-3 --retry     queue the failed tasks again
  sightline jobs night-3 --cancel    start no more of its tasks; finished results stay`;

export function addJobs(program: Command, io: CliIo, open: OpenControl = openRedis): void {
  const command = program.command('jobs').argument('[id]', 'one job');
  addFlags(command, FLAGS)
    .addHelpText('after', HELP)
    .action((id: string | undefined, flags: JobsFlags) => jobs(id, flags, io, open));
}

async function jobs(id: string | undefined, flags: JobsFlags, io: CliIo, open: OpenControl): Promise<void> {
  const { cancel, retry } = flags;
  if (cancel === true && retry === true)
    throw wrongCommand('--cancel and --retry: expected one of them, received both');
  if (id === undefined && (cancel === true || retry === true))
    throw wrongCommand(`${cancel === true ? '--cancel' : '--retry'}: name the job, as in sightline jobs ID`);
  await withFleet(flags, io, open, async (desk) => {
    if (id === undefined) {
      const all = await desk.jobs();
      show(io, flags, all, () => jobsTable(all));
      return;
    }
    if (cancel === true) await desk.cancelJob(id);
    if (retry === true) note(io, `${await desk.retryJob(id)} tasks are queued again`);
    const job = await desk.job(id);
    show(io, flags, job, () => jobText(job));
  });
}
