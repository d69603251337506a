import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ReportInput } from '../../../../../src/lab/optimize/report/report-input.ts';
import { writeReport } from '../../../../../src/lab/optimize/report/write-report.ts';
import { sampleOptimisation } from '../../../../support/sample-optimisation.ts';

const HOSTILES = [
  '<script>alert("x")</script>\'`|*',
  '</summary></details><img src=x onerror=alert(1)>',
  '[a](javascript:alert(1)) ![b](https://evil.example/x.png) https://evil.example <https://evil.example>',
  '" onmouseover="alert(1)\n\n<script>alert(2)</script>\n# heading',
  '`` `<b>` ```\n<iframe>',
  '&lt;script&gt;alert(1)&#x3c;/script&#x3e;',
  '<a id="x"></a><details>',
];

/** Replaces every text of the input that a user or a file can choose; ids, kinds and verdicts stay. */
function hostileInput(hostile: string): ReportInput {
  const input = sampleOptimisation();
  const kept = new Set([
    'measurement',
    'measurements',
    'id',
    'lever',
    'by',
    'verdict',
    'state',
    'kind',
    'effort',
    'createdAt',
  ]);
  const visit = (value: unknown, key: string): unknown => {
    if (typeof value === 'string') return kept.has(key) ? value : hostile;
    if (
      typeof value !== 'object' ||
      value === null ||
      (key === 'measurements' && typeof Object.values(value)[0] === 'string')
    )
      return value;
    if (Array.isArray(value)) return value.map((part) => visit(part, key === 'measurements' ? 'record' : key));
    return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, visit(part, name)]));
  };
  return visit(input, '') as ReportInput;
}

/** What a browser would act on: the names and attributes of elements. */
function elementsOf(html: string): string[] {
  return [...html.matchAll(/<[a-z][^>]*>/gi)].map(([element]) => element);
}

describe.each(HOSTILES)('a report full of %j', (hostile) => {
  let folder: string;
  let html: string;
  let text: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'report-'));
    await writeReport(folder, hostileInput(hostile));
    html = await readFile(join(folder, 'report.html'), 'utf8');
    text = await readFile(join(folder, 'report.md'), 'utf8');
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('has no element or attribute of it on the page', () => {
    const elements = elementsOf(html);
    expect(elements.length).toBeGreaterThan(500);
    expect(elements.filter((element) => /^<(script|img|iframe|object|embed|link|base|form)\b/i.test(element))).toEqual(
      [],
    );
    expect(
      elements.filter((element) =>
        /\son\w+=|javascript:|evil|href="(?!#)/i.test(element.replace(/"[^"]*alert[^"]*"/g, '""')),
      ),
    ).toEqual([]);
    expect(html.match(/<details>/g)!.length).toBe(html.match(/<\/details>/g)!.length);
    expect([...html.matchAll(/<a id="([^"]*)"/g)].filter(([, id]) => !/^m\d+$/.test(id!))).toEqual([]);
  });

  it('keeps every table of the text whole', () => {
    const rows = text.split('\n').filter((line) => line.startsWith('| '));
    const widths = rows.map((line) => line.replaceAll('\\|', '').split('|').length);
    const separators = rows.flatMap((line, i) => (/^\| -/.test(line) ? [i] : []));
    expect(separators.length).toBeGreaterThan(0);
    for (const i of separators) expect([widths[i - 1], widths[i + 1]]).toEqual([widths[i], widths[i]]);
  });
});

describe('the page', () => {
  let folder: string;
  let html: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'report-'));
    await writeReport(join(folder, 'a', 'b'), sampleOptimisation());
    html = await readFile(join(folder, 'a', 'b', 'report.html'), 'utf8');
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('loads nothing and runs nothing', () => {
    expect(html).not.toMatch(/<(script|link|img|iframe|object|embed)\b/i);
    expect(html).not.toMatch(/\b(src|srcset)=|url\(|@import/i);
    expect(html).toContain('content="default-src &#39;none&#39;; style-src &#39;unsafe-inline&#39;"');
  });

  it('has unique ids, and every link inside of it leads to one', () => {
    const ids = [...html.matchAll(/<a id="([^"]+)"/g)].map(([, id]) => id!);
    expect(new Set(ids).size).toBe(ids.length);
    const links = [...html.matchAll(/href="#([^"]+)"/g)].map(([, id]) => id!);
    expect(links.length).toBeGreaterThan(50);
    expect(links.filter((id) => !ids.includes(id))).toEqual([]);
  });

  it('lies beside files for programs, without rests', async () => {
    const names = await readdir(join(folder, 'a', 'b'));
    expect(names.sort()).toEqual(['pareto.json', 'report.html', 'report.md', 'result.json']);
    const pareto = JSON.parse(await readFile(join(folder, 'a', 'b', 'pareto.json'), 'utf8'));
    expect(pareto.points).toEqual(sampleOptimisation().pareto);
  });

  it.each([
    ['nothing was found', { best: sampleOptimisation().baseline, speedup: null }],
    ['the measurement is invalid', { validity: { isValid: false, reasons: ['busy'] } }],
    ['the quality is open', { quality: { search: null, heldOut: null } }],
  ])('is not a good one where %s', async (_, change) => {
    const path = join(folder, 'other');
    await writeReport(path, sampleOptimisation(change));
    const page = await readFile(join(path, 'report.html'), 'utf8');
    expect(page).not.toContain('<body class="good">');
    expect(html).toContain('<body class="good">');
  });
});
