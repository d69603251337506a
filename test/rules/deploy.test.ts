import { spawnSync } from 'node:child_process';
import { accessSync, constants, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import type { CliIo } from '../../src/cli/cli-io.ts';
import { programFor } from '../../src/cli/program.ts';
import { ROUTE_ACCESS } from '../../src/serve/gateway/access/route-access.ts';
import { checkPipeline } from '../../src/serve/pipeline/load-pipeline.ts';
import { gatewayConfig } from '../../src/settings/config/gateway.ts';
import { scaleReport } from '../support/sample-reports.ts';

const CHART = 'deploy/helm/sightline';
const templates = readdirSync(join(CHART, 'templates')).map((name) => join(CHART, 'templates', name));
const text = templates.map((path) => readFileSync(path, 'utf8')).join('\n');
const values = parse(readFileSync(join(CHART, 'values.yaml'), 'utf8')) as Record<string, unknown>;
const environment = readFileSync('src/settings/config/environment.ts', 'utf8');

async function flagsOf(name: string): Promise<string[]> {
  const program = await programFor(name, {} as CliIo);
  const command: Command = program.commands.find((each) => each.name() === name)!;
  return command.options.map(({ long }) => long!);
}

function isSet(path: string): boolean {
  let at: unknown = values;
  for (const key of path.split('.')) {
    if (typeof at !== 'object' || at === null || !(key in at)) return false;
    at = (at as Record<string, unknown>)[key];
  }
  return true;
}

describe('the Helm chart', () => {
  it('has the version of the package', () => {
    const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
    expect(parse(readFileSync(join(CHART, 'Chart.yaml'), 'utf8'))).toMatchObject({ version, appVersion: version });
  });

  it('has a value for all that the templates read, and reads all that it has', () => {
    const read = [...text.matchAll(/\.Values\.([\w.]+)/g)].map((match) => match[1]!);
    expect(read.length).toBeGreaterThan(20);
    expect(read.filter((path) => !isSet(path))).toEqual([]);
    const unread = Object.keys(values).filter((key) => !read.some((path) => path.split('.')[0] === key));
    expect(unread).toEqual([]);
  });

  it('starts hosts with flags and variables that exist', async () => {
    const used = [...text.matchAll(/^ +- (--[\w-]+)=/gm)].map((match) => match[1]!);
    expect(used).toEqual(expect.arrayContaining(['--id', '--host', '--port', '--log', '--root']));
    const known = await flagsOf('host');
    expect(used.filter((flag) => !known.includes(flag))).toEqual([]);
    const variables = [...text.matchAll(/- name: ([A-Z][A-Z_]+)$/gm)].map((match) => match[1]!);
    expect(variables.filter((name) => name !== 'POD_NAME' && !environment.includes(`env.${name}`))).toEqual([]);
    expect(variables).toContain('REDIS_URL');
  });

  it('has a pipeline of real settings', () => {
    const config = checkPipeline(values.pipeline, 'values.yaml: pipeline');
    expect(config.fleet).toMatchObject({ minHosts: 1, maxHosts: 20 });
  });

  it('asks only for what needs no token, or with one', () => {
    const probes = [...text.matchAll(/httpGet: \{ path: (\S+), port: http \}/g)].map((match) => match[1]!);
    expect(new Set(probes)).toEqual(new Set(['/healthz', '/readyz']));
    expect(probes.map((path) => ROUTE_ACCESS[`GET ${path}`])).not.toContain(undefined);
    for (const path of probes) expect(['open', 'probe']).toContain(ROUTE_ACCESS[`GET ${path}`]);
    expect(text).toContain(`containerPort: ${gatewayConfig.parse({}).port}`);
  });

  it('scales by a figure that /api/scale has', () => {
    const [, path] = /valueLocation: (\S+)/.exec(text)!;
    const reply = { scale: scaleReport(3) } as unknown as Record<string, Record<string, unknown>>;
    const [first, second] = path!.split('.');
    expect(typeof reply[first!]![second!]).toBe('number');
    expect(ROUTE_ACCESS['GET /api/scale']).toBe('viewer');
  });
});

interface Rendered {
  readonly kind: string;
  readonly spec?: {
    readonly replicas?: number;
    readonly template?: { readonly spec: { readonly containers: readonly Container[] } };
    readonly minReplicaCount?: number;
    readonly maxReplicaCount?: number;
  };
  readonly data?: Readonly<Record<string, string>>;
}
interface Container {
  readonly image: string;
  readonly args: readonly string[];
  readonly resources: { readonly limits: Readonly<Record<string, unknown>> };
  readonly securityContext: object;
}

const hasHelm = spawnSync('helm', ['version', '--short']).status === 0;
if (!hasHelm)
  console.warn(
    'skipped: no helm on this machine (go install helm.sh/helm/v3/cmd/helm@latest): the chart is not rendered',
  );

describe.skipIf(!hasHelm)('the chart, rendered by helm', () => {
  const helm = (...args: readonly string[]): string => {
    const { status, stdout, stderr } = spawnSync('helm', args, { encoding: 'utf8' });
    expect(stderr.replace(/^WARNING.*\n/gm, '')).toBe('');
    expect(status, stdout).toBe(0);
    return stdout;
  };
  const render = (...settings: readonly string[]): Rendered[] =>
    parseAllDocuments(
      helm('template', 'cams', CHART, '--kube-version', '1.31.0', ...settings.flatMap((each) => ['--set', each])),
    ).map((document) => document.toJS() as Rendered);
  const all = ['gpu.enabled=true', 'keda.enabled=true', 'podMonitor.enabled=true', 'recordings.claimName=footage'];

  it('passes lint, also with everything on', () => {
    helm('lint', '--strict', CHART);
    helm('lint', '--strict', CHART, ...all.flatMap((each) => ['--set', each]));
  });

  it('has a Deployment with a fixed number of hosts, and nothing that needs an operator, by default', () => {
    const made = render();
    expect(made.map(({ kind }) => kind).sort()).toEqual([
      'ConfigMap',
      'Deployment',
      'NetworkPolicy',
      'PodDisruptionBudget',
      'Service',
    ]);
    expect(made.find(({ kind }) => kind === 'Deployment')!.spec!.replicas).toBe(2);
  });

  it('has hosts on GPUs, scaling and scraping when asked', () => {
    const made = new Map(render(...all, 'pipeline.fleet.minHosts=0').map((each) => [each.kind, each]));
    expect([...made.keys()]).toEqual(
      expect.arrayContaining(['DaemonSet', 'ScaledObject', 'TriggerAuthentication', 'PodMonitor']),
    );
    // KEDA owns the number.
    expect(made.get('Deployment')!.spec!.replicas).toBeUndefined();
    expect(made.get('ScaledObject')!.spec).toMatchObject({ minReplicaCount: 1, maxReplicaCount: 20 });
    const [gpu] = made.get('DaemonSet')!.spec!.template!.spec.containers;
    expect(gpu!.image).toMatch(/^sightline-gpu:/);
    expect(gpu!.resources.limits['nvidia.com/gpu']).toBe(1);
    expect(gpu!.args).toContain('--root=/data/recordings');
    expect(gpu!.securityContext).toMatchObject({ readOnlyRootFilesystem: true, allowPrivilegeEscalation: false });
  });

  it('gives the pipeline to the hosts as it is', () => {
    const [config] = render('pipeline.name=yard').filter(({ kind }) => kind === 'ConfigMap');
    expect(checkPipeline(parse(config!.data!['pipeline.yaml']!), 'pipeline').name).toBe('yard');
  });
});

describe('deploy/sightline.service', () => {
  const unit = readFileSync('deploy/sightline.service', 'utf8');

  it('starts a service with flags that exist, and gives it time to stop', async () => {
    const [, name, flags] = /^ExecStart=\S+ (\w+) (.*)$/m.exec(unit)!;
    const known = await flagsOf(name!);
    expect(flags!.split(' ').filter((word) => word.startsWith('--') && !known.includes(word))).toEqual([]);
    const [, stopMs] = /STOP_MS = (\S+);/.exec(readFileSync('workers/sightline.process.ts', 'utf8'))!;
    const [, stopS] = /^TimeoutStopSec=(\d+)$/m.exec(unit)!;
    expect(Number(stopS) * 1000).toBeGreaterThan(Number(stopMs!.replaceAll('_', '')));
  });

  it('lets V8 compile code, and ffmpeg be confined', () => {
    expect(unit).not.toMatch(/^MemoryDenyWriteExecute=yes/m);
    expect(unit).toMatch(/^SystemCallFilter=.*landlock_restrict_self/m);
  });

  const rated = spawnSync(
    'systemd-analyze',
    ['security', '--offline=true', '--threshold=30', 'deploy/sightline.service'],
    {
      encoding: 'utf8',
    },
  );
  const canRate = rated.error === undefined && !/unrecognized option/.test(rated.stderr);
  if (!canRate) console.warn('skipped: no systemd-analyze 250 or later on this machine: the unit is not rated');

  it.skipIf(!canRate)('is rated below 3 by systemd-analyze security', () => {
    const [, level] = /exposure level for \S+: ([\d.]+)/.exec(rated.stdout)!;
    expect(Number(level)).toBeLessThan(3);
    expect(rated.status).toBe(0);
  });
});

describe('deploy/try-images', () => {
  it('can be executed, and is a valid script', () => {
    accessSync('deploy/try-images', constants.X_OK);
    const { status, stderr } = spawnSync('bash', ['-n', 'deploy/try-images'], { encoding: 'utf8' });
    expect([status, stderr]).toEqual([0, '']);
  });

  it('refuses an image that does not exist', () => {
    const ran = spawnSync('bash', ['deploy/try-images', 'other'], { encoding: 'utf8' });
    expect([ran.status, ran.stderr]).toEqual([2, 'expected cpu, gpu or arm64, received other\n']);
  });
});
