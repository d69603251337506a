import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { findProgram } from '../../src/base/process/find-program.ts';
import type { BrokerPlan } from './broker-process.ts';

/** Path of promtool; null, and said, if it is not installed. */
export const promtool = findProgram('promtool', process.env.PATH ?? '');
if (promtool === null) console.warn('SKIPPED: promtool is not installed (apt-get install prometheus)');

/** What `promtool check` or `test` says of a text or of files: status 0 and, of metrics, no text if it is clean. */
export function runPromtool(args: readonly string[], input = ''): { status: number | null; text: string } {
  const { status, stdout, stderr } = spawnSync(promtool!, args, { input, encoding: 'utf8' });
  return { status, text: stdout + stderr };
}

/** A Prometheus that scrapes a gateway every second, and tells an Alertmanager what its rules find. */
export function prometheusPlan(rules: string, gateway: string, alertmanager: number): BrokerPlan {
  return {
    command: 'prometheus',
    args: ({ port, folder }) => {
      writeFileSync(join(folder, 'rules.yaml'), rules);
      const config = {
        global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
        rule_files: ['rules.yaml'],
        scrape_configs: [{ job_name: 'sightline', static_configs: [{ targets: [gateway] }] }],
        alerting: { alertmanagers: [{ static_configs: [{ targets: [`127.0.0.1:${alertmanager}`] }] }] },
      };
      writeFileSync(join(folder, 'prometheus.yml'), stringify(config));
      return [
        `--config.file=${join(folder, 'prometheus.yml')}`,
        `--storage.tsdb.path=${join(folder, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
      ];
    },
    ready: 'Server is ready to receive web requests',
    killedBy: 'SIGKILL',
  };
}

/** An Alertmanager that posts what begins and what is over to an address, at once. */
export function alertmanagerPlan(webhook: string): BrokerPlan {
  return {
    command: 'prometheus-alertmanager',
    args: ({ port, folder }) => {
      const config = {
        route: { receiver: 'test', group_by: ['alertname', 'stream'], group_wait: '0s', group_interval: '1s' },
        receivers: [{ name: 'test', webhook_configs: [{ url: webhook }] }],
      };
      writeFileSync(join(folder, 'alertmanager.yml'), stringify(config));
      return [
        `--config.file=${join(folder, 'alertmanager.yml')}`,
        `--storage.path=${join(folder, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
        '--cluster.listen-address=',
      ];
    },
    ready: 'Listening on',
    killedBy: 'SIGKILL',
  };
}
