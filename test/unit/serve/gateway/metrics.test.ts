import { describe, expect, it } from 'vitest';
import { MOST_SERIES } from '../../../../src/serve/gateway/metric-set.ts';
import { publishedEdges } from '../../../../src/serve/gateway/metrics.ts';
import { LATENCY_EDGES_MS } from '../../../../src/wire/protocol/latency.ts';
import { STREAM_STATES } from '../../../../src/wire/protocol/report.ts';
import { openGateway } from '../../../support/open-gateways.ts';
import { RuntimeDouble } from '../../../support/runtime-double.ts';
import { alertFigures, latencyCounts, poweredHost, streamReport } from '../../../support/sample-reports.ts';

async function scrape(url: string): Promise<string[]> {
  const reply = await fetch(`${url}/metrics`);
  expect(reply.headers.get('content-type')).toContain('text/plain');
  return (await reply.text()).split('\n');
}

describe('metrics', () => {
  it('contain the figures of the report in base units', async () => {
    const { url } = await openGateway(new RuntimeDouble(['gate']));
    expect(await scrape(url)).toEqual(
      expect.arrayContaining([
        'sightline_ready 1',
        'sightline_stream_fps{stream="gate",point="published"} 24.2',
        'sightline_stream_target_fps{stream="gate"} 24',
        'sightline_stream_up{stream="gate"} 1',
        'sightline_stream_frames_late_total{stream="gate"} 5',
        'sightline_stream_stage_seconds_total{stream="gate",stage="infer"} 24',
        'sightline_inferences_failed_total 7',
        'sightline_stream_frames_in_total{stream="gate"} 1000',
        'sightline_stream_frames_published_total{stream="gate"} 960',
        'sightline_stream_frames_dropped_total{stream="gate",reason="queue-full"} 30',
        'sightline_stream_frames_dropped_total{stream="gate",reason="lane-failed"} 0',
        'sightline_stream_frames_in_flight{stream="gate"} 4',
        'sightline_stream_queue_depth{stream="gate"} 2',
        'sightline_stream_reconnects_total{stream="gate"} 3',
        'sightline_stream_blind{stream="gate",sign="black"} 0',
        'sightline_stream_last_frame_age_seconds{stream="gate"} 0.04',
        'sightline_stream_decode_errors_total{stream="gate"} 1',
        'sightline_stage_busy_ratio{stage="infer"} 0.87',
        'sightline_event_loop_delay_p99_seconds 0.0032',
        'sightline_batches_total{size="2"} 310',
        'sightline_feed_clients 0',
        'sightline_feed_messages_dropped_total{topic="stats"} 0',
      ]),
    );
  });

  it('have what GPUs do and what the machine draws where that is reported, and no series where not', async () => {
    const port = new RuntimeDouble(['gate']);
    const { url } = await openGateway(port);
    expect((await scrape(url)).filter((line) => /gpu|watts|joules/.test(line))).toEqual([]);
    port.host = { ...port.host, ...poweredHost() };
    expect(await scrape(url)).toEqual(
      expect.arrayContaining([
        'sightline_gpu_busy_ratio{gpu="0",name="NVIDIA H100"} 0.93',
        'sightline_gpu_decoder_busy_ratio{gpu="0",name="NVIDIA H100"} 0.12',
        'sightline_gpu_memory_used_bytes{gpu="0",name="NVIDIA H100"} 3221225472',
        'sightline_gpu_power_watts{gpu="0",name="NVIDIA H100"} 310',
        'sightline_gpu_temperature_celsius{gpu="0",name="NVIDIA H100"} 61',
        'sightline_gpu_metrics_failing 0',
        'sightline_cpu_power_watts 90',
        'sightline_frame_energy_joules 0.4',
      ]),
    );
    port.host = { ...port.host, gpus: [], gpuProblem: 'nvidia-smi reports nothing' };
    const failing = await scrape(url);
    expect(failing).toContain('sightline_gpu_metrics_failing 1');
    expect(failing.filter((line) => line.startsWith('sightline_gpu_power_watts{'))).toEqual([]);
  });

  it('account for what rules did, for the time that was watched, and for what people were told', async () => {
    const port = new RuntimeDouble(['gate']);
    port.host = { ...port.host, alerts: { phone: alertFigures() } };
    const { url } = await openGateway(port);
    expect(await scrape(url)).toEqual(
      expect.arrayContaining([
        'sightline_stream_events_raised_total{stream="gate"} 9',
        'sightline_stream_events_ended_total{stream="gate"} 7',
        'sightline_stream_events_suppressed_total{stream="gate",reason="cooldown"} 4',
        'sightline_stream_watched_seconds_total{stream="gate"} 48',
        'sightline_stream_blind_seconds_total{stream="gate",reason="black"} 4.5',
        'sightline_stream_blind_seconds_total{stream="gate",reason="frozen"} 0',
        'sightline_alerts_raised_total{channel="phone"} 12',
        'sightline_alerts_total{channel="phone",outcome="sent"} 4',
        'sightline_alerts_total{channel="phone",outcome="hold"} 2',
        'sightline_alerts_pending{channel="phone"} 1',
        'sightline_alert_snapshots_total{channel="phone",outcome="sent"} 3',
        'sightline_alert_snapshots_total{channel="phone",outcome="failed"} 1',
        'sightline_alert_snapshots_pending{channel="phone"} 2',
      ]),
    );
  });

  it('keep counting between scrapes, and forget a removed stream', async () => {
    const port = new RuntimeDouble(['gate', 'yard']);
    const { url } = await openGateway(port);
    await scrape(url);
    const gate = streamReport('gate');
    port.put({ ...gate, frames: { ...gate.frames, in: 1001, inFlight: 5 } });
    await port.removeStream('yard');

    const lines = await scrape(url);
    expect(lines).toContain('sightline_stream_frames_in_total{stream="gate"} 1001');
    expect(lines.filter((line) => line.includes('yard'))).toEqual([]);
  });

  it('say which sign a blind camera has, and nothing of a host that looks for none', async () => {
    const port = new RuntimeDouble(['gate', 'old']);
    port.put({ ...streamReport('gate'), sign: { name: 'frozen', sinceMs: 1 }, lastFrameAgeMs: null });
    const { sign: _, lateMs: __, lastFrameAgeMs: ___, ...old } = streamReport('old');
    port.put(old);
    const { url } = await openGateway(port);
    const lines = (await scrape(url)).filter((line) => /^sightline_stream_(blind\{|last_frame)/.test(line));
    expect(lines).toEqual(
      ['frozen', 'black', 'covered', 'blurred', 'moved'].map(
        (sign) => `sightline_stream_blind{stream="gate",sign="${sign}"} ${sign === 'frozen' ? 1 : 0}`,
      ),
    );
  });

  it('say how late the pictures of a camera are, and nothing of a host that does not know', async () => {
    const port = new RuntimeDouble(['gate', 'yard', 'old']);
    port.put({ ...streamReport('gate'), lateMs: 95_000 });
    const { lateMs: _, ...old } = streamReport('old');
    port.put(old);
    const { url } = await openGateway(port);
    expect((await scrape(url)).filter((line) => line.startsWith('sightline_stream_late_seconds'))).toEqual([
      'sightline_stream_late_seconds{stream="gate"} 95',
      'sightline_stream_late_seconds{stream="yard"} 0',
    ]);
  });

  it('have latencies as histograms: what is at or below each edge, and all', async () => {
    const { url } = await openGateway(new RuntimeDouble(['gate']));
    const lines = await scrape(url);
    const own = lines.filter((line) => line.startsWith('sightline_stream_latency_seconds'));
    // 900 of up to 40 ms, 55 of exactly 100 ms, which is the target, and 5 of 2.5 s.
    expect(
      own.map((line) => line.replace('sightline_stream_latency_seconds', '').replace('stream="gate",', '')),
    ).toEqual([
      ...['0.001', '0.0025', '0.005', '0.01', '0.025'].map((edge) => `_bucket{le="${edge}"} 0`),
      ...['0.05'].map((edge) => `_bucket{le="${edge}"} 900`),
      ...['0.1', '0.2', '0.25', '0.5', '1'].map((edge) => `_bucket{le="${edge}"} 955`),
      ...['2.5', '10', '+Inf'].map((edge) => `_bucket{le="${edge}"} 960`),
      '_sum{stream="gate"} 41',
      '_count{stream="gate"} 960',
    ]);
    expect(lines).toContain('sightline_stage_latency_seconds_bucket{stage="queue",le="0.01"} 480');
    expect(lines).toContain('sightline_stage_latency_seconds_bucket{stage="queue",le="0.025"} 960');
  });

  it('of two hosts add up, in whatever buckets: each edge that both have counts what is below it', async () => {
    const counted = latencyCounts();
    const buckets = async (latencyMs: number | null): Promise<Map<string, number>> => {
      const port = new RuntimeDouble();
      const gate = streamReport('gate');
      port.put({ ...gate, target: { fps: null, latencyMs }, latencyMs: { ...gate.latencyMs, counted } });
      const lines = await scrape((await openGateway(port)).url);
      const found = lines.flatMap(
        (line) => /^sightline_stream_latency_seconds_bucket.*le="(.*)"\} (\d+)$/.exec(line) ?? [],
      );
      return new Map(found.flatMap((_, i) => (i % 3 === 0 ? [[found[i + 1]!, Number(found[i + 2])] as const] : [])));
    };
    const [plain, strict] = [await buckets(null), await buckets(40)];
    expect([plain.has('0.04'), strict.has('0.04')]).toEqual([false, true]);
    expect([...plain].map(([edge, count]) => [edge, strict.get(edge)! + count])).toEqual(
      [...plain].map(([edge, count]) => [edge, 2 * count]),
    );
  });

  it('leave out what is not known of a host, and a target that is not set', async () => {
    const port = new RuntimeDouble();
    const { latencyMs, ...gate } = streamReport('gate');
    const { counted: _, ...old } = latencyMs;
    port.put({ ...gate, latencyMs: old, target: { fps: null, latencyMs: null } });
    const { stageHistograms: __, failedInferences: ___, ...host } = port.host;
    port.host = host;
    const { url } = await openGateway(port);
    const lines = (await scrape(url)).join('\n');
    for (const name of ['stream_latency', 'stage_latency', 'stream_target', 'stream_frames_late', 'inferences_failed'])
      expect(lines).not.toContain(`sightline_${name}`);
  });

  it('have labels as Prometheus reads them, whatever a device is called', async () => {
    const port = new RuntimeDouble();
    port.host = { ...port.host, device: { ...port.host.device, device: 'a "GPU"\\1\nb' } };
    const { url } = await openGateway(port);
    const line = (await scrape(url)).find((each) => each.startsWith('sightline_device_info'));
    expect(line).toContain('device="a \\"GPU\\"\\\\1\\nb",');
  });

  it('say of each stream whether it gets pictures', async () => {
    const port = new RuntimeDouble(['gate']);
    for (const state of STREAM_STATES) port.put({ ...streamReport(state), state });
    const { url } = await openGateway(port);
    const up = (await scrape(url)).filter((line) => /^sightline_stream_up.* 1$/.test(line));
    expect(up).toEqual(['sightline_stream_up{stream="gate"} 1', 'sightline_stream_up{stream="running"} 1']);
  });
});

describe('the number of series', () => {
  /** Without zones and lines, which are as many as people draw. */
  const MOST_A_STREAM = 80;

  const seriesOf = (lines: readonly string[], of: string): number => lines.filter((line) => line.includes(of)).length;

  it(`is at most ${MOST_A_STREAM} a stream, and all of a stream go with it`, async () => {
    const port = new RuntimeDouble(['gate', ...Array.from({ length: 999 }, (_, i) => `camera-${i}`)]);
    const { url } = await openGateway(port);
    const lines = await scrape(url);
    expect(seriesOf(lines, 'stream="gate"')).toBeLessThanOrEqual(MOST_A_STREAM);
    expect(seriesOf(lines, 'stream="')).toBe(1000 * seriesOf(lines, 'stream="gate"'));
    expect(lines.length).toBeLessThan(1000 * MOST_A_STREAM + 500);

    port.decorate = (report) => ({ ...report, streams: report.streams.slice(0, 1) });
    expect(seriesOf(await scrape(url), 'stream="')).toBe(seriesOf(lines, 'stream="gate"'));
    port.decorate = (report) => ({ ...report, streams: [] });
    expect(seriesOf(await scrape(url), 'sightline_stream_')).toBe(0);
  });

  it('has 44 edges at most, however many targets there are', () => {
    const targets = Array.from({ length: 600_000 }, (_, i) => (i + 10) / 10);
    expect(publishedEdges(targets)).toEqual(LATENCY_EDGES_MS);
    expect(LATENCY_EDGES_MS).toHaveLength(44);
    expect(publishedEdges([])).toEqual([1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 10_000]);
    // Below its half, below and above it, above its double.
    expect(publishedEdges([130, 130, null]).filter((edge) => !publishedEdges([]).includes(edge))).toEqual([
      60, 120, 150, 300,
    ]);
  });

  it('is bounded: zones and lines that exceed it are left out and counted, and nothing else is', async () => {
    const port = new RuntimeDouble();
    const zones = Array.from({ length: 1000 }, (_, i) => ({ id: `zone-${i}`, inside: i }));
    for (let i = 0; i < 210; i++) port.put({ ...streamReport(`camera-${i}`), zones });
    const { url } = await openGateway(port);
    await scrape(url);
    const lines = (await scrape(url)).filter((line) => line !== '' && !line.startsWith('#'));
    expect(lines.length).toBe(MOST_SERIES);
    const skipped = lines.find((line) => line.startsWith('sightline_metrics_skipped_total'));
    expect(Number(skipped?.split(' ')[1])).toBeGreaterThan(10_000);
    expect(seriesOf(lines, 'sightline_stream_up{')).toBe(210);
  });
});
