import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { alertRules, type PrometheusRules } from '../../../../src/serve/gateway/alert-rules.ts';
import { parsePipeline } from '../../../../src/serve/pipeline/load-pipeline.ts';
import { everyMetric } from '../../../support/every-metric.ts';
import { promtool, runPromtool } from '../../../support/prometheus.ts';

const PIPELINE = `
name: cameras
description: For a test.
defaults: { target: { fps: 10, latencyMs: 300 } }
streams:
  - { id: door.1, source: 'rtsp://camera.example/1' }
  - { id: yard, source: 'rtsp://camera.example/2', target: { fps: 25 } }
  - { id: roof, source: 'rtsp://camera.example/3' }
sinks: [{ type: webhook, url: 'https://hooks.example/a', send: [events] }, { type: jsonl, path: r.jsonl }]
alerts: [{ on: [entered], to: [webhook-1] }]
`;

function rulesOf(text: string): PrometheusRules['groups'][number]['rules'] {
  return alertRules(parsePipeline(text, 'test.yaml')).groups.flatMap(({ rules }) => rules);
}

async function inFolder<T>(use: (folder: string) => T | Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'sightline-rules-'));
  try {
    return await use(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Lets Prometheus itself evaluate the rules over made series, one value a minute. */
function evaluate(
  series: Readonly<Record<string, string>>,
  expected: readonly { readonly at: string; readonly alert: string; readonly labels: readonly object[] }[],
): Promise<ReturnType<typeof runPromtool>> {
  return inFolder((folder) => {
    // What people read is tested elsewhere.
    const groups = alertRules(parsePipeline(PIPELINE, 'test.yaml')).groups.map(({ name, rules }) => ({
      name,
      rules: rules.map(({ annotations: _, ...rule }) => rule),
    }));
    writeFileSync(join(folder, 'rules.yaml'), stringify({ groups }));
    const test = {
      rule_files: ['rules.yaml'],
      evaluation_interval: '1m',
      tests: [
        {
          interval: '1m',
          input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
          alert_rule_test: expected.map(({ at, alert, labels }) => ({
            eval_time: at,
            alertname: alert,
            exp_alerts: labels.map((each) => ({ exp_labels: each })),
          })),
        },
      ],
    };
    writeFileSync(join(folder, 'test.yaml'), stringify(test));
    return runPromtool(['test', 'rules', join(folder, 'test.yaml')]);
  });
}

describe('alert rules of a pipeline', () => {
  it('have one for each target, for the streams that have it, and one for targets that are not in the file', () => {
    const rules = rulesOf(PIPELINE);
    const published = (streams: string, least: number): string =>
      `rate(sightline_stream_frames_published_total{stream=~"${streams}"}[2m]) < ${least} `;
    const rates = rules.filter(({ alert }) => alert === 'SightlineStreamMissesRate').map(({ expr }) => expr);
    // 95 % of the target, as the host itself judges.
    expect(rates.map((expr) => expr.slice(0, expr.indexOf('unless')))).toEqual([
      published('door\\\\.1|roof', 9.5),
      published('yard', 23.75),
    ]);
    const late = rules.filter(({ alert }) => alert === 'SightlineStreamMissesLatency');
    expect(late).toHaveLength(1);
    expect(late[0]!.annotations.summary).toContain('longer than 300 ms');
    const others = rules.filter(({ alert }) => alert === 'SightlineStreamMissesTarget').map(({ expr }) => expr);
    const known = (gauge: string, streams: string, target: number): string =>
      ` unless on (instance, stream) sightline_stream_target_${gauge}{stream=~"${streams}"} == ${target}`;
    expect(others).toEqual([
      `sightline_stream_target_missed{target="fps"} == 1${known('fps', 'door\\\\.1|roof', 10)}${known('fps', 'yard', 25)}` +
        ` or sightline_stream_target_missed{target="latency"} == 1${known('latency_seconds', 'door\\\\.1|roof', 0.3)}`,
    ]);
    const absent = rules.filter(({ alert }) => alert === 'SightlineStreamAbsent').map(({ expr }) => expr);
    expect(absent).toEqual(['door.1', 'yard', 'roof'].map((id) => `absent(sightline_stream_up{stream="${id}"})`));
  });

  it('say nothing of sinks and people where the pipeline has none, and cover streams that are added later', () => {
    const names = new Set(rulesOf('name: empty\ndescription: For a test.\n').map(({ alert }) => alert));
    for (const missing of ['SinkFailing', 'ResultsLost', 'AlertChannelFailing', 'StreamAbsent', 'StreamMissesRate'])
      expect(names).not.toContain(`Sightline${missing}`);
    for (const present of ['StreamMissesTarget', 'StreamDown', 'Overloaded', 'HistoryFailing', 'HostDown'])
      expect(names).toContain(`Sightline${present}`);
    const all = new Set(rulesOf(PIPELINE).map(({ alert }) => alert));
    for (const present of ['SinkFailing', 'ResultsLost', 'AlertChannelFailing'])
      expect(all).toContain(`Sightline${present}`);
  });

  it('name only metrics and labels that a gateway has', async () => {
    const labels = new Map(
      (await everyMetric()).map(({ name, series }) => [name, series.flatMap((each) => Object.keys(each.labels))]),
    );
    for (const { alert, expr, annotations } of rulesOf(PIPELINE)) {
      const named = [...expr.matchAll(/(sightline_\w+)(?:\{(\w+)[=!])?/g)];
      for (const [, name, label] of named) {
        expect([...labels.keys()], alert).toContain(name);
        if (label !== undefined) expect(labels.get(name!), `${alert}: ${name}`).toContain(label);
      }
      const first = named[0]?.[1];
      if (first === undefined || alert === 'SightlineStreamAbsent') continue;
      for (const [, label] of annotations.summary.matchAll(/\$labels\.(\w+)/g))
        expect([...labels.get(first)!, 'instance'], alert).toContain(label);
    }
  });

  it.skipIf(promtool === null)('are valid for promtool (skipped where it is not installed)', async () => {
    await inFolder((folder) => {
      const path = join(folder, 'rules.yaml');
      writeFileSync(path, stringify(alertRules(parsePipeline(PIPELINE, 'test.yaml'))));
      const { status, text } = runPromtool(['check', 'rules', path]);
      expect([status, text]).toEqual([0, expect.stringContaining('SUCCESS')]);
      expect(text).not.toContain('FAILED');
    });
  });

  it.skipIf(promtool === null)('fire while a target is missed, and clear (skipped without promtool)', async () => {
    const door = '{stream="door.1",instance="host-1:8080"}';
    const yard = '{stream="yard",instance="host-1:8080"}';
    const published = 'sightline_stream_frames_published_total';
    const miss = (target: string) => ({ stream: 'door.1', instance: 'host-1:8080', severity: 'warning', target });
    const series = {
      // 10 frames/s for 10 minutes, then 5 for 10 minutes, then 10 again.
      [`${published}${door}`]: '0+600x10 6300+300x9 9600+600x10',
      // It is paused, so nobody expects frames.
      [`${published}${yard}`]: '0+0x30',
      'sightline_stream_state{stream="yard",instance="host-1:8080",state="paused"}': '1+0x30',
      // A look-alike of door.1, which no rule of its target matches.
      [`${published}{stream="doorx1",instance="host-1:8080"}`]: '0+0x30',
      // 2 % late for ten minutes.
      [`sightline_stream_frames_late_total${door}`]: '0+0x10 12+12x9 120+0x10',
    };
    const outcome = await evaluate(series, [
      { at: '10m', alert: 'SightlineStreamMissesRate', labels: [] },
      { at: '15m', alert: 'SightlineStreamMissesRate', labels: [miss('10 fps')] },
      { at: '26m', alert: 'SightlineStreamMissesRate', labels: [] },
      { at: '18m', alert: 'SightlineStreamMissesLatency', labels: [miss('300 ms')] },
      { at: '30m', alert: 'SightlineStreamMissesLatency', labels: [] },
    ]);
    expect(outcome.text).not.toContain('FAILED');
    expect(outcome.status).toBe(0);
  });

  it.skipIf(promtool === null)(
    'fire for a missed target that REST has set, not for those of the file, which have rules of their own (skipped without promtool)',
    async () => {
      const missed = (stream: string, target: string): string =>
        `sightline_stream_target_missed{stream="${stream}",instance="host-1:8080",target="${target}"}`;
      const gauge = (stream: string, what: string): string =>
        `sightline_stream_target_${what}{stream="${stream}",instance="host-1:8080"}`;
      const outcome = await evaluate(
        {
          [missed('door.1', 'fps')]: '1x20',
          // That of the file, then another one.
          [gauge('door.1', 'fps')]: '10x9 100x10',
          [missed('roof', 'latency')]: '1x20',
          [gauge('roof', 'latency_seconds')]: '0.3x9 0.05x10',
          [missed('yard', 'fps')]: '0x20',
          [gauge('yard', 'fps')]: '100x20',
          // Added over REST.
          [missed('new', 'fps')]: '_x9 1x10',
          [gauge('new', 'fps')]: '10x20',
        },
        [
          { at: '9m', alert: 'SightlineStreamMissesTarget', labels: [] },
          {
            at: '15m',
            alert: 'SightlineStreamMissesTarget',
            labels: [
              ['door.1', 'fps'],
              ['roof', 'latency'],
              ['new', 'fps'],
            ].map(([stream, target]) => ({ stream, target, instance: 'host-1:8080', severity: 'warning' })),
          },
        ],
      );
      expect(outcome.text).not.toContain('FAILED');
      expect(outcome.status).toBe(0);
    },
  );

  it.skipIf(promtool === null)(
    'fire for a stream that is down or on no host, not for one that is paused (skipped without promtool)',
    async () => {
      const up = (stream: string): string => `sightline_stream_up{stream="${stream}",instance="host-1:8080"}`;
      const state = (stream: string, name: string): string =>
        `sightline_stream_state{stream="${stream}",instance="host-1:8080",state="${name}"}`;
      const outcome = await evaluate(
        {
          [up('door.1')]: '1 1 0 0 0 0 0 0 1 1 1 1',
          [state('door.1', 'reconnecting')]: '_ _ 1 1 1 1 1 1 stale',
          [up('yard')]: '0x12',
          [state('yard', 'paused')]: '1x12',
        },
        [
          { at: '3m', alert: 'SightlineStreamDown', labels: [] },
          {
            at: '5m',
            alert: 'SightlineStreamDown',
            labels: [{ stream: 'door.1', instance: 'host-1:8080', severity: 'critical' }],
          },
          { at: '9m', alert: 'SightlineStreamDown', labels: [] },
          { at: '4m', alert: 'SightlineStreamAbsent', labels: [] },
          { at: '6m', alert: 'SightlineStreamAbsent', labels: [{ stream: 'roof', severity: 'critical' }] },
        ],
      );
      expect(outcome.text).not.toContain('FAILED');
      expect(outcome.status).toBe(0);
    },
  );
});
