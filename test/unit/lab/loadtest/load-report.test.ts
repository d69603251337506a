import { describe, expect, it } from 'vitest';
import { figureText, loadReport } from '../../../../src/lab/loadtest/load-report.ts';
import type { FigureSlope, LoadResult } from '../../../../src/lab/loadtest/load-result.ts';
import { sampleLoad, sampleStep } from '../../../support/sample-load.ts';

/** As text: cells between bars, plain spaces. */
function textOf(changes: Partial<LoadResult> = {}): string {
  return loadReport(sampleLoad(changes))
    .replace(/<td[^>]*>/g, '| ')
    .replace(/<\/td>/g, ' ')
    .replace(/<\/tr>/g, '|\n')
    .replace(/<[^>]+>/g, '')
    .replaceAll('&#39;', "'")
    .replaceAll('\u00a0', ' ');
}

describe('the report of a load test', () => {
  it('says what was found, first', () => {
    const text = textOf();
    expect(text).toContain('All targets are met.');
    expect(text).toContain('6 cameras meet the targets; 7 do not: p99&lt;=50ms is missed.');
    expect(text).toContain('First to give way: infer. Inference takes 38.2 ms a frame on 1 thread.');
    expect(text).toContain("Jain's index 0.99");
    expect(text).toContain('queue-full 831');
    expect(text).toContain('within the targets again after 1.50 s');
  });

  it('follows the figures', () => {
    expect(textOf({ recoverySeconds: null })).toContain('did not recover');
    expect(textOf({ verdict: 'missed', reason: 'nothing held' })).toMatch(/Load test: missed[\s\S]*Nothing held\./);
    const steps = [sampleStep({ latencyMs: { count: 9, p50: 77, p95: 88, p99: 123, max: 140 } })];
    expect(textOf({ steps })).toContain('| 123 ms |');
  });

  it('leaves out what was not measured', () => {
    const text = textOf({ profile: 'baseline', breakPoint: null, degradation: null, recoverySeconds: null });
    expect(text).not.toContain('Break point');
    expect(text).not.toContain('Change over time');
  });

  it('writes a figure in its own unit, however small it is', () => {
    expect(figureText('heapUsedBytes', 45_404).replace('\u00a0', ' ')).toBe('0 MB');
    expect(figureText('rssBytes', 411e6).replace('\u00a0', ' ')).toBe('411 MB');
    expect(figureText('p99Ms', -205.2).replace('\u00a0', ' ')).toBe('−205 ms');
    expect(figureText('handles', 9)).toBe('9');
  });

  it('shows slopes with their intervals', () => {
    const slope: FigureSlope = {
      figure: 'rssBytes',
      mean: 250e6,
      perHour: 36e6,
      interval: [30e6, 42e6],
      allowedPerHour: 10e6,
      verdict: 'grows',
    };
    const text = textOf({ profile: 'endurance', slopes: [slope] });
    expect(text).toContain('| memory of the process | 250 MB | 36 MB | 30 MB to 42 MB | 10 MB | grows |');
  });

  it('escapes names in HTML', () => {
    const html = loadReport(sampleLoad({ subject: '<script>alert(1)</script>.yaml' }));
    expect(html).not.toContain('<script>alert(1)');
    expect(html).toContain('&lt;script&gt;alert(1)');
  });
});
