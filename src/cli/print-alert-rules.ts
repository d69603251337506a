import type { Command } from 'commander';
import { stringify } from 'yaml';
import { alertRules } from '../serve/gateway/alert-rules.ts';
import { loadPipeline } from '../serve/pipeline/load-pipeline.ts';
import { type CliIo, print } from './cli-io.ts';

const HELP = `
Example:
  sightline alerts cameras.yaml > rules.yaml    then name rules.yaml in rule_files of prometheus.yml

Make them again when the streams or targets of the file have changed. docs/monitoring.md says what each rule means.`;

/** Adds `alerts`: alert rules for Prometheus, made from the targets of a pipeline. */
export function addAlerts(program: Command, io: CliIo): void {
  program
    .command('alerts')
    .argument('<pipeline>', 'YAML file')
    .addHelpText('after', HELP)
    .action((path: string) => print(io, stringify(alertRules(loadPipeline(path)), { lineWidth: 0 }).trimEnd()));
}
