import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { table } from '../../src/cli/cli-io.ts';
import { packageRoot } from '../../src/network/store/package-root.ts';
import { isMet, ratioToTarget, type SectionResult, type Table, type Target } from './section.ts';

/** The result of a section, or the error that ended it. */
export interface SectionRecord {
  readonly id: string;
  readonly title: string;
  readonly seconds: number;
  readonly result: SectionResult | null;
  readonly error: string | null;
}

export interface BenchReport {
  readonly machine: Readonly<Record<string, string | number>>;
  readonly secondsPerRun: number;
  readonly isQuick: boolean;
  readonly sections: readonly SectionRecord[];
}

const TARGET_HEADING = ['target', 'measured', 'wanted', 'ratio', 'met'];

export function sectionText({ title, result, error }: SectionRecord): string {
  const lines = ['', `## ${title}`];
  if (error !== null) lines.push('', `failed: ${error}`);
  if (result === null) return lines.join('\n');
  for (const { caption, rows } of result.tables) lines.push('', caption, table(rows));
  if (result.targets.length > 0) lines.push('', table(targetRows(result.targets)));
  for (const note of result.notes) lines.push('', `Note: ${note}`);
  return lines.join('\n');
}

function targetRows(targets: readonly Target[]): string[][] {
  return [
    TARGET_HEADING,
    ...targets.map((target) => [
      target.what,
      quantity(target.measured, target.unit),
      `${target.want} ${quantity(target.target, target.unit)}`,
      ratioToTarget(target)?.toFixed(2) ?? '-',
      isMet(target) ? 'yes' : 'no',
    ]),
  ];
}

function quantity(value: number, unit: string): string {
  const text = Number.isInteger(value) ? String(value) : value.toFixed(value < 1 ? 3 : 2);
  return unit === '' ? text : `${text} ${unit}`;
}

/**
 * Writes the figures to `bench/results/`: one file per run, and `latest` for a complete run. Paths are written relative to the
 * project, so that results do not contain the project's location on this machine.
 *
 * @param isWhole - every section was run at full length.
 * @returns the path of the JSON file.
 */
export async function writeResults(report: BenchReport, isWhole: boolean): Promise<string> {
  const folder = join(packageRoot(), 'bench', 'results');
  await mkdir(folder, { recursive: true });
  const stamp = String(report.machine.time).replace(/[:.]/g, '-');
  const names = isWhole ? [stamp, 'latest'] : [stamp];
  const texts = { json: `${JSON.stringify(withVerdicts(report), null, 2)}\n`, md: markdown(report) };
  for (const name of names)
    for (const [ending, text] of Object.entries(texts))
      await writeFile(join(folder, `${name}.${ending}`), text.replaceAll(`${packageRoot()}/`, ''));
  return join(folder, `${names.at(-1)}.json`);
}

function withVerdicts(report: BenchReport): unknown {
  const sections = report.sections.map(({ result, ...record }) => ({
    ...record,
    targets: result?.targets.map((target) => ({ ...target, ratio: ratioToTarget(target), isMet: isMet(target) })) ?? [],
    notes: result?.notes ?? [],
    data: result?.data ?? null,
  }));
  return { ...report, sections };
}

function markdown({ machine, sections, secondsPerRun, isQuick }: BenchReport): string {
  const lines = ['# Benchmark', '', `Each run measured ${secondsPerRun} s${isQuick ? ' (quick: do not quote)' : ''}.`];
  lines.push(
    '',
    ...markdownTable({ caption: '', rows: [['machine', ''], ...Object.entries(machine).map(([k, v]) => [k, `${v}`])] }),
  );
  for (const { title, result, error } of sections) {
    lines.push('', `## ${title}`);
    if (error !== null) lines.push('', `Failed: ${error}`);
    if (result === null) continue;
    for (const part of result.tables) lines.push('', ...markdownTable(part));
    if (result.targets.length > 0) lines.push('', ...markdownTable({ caption: '', rows: targetRows(result.targets) }));
    for (const note of result.notes) lines.push('', note);
  }
  return `${lines.join('\n')}\n`;
}

function markdownTable({ caption, rows }: Table): string[] {
  const [head, ...body] = rows.map((row) => `| ${row.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`);
  const rule = `|${rows[0]!.map(() => '---|').join('')}`;
  return [...(caption === '' ? [] : [caption, '']), head!, rule, ...body];
}
