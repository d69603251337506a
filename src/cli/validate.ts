import type { Command } from 'commander';
import { counted } from '../base/core/counted.ts';
import { SightlineError } from '../base/errors/sightline-error.ts';
import { examinePipeline, type PipelineOpens } from '../serve/host/examine-pipeline.ts';
import { type CliIo, JSON_FLAG, note, print, printJson, table } from './cli-io.ts';
import { addFlags, type FlagsOf, flagTable, given } from './flag-values.ts';
import { ReportedFailure } from './interruption.ts';
import type { ServerFlags } from './server-flags.ts';

const FLAGS = flagTable({
  '--no-overlay': 'leave out what REST and the dashboard changed of streams',
  ...JSON_FLAG,
});

const HELP = `
Examples:
  sightline validate pipelines/live-detect.yaml
  sightline validate cameras.yaml --json

Lists every mistake of the file, what of it cannot work on this machine now, and what run would open. Opens no source, model,
sink or port. Exit code 0: no mistakes, perhaps warnings; 2: mistakes. run --dry-run does the same.`;

/** Adds `validate`: checks a pipeline file without starting anything. */
export function addValidate(program: Command, io: CliIo): void {
  addFlags(program.command('validate').argument('<pipeline>', 'YAML file'), FLAGS)
    .addHelpText('after', HELP)
    .action((path: string, flags: FlagsOf<typeof FLAGS>) => validate(path, flags, io));
}

/** Prints the check of a pipeline file. @throws if it has mistakes. */
export async function validate(
  path: string,
  { overlay, json, host, port }: FlagsOf<typeof FLAGS> & Pick<ServerFlags, 'host' | 'port'>,
  io: CliIo,
): Promise<void> {
  const address = given({ host, port });
  const result = await examinePipeline(path, { environment: io.environment, usesOverlay: overlay, address });
  const { mistakes, warnings, opens, isValid } = result;
  if (json === true) printJson(io, result);
  else {
    for (const mistake of mistakes) note(io, `mistake: ${mistake}`);
    for (const warning of warnings) note(io, `warning: ${warning}`);
    if (opens !== null) print(io, opensText(opens));
    note(io, `${path}: ${counted(mistakes.length, 'mistake')}, ${counted(warnings.length, 'warning')}`);
  }
  if (!isValid) throw new ReportedFailure(new SightlineError('CONFIG_INVALID', mistakes[0]!));
}

function opensText({ name, model, models, stages, streams, sinks, gateway, overlay }: PipelineOpens): string {
  const scheme = gateway.tls ? 'https' : 'http';
  return table([
    ['pipeline', name],
    ['model', `${model.name}${model.input === null ? '' : ` ${model.input}`}`],
    ['engine', `${model.engine}, provider ${model.provider}, precision ${model.precision}`],
    ...models.map(({ id, name: of }) => ['detector', `${id}  ${of}`]),
    ...stages.map(({ id, name: of }) => ['stage', `${id}  ${of}`]),
    ...streams.map(({ id, source, restream, isPaused, from }) => [
      'stream',
      `${id}  ${source}${restream === null ? '' : `  pushed to ${restream}`}${isPaused ? '  (paused)' : ''}${from === 'overlay' ? '  (overlay)' : ''}`,
    ]),
    ...sinks.map(({ id, to, streams: only }) => [
      'sink',
      `${id}  ${to}${only === null ? '' : `  of ${only.join(', ')}`}`,
    ]),
    ['gateway', `${scheme}://${gateway.host}:${gateway.port}`],
    ...(overlay === null ? [] : [['overlay', overlay]]),
  ]);
}
