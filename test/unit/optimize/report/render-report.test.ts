import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { buildReport } from '../../../../src/optimize/report/build-report.ts';
import { code, type ReportDocument, shellQuoted, tableOf } from '../../../../src/optimize/report/document.ts';
import { renderHtml } from '../../../../src/optimize/report/render-html.ts';
import { renderMarkdown } from '../../../../src/optimize/report/render-markdown.ts';
import { writeReport } from '../../../../src/optimize/report/write-report.ts';
import { sampleOptimisation } from '../../../support/sample-optimisation.ts';

const HOSTILE = '<script>alert("x")</script>\'`|*';

/** Replaces every text that a user or a file can choose. */
function hostileInput() {
  const input = sampleOptimisation();
  const configuration = { ...input.best.configuration, model: HOSTILE, hwaccel: HOSTILE };
  return {
    ...input,
    subject: HOSTILE,
    best: { ...input.best, configuration },
    steps: input.steps.map((step) => ({ ...step, from: HOSTILE, to: HOSTILE, reason: HOSTILE })),
    refusals: input.refusals.map((refusal) => ({ ...refusal, configuration, reason: HOSTILE })),
    bottlenecks: input.bottlenecks.map((bottleneck) => ({
      ...bottleneck,
      part: HOSTILE,
      explanation: HOSTILE,
      remedy: HOSTILE,
    })),
    measurements: input.measurements.map((record) => ({ ...record, scenario: HOSTILE, configHash: HOSTILE })),
    quality: { ...input.quality!, byClass: [{ label: HOSTILE, loss: 0.1 }], bySize: { [HOSTILE]: 0.1 } },
    options: { ...input.options, bestPath: HOSTILE, target: HOSTILE, hostPrice: { amount: 1, currency: HOSTILE } },
    machine: { ...input.machine, cpuModel: HOSTILE, versions: { [HOSTILE]: HOSTILE } },
  };
}

describe('the page', () => {
  const html = renderHtml(buildReport(sampleOptimisation()));

  it('loads nothing and runs nothing', () => {
    expect(html).not.toMatch(/<(script|link|img|iframe|object|embed)\b/i);
    expect(html).not.toMatch(/\b(src|srcset)=|url\(|@import/i);
    expect(html).toContain("default-src 'none'");
  });

  it('escapes every text that comes from outside', () => {
    const page = renderHtml(buildReport(hostileInput()));
    expect(page).not.toContain('<script');
    expect(page).not.toContain('alert("x")');
    expect(page.match(/&lt;script&gt;/g)!.length).toBeGreaterThan(20);
  });

  it('has unique ids, and every link inside of it leads to one', () => {
    const ids = [...html.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id!);
    expect(new Set(ids).size).toBe(ids.length);
    const links = [...html.matchAll(/href="#([^"]+)"/g)].map(([, id]) => id!);
    expect(links.length).toBeGreaterThan(50);
    expect(links.filter((id) => !ids.includes(id))).toEqual([]);
  });

  it('shows what a measurement found when the pointer rests on its id', () => {
    expect(html).toMatch(/href="#m001" title="m001, baseline, offline: 19\.4\u00a0frames\/s; p50/);
  });
});

describe('the text', () => {
  it('escapes markup and keeps tables whole', () => {
    const text = renderMarkdown(buildReport(hostileInput()));
    expect(text.replace(/```[\s\S]*?```/g, '').replace(/(?<!`)(`+)(?!`)(.*?[^`])\1(?!`)/g, '')).not.toContain(
      '<script',
    );
    const rows = text.split('\n').filter((line) => line.startsWith('| '));
    const cells = (line: string): number => line.replaceAll('\\|', '').split('|').length;
    const widths = rows.map(cells);
    const separators = rows.flatMap((line, i) => (/^\| -/.test(line) ? [i] : []));
    expect(separators.length).toBeGreaterThan(10);
    for (const i of separators) expect([widths[i - 1], widths[i + 1]]).toEqual([widths[i], widths[i]]);
  });

  it('fences code that holds backticks with more of them', () => {
    const document: ReportDocument = {
      title: 'x',
      subtitle: [code('a``b|c')],
      sections: [{ id: 's', title: 't', blocks: [{ kind: 'table', table: tableOf(['A', '>B'], [['x|y', '1']]) }] }],
      measurementTitles: new Map(),
    };
    const text = renderMarkdown(document);
    expect(text).toContain('```a``b\\|c```');
    expect(text).toContain('| x\\|y | 1 |');
    expect(text).toContain('| --- | ---: |');
  });
});

describe('commands in a report', () => {
  it.each([
    ['report/best.yaml', 'report/best.yaml'],
    ['gate north.yaml', "'gate north.yaml'"],
    ['fps>=30,p99<=50ms', "'fps>=30,p99<=50ms'"],
    ["it's", "'it'\\''s'"],
    ['', "''"],
  ])('quote %j as %s', (word, quoted) => {
    expect(shellQuoted(word)).toBe(quoted);
  });
});

describe('writing a report', () => {
  it('makes the folder and three files, without rests', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'report-'));
    try {
      const input = sampleOptimisation();
      const paths = await writeReport(join(folder, 'a', 'b'), input);
      expect(paths.map((path) => path.split('/').at(-1))).toEqual(['report.html', 'report.md', 'pareto.json']);
      expect((await readdir(join(folder, 'a', 'b'))).sort()).toEqual(['pareto.json', 'report.html', 'report.md']);
      const pareto = JSON.parse(await readFile(paths[2]!, 'utf8'));
      expect(pareto.points).toEqual(input.pareto);
      expect(pareto.best.measurement).toBe(input.best.measurement);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
