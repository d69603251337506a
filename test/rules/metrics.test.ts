import { describe, expect, it } from 'vitest';
import { everyMetric, everyScrape } from '../support/every-metric.ts';
import { promtool, runPromtool } from '../support/prometheus.ts';
import { codeOf, readFiles } from './source-files.ts';

/** Units in which Prometheus wants no metric, and what it wants instead. */
const OTHER_UNITS = /_(?:ms|milliseconds|us|minutes|hours|days|kb|mb|gb|kilobytes|megabytes|percent|bits|s|b)(?:_|$)/;

describe('the metrics', () => {
  it('have a meaning in a sentence, a name with its unit, and a suffix only where Prometheus has it', async () => {
    const families = await everyMetric();
    expect(families.length).toBeGreaterThan(60);
    for (const { name, help, type } of families) {
      expect(name).toMatch(/^sightline_[a-z][a-z0-9]*(?:_[a-z0-9]+)*$/);
      expect(name, 'base units').not.toMatch(OTHER_UNITS);
      expect(help, name).toMatch(/^[A-Z0-9].{10,}\.$/);
      expect(['gauge', 'counter', 'histogram'], name).toContain(type);
      expect(name.endsWith('_total'), name).toBe(type === 'counter');
      expect(name, 'names of parts').not.toMatch(/_(?:count|sum|bucket|gauge|counter|histogram|summary)$/);
      if (type === 'histogram') expect(name).toMatch(/_seconds$/);
    }
  });

  it('are all in the sample that the table in docs/metrics.md is made of', async () => {
    const named = readFiles(['src'], ['.ts']).flatMap((file) => codeOf(file).match(/\bsightline_\w*[a-z]\b/g) ?? []);
    const sampled = (await everyMetric()).map(({ name }) => name);
    expect([...new Set(named)].sort()).toEqual(sampled.sort());
  });

  it('have labels that Prometheus does not use itself, and each series once', async () => {
    for (const text of await everyScrape()) {
      const series = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
      const names = series.map((line) => line.slice(0, line.lastIndexOf(' ')));
      expect(names.length - new Set(names).size).toBe(0);
      expect(names.filter((name) => /[{,](?:quantile|job|instance|__\w*)="/.test(name))).toEqual([]);
      expect(names.filter((name) => /[{,]le="/.test(name) && !/_bucket\{/.test(name))).toEqual([]);
    }
  });

  it.skipIf(promtool === null)('are clean for promtool (skipped where it is not installed)', async () => {
    for (const text of await everyScrape())
      expect(runPromtool(['check', 'metrics'], text)).toEqual({ status: 0, text: '' });
  });
});
