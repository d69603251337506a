import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { Command, Option } from 'commander';
import { describe, expect, it } from 'vitest';
import { ERROR_CODES, type ErrorCode } from '../../src/base/errors/error-codes.ts';
import type { CliIo } from '../../src/cli/cli-io.ts';
import { programFor } from '../../src/cli/program.ts';
import { ROUTE_ACCESS } from '../../src/serve/gateway/access/route-access.ts';
import { statusOf } from '../../src/serve/gateway/http-errors.ts';
import { SKIP_REASONS } from '../../src/wire/protocol/second-stage-report.ts';
import { everyMetric } from '../support/every-metric.ts';
import { ProtocolSources } from '../support/protocol-tables.ts';
import { importsOf, readFiles } from './source-files.ts';

/** Set to rewrite the pages before they are compared. */
const MUST_WRITE = process.env.UPDATE_DOCS === '1';
const HINT = 'UPDATE_DOCS=1 npm run vitest -- test/rules/generated-docs.test.ts rewrites it';

/** Compares what stands between the marks of a page with what the code gives. */
function expectGenerated(page: string, name: string, lines: readonly string[]): void {
  const mark = `<!-- generated: ${name} -->\n\n`;
  const text = readFileSync(page, 'utf8');
  const from = text.indexOf(mark) + mark.length;
  const to = text.indexOf('<!-- end -->', from);
  expect([text.includes(mark), to > 0], `the marks of ${name}`).toEqual([true, true]);
  const wanted = `${text.slice(0, from)}${lines.join('\n').trimEnd()}\n\n${text.slice(to)}`;
  if (MUST_WRITE) writeFileSync(page, wanted);
  expect(readFileSync(page, 'utf8'), HINT).toBe(wanted);
}

/** The last cell of each row of a table, by its first one: what people write beside what is generated. */
function lastCells(page: string): ReadonlyMap<string, string> {
  const rows = [...readFileSync(page, 'utf8').matchAll(/^\| `([^`]+)` \| .* \| ([^|]+) \|$/gm)];
  return new Map(rows.map(([, first, last]) => [first!, last!]));
}

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll(/\s+/g, ' ').trim();

/** Names that are written in lower case everywhere. */
const LOWER_CASE = /^(?:ffmpeg|int8|onnx|openvino|sharp|tensorflow|wasm)\b/;
const sentence = (text: string): string => {
  const whole = `${cell(text).replace(/\.$/, '')}.`;
  return LOWER_CASE.test(text) ? whole : `${whole[0]!.toUpperCase()}${whole.slice(1)}`;
};

describe('docs/architecture.md', () => {
  it('begins with the buildings of src and what they import', () => {
    const files = readFiles(['src'], ['.ts']);
    const places = readdirSync('src', { withFileTypes: true }).filter((entry) => entry.isDirectory());
    const names = places.map(({ name }) => name);
    const uses = new Map(names.map((name) => [name, new Set<string>()]));
    for (const file of files)
      for (const target of importsOf(file).files) {
        const [from, to] = [file, { path: target }].map(({ path }) => path.split('/')[1]!);
        if (from !== to && names.includes(to!)) uses.get(from!)?.add(to!);
      }
    const reach = (name: string): Set<string> =>
      new Set([...uses.get(name)!].flatMap((other) => [other, ...reach(other)]));
    const height = (name: string): number => reach(name).size;
    const ordered = names.toSorted((a, b) => height(b) - height(a));
    const arrows = ordered.flatMap((name) => {
      const own = [...uses.get(name)!];
      const direct = own.filter((other) => !own.some((way) => way !== other && reach(way).has(other)));
      return direct.map((other) => `    ${name} --> ${other}`);
    });
    const rows = ordered.map((name) => {
      const readme = readFileSync(`src/${name}/README.md`, 'utf8');
      const what = readme.split('\n\n')[1]!.replaceAll('\n', ' ');
      return `| [${name}](../src/${name}/README.md) | ${cell(what)} |`;
    });
    const head = ['| building | what it is for |', '|---|---|'];
    expectGenerated('docs/architecture.md', 'buildings', [
      '```mermaid',
      'flowchart TD',
      ...arrows,
      '```',
      '',
      ...head,
      ...rows,
    ]);
  });
});

describe('docs/errors.md', () => {
  it('has each code with exit code, status, retry and meaning as in the source, and what to do', () => {
    const advice = lastCells('docs/errors.md');
    const codes = Object.entries(ERROR_CODES) as [ErrorCode, (typeof ERROR_CODES)[ErrorCode]][];
    const rows = codes.map(([code, { exit, retryable, doc }]) => {
      const known = advice.get(code) ?? '';
      expect(known.length, `${code}: what to do`).toBeGreaterThan(10);
      return `| \`${code}\` | ${exit} | ${statusOf(code)} | ${retryable ? 'yes' : 'no'} | ${doc} | ${known} |`;
    });
    const head = ['| code | exit | HTTP | retried | meaning | what to do |', '|---|---|---|---|---|---|'];
    expectGenerated('docs/errors.md', 'errors', [...head, ...rows]);
  });
});

describe('docs/second-stages.md', () => {
  it('has each reason for which an object is not looked at', () => {
    const rows = Object.entries(SKIP_REASONS).map(([reason, doc]) => `| \`${reason}\` | ${doc} |`);
    expectGenerated('docs/second-stages.md', 'skip-reasons', ['| reason | meaning |', '|---|---|', ...rows]);
  });
});

describe('docs/rest.md', () => {
  it('has each route with its role as in the source, and what it answers', () => {
    const answers = lastCells('docs/rest.md');
    const routes = Object.entries(ROUTE_ACCESS).filter(([route]) => !/\/ws$|base\.css/.test(route));
    const rows = routes.map(([route, role]) => {
      expect(answers.get(route)?.length ?? 0, `${route}: what it answers`).toBeGreaterThan(3);
      return `| \`${route}\` | ${role} | ${answers.get(route)} |`;
    });
    expectGenerated('docs/rest.md', 'routes', ['| request | role | answer |', '|---|---|---|', ...rows]);
  });
});

describe('docs/reports.md', () => {
  const sections: readonly (readonly [title: string, types: readonly string[]])[] = [
    ['Percentiles', ['Percentiles']],
    [
      'Stream report',
      ['StreamReport', 'FrameCounters', 'ResultCounters', 'SeeingReport', 'EventFigures', 'PlacedZone', 'PlacedLine'],
    ],
    ['Latencies', ['LatencyCounts', 'LatencyHistogram']],
    [
      'Host report',
      [
        'HostReport',
        'SecondStageFigures',
        'SecondStageReport',
        'DeviceReport',
        'BatchReport',
        'GpuReport',
        'PowerReport',
        'SinkReport',
        'AlertFigures',
        'SnapshotFigures',
        'TracingFigures',
      ],
    ],
    ['Events of rules', ['RuleEvent', 'EventMoment', 'EventPicture', 'BlindBefore', 'CloudEvent', 'Snapshot']],
    ['Roll-out', ['RolloutReport', 'GuardReport', 'StreamFinding', 'Gain', 'VersionReport', 'Decision']],
    ['Fleet report', ['FleetReport', 'FleetHost', 'PlacementReport', 'JobReport', 'QueueReport', 'ScaleReport']],
    ['Messages of the feed', ['HelloMessage', 'StatsMessage', 'ShadowMessage', 'EventMessage']],
    [
      'Answers of REST',
      [
        'SourceTest',
        'RuleTrialReply',
        'TriedRule',
        'CountRow',
        'OccupancyRow',
        'SeenRow',
        'HeatReply',
        'SimilarReply',
        'KeptObject',
        'SimilarObject',
        'HistoryReply',
        'ModelSummary',
        'PipelineReport',
      ],
    ],
  ];

  it('has each field of the reports with type and meaning as in the source', () => {
    const sources = new ProtocolSources();
    const lines = sections.flatMap(([title, types]) => [
      `## ${title}`,
      '',
      ...types.flatMap((name) => [`\`${name}\`: ${sources.summary(name)}`, '', sources.table(name), '']),
    ]);
    expectGenerated('docs/reports.md', 'reports', lines);
  });
});

describe('docs/metrics.md', () => {
  it('has each metric with its labels and meaning as a gateway gives them', async () => {
    const rows = (await everyMetric()).map(({ name, type, help, series }) => {
      const labels = [...new Set(series.flatMap((each) => Object.keys(each.labels)))].filter((label) => label !== 'le');
      return `| \`${name}${labels.length === 0 ? '' : `{${labels.join(',')}}`}\` | ${type} | ${cell(help)} |`;
    });
    expectGenerated('docs/metrics.md', 'metrics', ['| metric | type | meaning |', '|---|---|---|', ...rows]);
  });
});

describe('docs/cli.md', { timeout: 180_000 }, () => {
  const defaultOf = ({ description, defaultValue }: Option): string =>
    defaultValue === undefined || defaultValue === false || /default/.test(description)
      ? ''
      : ` Default: ${Array.isArray(defaultValue) ? defaultValue.join(', ') || 'none' : defaultValue}.`;

  const choicesOf = ({ argChoices = [] }: Option): string =>
    argChoices.length === 0 ? '' : ` One of: ${argChoices.join(', ')}.`;

  function describeCommand(command: Command, above: string): string[] {
    const usage = `${above} ${command.name()}`;
    const options = command.options.filter(({ hidden }) => !hidden);
    const args = command.registeredArguments.map((each) => (each.required ? `<${each.name()}>` : `[${each.name()}]`));
    const rows = options.map(
      (option) =>
        `| \`${cell(option.flags)}\` | ${sentence(option.description)}${choicesOf(option)}${defaultOf(option)} |`,
    );
    const table = rows.length === 0 ? [] : ['| flag | meaning |', '|---|---|', ...rows, ''];
    const own = [`### ${usage} ${args.join(' ')}`.trimEnd(), '', sentence(command.description()), '', ...table];
    return command.commands.length === 0
      ? own
      : command.commands.flatMap((child) => (child.name() === 'help' ? [] : describeCommand(child, usage)));
  }

  it('has each command with its flags as in the source', async () => {
    const all = await programFor(undefined, {} as CliIo);
    const lines: string[] = [];
    for (const { name } of all.commands.map((command) => ({ name: command.name() }))) {
      if (name === 'help') continue;
      const program = await programFor(name, {} as CliIo);
      lines.push(...describeCommand(program.commands.find((each) => each.name() === name)!, 'sightline'));
    }
    expectGenerated('docs/cli.md', 'commands', lines);
  });
});
