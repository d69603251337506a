import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { everyMetric } from '../../../support/every-metric.ts';
import { promtool, runPromtool } from '../../../support/prometheus.ts';

interface Dashboard {
  readonly uid: string;
  readonly templating: {
    readonly list: readonly { readonly name: string; readonly query: string | { readonly query: string } }[];
  };
  readonly panels: readonly {
    readonly id: number;
    readonly title: string;
    readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
    readonly targets: readonly { readonly expr: string; readonly legendFormat: string }[];
  }[];
}

const FOLDER = 'deploy/grafana';
const boards = readdirSync(FOLDER).map((file) => JSON.parse(readFileSync(join(FOLDER, file), 'utf8')) as Dashboard);
const queries = boards.flatMap(({ panels }) => panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)));

describe('the dashboards for Grafana', () => {
  it('are those of the fleet, of a host and of a stream', () => {
    expect(boards.map(({ uid }) => uid)).toEqual(['sightline-fleet', 'sightline-host', 'sightline-stream']);
  });

  it('name only metrics, and labels of them, that a gateway has', async () => {
    const labels = new Map<string, Set<string>>();
    for (const { series } of await everyMetric())
      for (const { name, labels: own } of series)
        labels.set(name, new Set([...(labels.get(name) ?? ['instance']), ...Object.keys(own)]));
    const variables = boards.flatMap(({ templating }) =>
      templating.list.map(({ query }) => (typeof query === 'string' ? '' : query.query)),
    );
    for (const expr of [...queries, ...variables])
      for (const [, name, matchers] of expr.matchAll(/(sightline_\w+)(?:\{([^}]*)\})?/g)) {
        expect([...labels.keys()], expr).toContain(name);
        for (const [, label] of (matchers ?? '').matchAll(/(\w+)(?:=|!)/g))
          expect([...labels.get(name!)!], expr).toContain(label);
      }
    for (const { panels } of boards)
      for (const { targets } of panels)
        for (const { expr, legendFormat } of targets) {
          const known = new Set(
            [...expr.matchAll(/sightline_\w+/g)].flatMap(([name]) => [...(labels.get(name) ?? [])]),
          );
          for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) expect([...known], expr).toContain(label);
        }
  });

  it('use only variables that they have, and no panel covers another', () => {
    for (const { templating, panels } of boards) {
      const known = new Set([...templating.list.map(({ name }) => name), '__rate_interval']);
      for (const { targets } of panels)
        for (const { expr } of targets)
          for (const [, name] of expr.matchAll(/\$(\w+)/g)) expect([...known]).toContain(name);
      expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
      const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
        Array.from({ length: w * h }, (_, i) => `${x + (i % w)},${y + Math.floor(i / w)}`),
      );
      expect(new Set(cells).size).toBe(cells.length);
      expect(Math.max(...panels.map(({ gridPos: { x, w } }) => x + w))).toBeLessThanOrEqual(24);
    }
  });

  it.skipIf(promtool === null)('have queries that Prometheus can read (skipped without promtool)', () => {
    const rules = queries.map((expr, i) => ({
      record: `query_${i}`,
      expr: expr.replaceAll('$__rate_interval', '1m').replaceAll(/\$(?:stream|instance)/g, 'x'),
    }));
    const folder = mkdtempSync(join(tmpdir(), 'sightline-boards-'));
    try {
      writeFileSync(join(folder, 'rules.yaml'), stringify({ groups: [{ name: 'boards', rules }] }));
      const { status, text } = runPromtool(['check', 'rules', join(folder, 'rules.yaml')]);
      expect([status, text]).toEqual([0, expect.stringContaining(`${queries.length} rules found`)]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
