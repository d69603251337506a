import { describe, expect, it } from 'vitest';
import { openGateway } from '../../support/open-gateways.ts';
import { RuntimeDouble } from '../../support/runtime-double.ts';
import { alertFigures, poweredHost, streamReport } from '../../support/sample-reports.ts';

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
        'sightline_stream_latency_seconds{stream="gate",quantile="0.99"} 0.08',
        'sightline_stream_stage_latency_seconds{stream="gate",stage="infer",quantile="0.5"} 0.024',
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
    const { sign: _, lastFrameAgeMs: __, ...old } = streamReport('old');
    port.put(old);
    const { url } = await openGateway(port);
    const lines = (await scrape(url)).filter((line) => /^sightline_stream_(blind\{|last_frame)/.test(line));
    expect(lines).toEqual(
      ['frozen', 'black', 'blurred', 'moved'].map(
        (sign) => `sightline_stream_blind{stream="gate",sign="${sign}"} ${sign === 'frozen' ? 1 : 0}`,
      ),
    );
  });

  it('leave out a latency without samples and a target that is not set', async () => {
    const port = new RuntimeDouble();
    const gate = streamReport('gate');
    const none = { count: 0, p50: 0, p95: 0, p99: 0, max: 0 };
    port.put({ ...gate, latencyMs: { window: none, total: none }, target: { fps: null, latencyMs: null } });
    const { url } = await openGateway(port);
    const lines = await scrape(url);
    expect(lines.filter((line) => line.startsWith('sightline_stream_latency_seconds{'))).toEqual([]);
    expect(lines.filter((line) => line.startsWith('sightline_stream_target'))).toEqual([]);
  });
});
