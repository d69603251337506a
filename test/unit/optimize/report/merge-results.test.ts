import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { choiceReport, choose, mergeResults, writeChoice } from '../../../../src/optimize/report/merge-results.ts';
import { renderHtml } from '../../../../src/optimize/report/render-html.ts';
import type { ReportInput } from '../../../../src/optimize/report/report-input.ts';
import { type ResultFile, resultOf } from '../../../../src/optimize/report/result-file.ts';
import { writeReport } from '../../../../src/optimize/report/write-report.ts';
import { temporaryFolder } from '../../../support/cli.ts';
import { sampleOptimisation } from '../../../support/sample-optimisation.ts';

/** A machine whose best configuration serves this many cameras; a fifth stays free. */
function machine(name: string, cameras: number, price: string | null, change: Partial<ReportInput> = {}): ResultFile {
  const input = sampleOptimisation(change);
  const [amount, currency] = price?.split(' ') ?? [];
  return resultOf({
    ...input,
    machine: { ...input.machine, cpuModel: name },
    best: { ...input.best, capacity: { ...input.best.capacity!, cameras } },
    options: { ...input.options, hostPrice: price === null ? null : { amount: Number(amount), currency: currency! } },
  });
}

function chosen(...results: ResultFile[]): { machine: string | null; reason: string } {
  const choice = choose(results.map((result, i) => ({ folder: `run-${i}`, result })));
  return {
    machine: choice.recommended === null ? null : choice.machines[choice.recommended]!.machine,
    reason: choice.reason,
  };
}

it('the choice refuses runs of different pipelines, and one folder twice', async () => {
  const [a, b] = [machine('small', 10, '48 EUR'), machine('large', 40, '160 EUR')];
  const { machine: name, reason } = chosen(a, { ...b, subject: 'sites/other.yaml' });
  expect(name).toBeNull();
  expect(reason).toContain('different pipelines');
  expect(chosen({ ...a, subject: '/srv/a/x.yaml' }, { ...b, subject: 'x.yaml' }).machine).not.toBeNull();
  await expect(mergeResults(['a', './a/'])).rejects.toThrow('received ./a/ twice');
});

const INVALID = { validity: { isValid: false, reasons: ['busy'] } };
const MISSED = { target: 'fps>=30', measured: 12, state: 'missed', reason: 'too slow' } as const;

describe('the choice between machine types', () => {
  it('is the cheapest camera where every host has a price', () => {
    // 10 cameras less a fifth are 8 for 48: 6.00 each. 40 are 32 for 160: 5.00 each.
    const { machine: name, reason } = chosen(machine('small', 10, '48 EUR'), machine('large', 40, '160 EUR'));
    expect(name).toBe('large, 2\u00a0cores');
    expect(reason.replaceAll('\u00a0', ' ')).toBe('The cheapest camera: 5.00 EUR a month, 32 cameras a host.');
    expect(chosen(machine('small', 10, '39 EUR'), machine('large', 40, '160 EUR')).machine).toContain('small');
  });

  it.each([
    ['a price is missing', null],
    ['a currency differs', '160 USD'],
  ])('is the most cameras a host where %s, and says so', (_, price) => {
    const { machine: name, reason } = chosen(machine('small', 10, '1 EUR'), machine('large', 40, price));
    expect(name).toContain('large');
    expect(reason).toContain('With --host-price in one currency');
  });

  it('is never a machine whose measurement is invalid, that misses a target or takes no camera', () => {
    const best = { ...sampleOptimisation().best, targets: [MISSED] };
    const input = sampleOptimisation();
    const missed = resultOf({
      ...input,
      best,
      options: { ...input.options, hostPrice: { amount: 1, currency: 'EUR' } },
    });
    const others = [machine('busy', 90, '1 EUR', INVALID), missed, machine('tiny', 1, '1 EUR')];
    expect(chosen(...others, machine('good', 10, '500 EUR')).machine).toContain('good');
    expect(chosen(...others).machine).toBeNull();
    const rows = choose(others.map((result) => ({ folder: 'x', result }))).machines.map(({ objection }) => objection);
    expect(rows).toEqual(['measurement invalid', 'fps>=30 missed', 'takes no camera with headroom']);
  });

  it('counts the pipeline as it was where nothing faster is proven', () => {
    const input = sampleOptimisation({ speedup: null });
    const baseline = { ...input.baseline, targets: [], capacity: { ...input.best.capacity!, cameras: 3 } };
    const { machines } = choose([{ folder: 'x', result: resultOf({ ...input, baseline }) }]);
    // Its best would serve 7, less a fifth.
    expect(machines[0]).toMatchObject({ uses: 'baseline', cameras: 3, plannedCameras: 2, outcome: 'unproven' });
  });

  it('is none between runs with different targets', () => {
    const other = { ...machine('b', 40, '1 EUR'), target: 'fps>=5' };
    expect(chosen(machine('a', 10, '1 EUR'), other)).toMatchObject({
      machine: null,
      reason: expect.stringContaining('different targets'),
    });
  });

  it('is shown as a table, in green only if there is one, with names escaped', () => {
    const results = [machine('<b>x</b>', 10, '48 EUR'), machine('busy', 9, '1 EUR', INVALID)];
    const report = choiceReport(choose(results.map((result, i) => ({ folder: `run-${i}`, result }))));
    const text = report.body.source.replaceAll('\u00a0', ' ');
    expect(text).toContain('# Use &lt;b&gt;x&lt;/b&gt;, 2 cores');
    expect(text).toMatch(/\| busy, 2 cores \| .* \| measurement invalid \|/);
    expect(renderHtml(report)).not.toContain('<b>x');
    const none = choiceReport(choose([{ folder: 'x', result: machine('busy', 9, '1 EUR', INVALID) }]));
    expect([report.tone, none.tone]).toEqual(['good', 'neutral']);
  });
});

describe('reading the folders', () => {
  let folder: ReturnType<typeof temporaryFolder>;
  const write = (name: string, content: string): string => {
    mkdirSync(join(folder.path, name), { recursive: true });
    writeFileSync(join(folder.path, name, 'result.json'), content);
    return join(folder.path, name);
  };

  beforeEach(() => {
    folder = temporaryFolder();
  });
  afterEach(() => folder.remove());

  it('reads what a report wrote, and writes a page, a text and a document', async () => {
    const paths = [join(folder.path, 'a'), join(folder.path, 'b')];
    for (const path of paths) await writeReport(path, sampleOptimisation());
    const choice = await mergeResults(paths);
    expect(choice.machines).toHaveLength(2);
    const written = await writeChoice(join(folder.path, 'out'), choice);
    expect(written.map((path) => path.split('/').at(-1))).toEqual(['choice.html', 'choice.md', 'choice.json']);
    expect(JSON.parse(readFileSync(written[2]!, 'utf8'))).toEqual(choice);
  });

  it('is lenient about what it does not know', async () => {
    const { quality: _quality, device: _device, ...result } = machine('a', 10, null);
    const path = write('a', JSON.stringify({ ...result, fromTheFuture: { a: 1 } }));
    expect((await mergeResults([path])).machines[0]!.plannedCameras).toBe(8);
  });

  it.each([
    [
      'no folder',
      null,
      'COMMAND_INVALID',
      'expected the report folder of "sightline optimize", with result.json: no such file',
    ],
    ['half a document', '{"kind": "sight', 'CONFIG_INVALID', 'expected a JSON document'],
    ['another document', '{"kind": "other"}', 'CONFIG_INVALID', 'kind: expected'],
    ['a later version', '{"kind": "sightline-optimize", "version": 2}', 'CONFIG_INVALID', 'version 2 is newer'],
    ['a list', '[]', 'CONFIG_INVALID', 'expected'],
  ])('refuses %s with its name', async (_, content, errorCode, message) => {
    const path = content === null ? join(folder.path, 'none') : write('bad', content);
    await expect(mergeResults([path])).rejects.toMatchObject({
      code: errorCode,
      message: expect.stringContaining(message),
    });
    await expect(mergeResults([path])).rejects.toThrow(path);
  });
});
