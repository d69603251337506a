import type { CpuUse } from '../../src/frame/telemetry/cpu-ledger.ts';
import type { Percentiles } from '../../src/wire/protocol/report.ts';

export function ms(value: number): string {
  return Number.isNaN(value) ? '-' : `${value.toFixed(2)} ms`;
}

export function fps(value: number): string {
  return `${value.toFixed(1)} fps`;
}

export function percent(ratio: number): string {
  return `${(ratio * 100).toFixed(1)} %`;
}

export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}

export const PERCENTILE_HEADING = ['p50', 'p95', 'p99', 'max'] as const;

export function percentileCells({ p50, p95, p99, max }: Percentiles): string[] {
  return [p50, p95, p99, max].map(ms);
}

/** Returns one row per stage: CPU per published frame, and the share of its capacity that it used. */
export function stageRows(
  cpu: CpuUse | null,
  busyRatio: Readonly<Record<'decode' | 'preprocess' | 'infer' | 'main', number>>,
): string[][] {
  const stages = (['decode', 'preprocess', 'infer', 'main'] as const).map((stage) => [
    stage,
    cpu === null ? '-' : ms(cpu[stage]),
    percent(busyRatio[stage]),
  ]);
  return [['stage', 'CPU per frame', 'busy'], ...stages, ['total', cpu === null ? '-' : ms(cpu.total), '']];
}
