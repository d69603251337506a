import { leastFps } from '../../frame/telemetry/target-watch.ts';
import type { StreamConfig } from '../../settings/config/stream.ts';
import type { StreamState } from '../../wire/protocol/report.ts';
import type { PipelineConfig } from '../pipeline/pipeline.ts';

/** A rule as Prometheus reads it. */
interface PrometheusRule {
  readonly alert: string;
  readonly expr: string;
  /** How long it must hold before anybody is told. */
  readonly for: string;
  readonly labels: { readonly severity: 'critical' | 'warning'; readonly target?: string; readonly stream?: string };
  readonly annotations: { readonly summary: string };
}

export interface PrometheusRules {
  readonly groups: readonly { readonly name: string; readonly rules: readonly PrometheusRule[] }[];
}

/** Over which rates are taken: two scrapes must be in it. */
const RATE_MINUTES = 2;
/** Share of the frames that may be late: the target is one of the 99th percentile. */
const LATE_RATIO = 0.01;

/** States in which nobody expects frames. */
const IDLE = ['pausing', 'paused', 'ended', 'removing', 'removed'] as const satisfies readonly StreamState[];
const EXPECTED = `unless on (instance, stream) sightline_stream_state{state=~"${IDLE.join('|')}"}`;

/**
 * Makes the alert rules of a pipeline: of the targets of its streams, of streams that are away or unknown, of the host, of its sinks, channels and
 * history. Rules of the same name have the same labels, so those of several pipelines can be loaded together.
 */
export function alertRules({ name, streams, sinks, alerts }: PipelineConfig): PrometheusRules {
  const groups = [
    { name: `${name}: targets`, rules: targetRules(streams) },
    { name: `${name}: streams`, rules: streamRules(streams) },
    { name: `${name}: host`, rules: hostRules() },
    {
      name: `${name}: results`,
      rules: [...(sinks.length === 0 ? [] : SINK_RULES), ...(alerts.length === 0 ? [] : CHANNEL_RULES)],
    },
  ];
  return { groups: groups.filter(({ rules }) => rules.length > 0) };
}

/** One rule for each rate and latency that the file expects of some streams; of targets that the file does not have, what their host says. */
function targetRules(streams: readonly StreamConfig[]): readonly PrometheusRule[] {
  const published = 'sightline_stream_frames_published_total';
  const rates = byTarget(streams, 'fps').map(([fps, ids]) => {
    const least = leastFps(fps, RATE_MINUTES * 60_000);
    const expr = `rate(${published}${ids}[${RATE_MINUTES}m]) < ${Number(least.toPrecision(6))} ${EXPECTED}`;
    const summary = `{{ $labels.stream }} publishes {{ $value | printf "%.1f" }} frames/s; expected are ${fps}`;
    return rule('SightlineStreamMissesRate', expr, '2m', 'warning', summary, { target: `${fps} fps` });
  });
  const latencies = byTarget(streams, 'latencyMs').map(([latencyMs, ids]) => {
    const late = `rate(sightline_stream_frames_late_total${ids}[5m])`;
    const expr = `${late} / rate(${published}${ids}[5m]) > ${LATE_RATIO}`;
    const summary = `{{ $labels.stream }}: {{ $value | humanizePercentage }} of its frames take longer than ${latencyMs} ms`;
    return rule('SightlineStreamMissesLatency', expr, '2m', 'warning', summary, { target: `${latencyMs} ms` });
  });
  const others = [
    missedBut('fps', 'sightline_stream_target_fps', byTarget(streams, 'fps')),
    missedBut(
      'latency',
      'sightline_stream_target_latency_seconds',
      byTarget(streams, 'latencyMs').map(([latencyMs, ids]) => [latencyMs / 1000, ids]),
    ),
  ].join(' or ');
  const summary = '{{ $labels.stream }} misses its target of {{ $labels.target }}';
  return [...rates, ...latencies, rule('SightlineStreamMissesTarget', others, '2m', 'warning', summary)];
}

/** A target is missed that is none of these. @param gauge - has the target that holds now. */
function missedBut(target: string, gauge: string, known: readonly (readonly [value: number, ids: string])[]): string {
  const others = known.map(([value, ids]) => ` unless on (instance, stream) ${gauge}${ids} == ${value}`);
  return `sightline_stream_target_missed{target="${target}"} == 1${others.join('')}`;
}

function streamRules(streams: readonly StreamConfig[]): readonly PrometheusRule[] {
  const absent = streams.map(({ id }) =>
    rule(
      'SightlineStreamAbsent',
      `absent(sightline_stream_up{stream=${JSON.stringify(id)}})`,
      '5m',
      'critical',
      `no host has the stream ${id}`,
      { stream: id },
    ),
  );
  return [
    rule(
      'SightlineStreamDown',
      `sightline_stream_up == 0 ${EXPECTED}`,
      '2m',
      'critical',
      '{{ $labels.stream }} gets no pictures: its camera is away, or it could not be started',
    ),
    rule(
      'SightlineCameraBlind',
      'sightline_stream_blind == 1',
      '1m',
      'warning',
      'the pictures of {{ $labels.stream }} are {{ $labels.sign }}',
    ),
    rule(
      'SightlineCameraLate',
      'sightline_stream_late_seconds > 0',
      '1m',
      'warning',
      'the pictures of {{ $labels.stream }} are {{ $value }} s late: a server or the network keeps them back',
    ),
    ...absent,
  ];
}

const hostRules = (): readonly PrometheusRule[] => [
  rule('SightlineHostDown', 'up{job="sightline"} == 0', '1m', 'critical', '{{ $labels.instance }} does not answer'),
  rule(
    'SightlineNotReady',
    'sightline_ready == 0',
    '1m',
    'critical',
    '{{ $labels.instance }} cannot work, see /readyz',
  ),
  rule(
    'SightlineOverloaded',
    'sightline_overloaded == 1',
    '2m',
    'warning',
    'more is asked of {{ $labels.instance }} than it can do; /readyz says what helps',
  ),
  rising('SightlineInferenceFailing', 'sightline_inferences_failed_total', 'inferences of {{ $labels.instance }} fail'),
  rising(
    'SightlineHistoryFailing',
    'sightline_history_lost_total',
    'the history of {{ $labels.instance }} loses records',
  ),
  rising('SightlineFault', 'sightline_operation_failures_total', '{{ $labels.operation }} fails'),
  rising('SightlineException', 'sightline_exceptions_caught_total', 'a bug: an exception was caught, see the log'),
];

const SINK_RULES = [
  rule('SightlineSinkFailing', 'sightline_sink_failing == 1', '1m', 'critical', '{{ $labels.sink }} cannot write'),
  rising(
    'SightlineResultsLost',
    'sightline_sink_results_lost_total',
    '{{ $labels.sink }} lost results: {{ $labels.reason }}',
  ),
];

const CHANNEL_RULES = [
  rising(
    'SightlineAlertChannelFailing',
    'sightline_alerts_total{outcome="failed"}',
    '{{ $labels.channel }} gave up messages to people',
  ),
];

/** Something that should never happen has happened in the last minutes. */
function rising(alert: string, counter: string, summary: string): PrometheusRule {
  return rule(alert, `increase(${counter}[10m]) > 0`, '0s', 'warning', summary);
}

function rule(
  alert: string,
  expr: string,
  lasting: string,
  severity: PrometheusRule['labels']['severity'],
  summary: string,
  // What tells rules of the same name apart.
  labels: Omit<PrometheusRule['labels'], 'severity'> = {},
): PrometheusRule {
  return { alert, expr, for: lasting, labels: { severity, ...labels }, annotations: { summary } };
}

/** The different targets, and a selector of the streams that have each. */
function byTarget(
  streams: readonly StreamConfig[],
  what: keyof StreamConfig['target'],
): readonly (readonly [target: number, selector: string])[] {
  const targets = new Set(streams.flatMap(({ target }) => target[what] ?? []));
  return [...targets].map((each) => [each, matching(streams.filter(({ target }) => target[what] === each))]);
}

/** Ids have dots, which a pattern must not take for any character. */
function matching(streams: readonly Pick<StreamConfig, 'id'>[]): string {
  return `{stream=~${JSON.stringify(streams.map(({ id }) => id.replaceAll('.', '\\.')).join('|'))}}`;
}
