/** What GPUs do and what a machine draws: part of a host's report. */
import { z } from 'zod';
import { amount, count, name, text } from './bounds.ts';

/** Use of a GPU over the last second, by all processes. Null where its driver does not report a figure. */
export interface GpuReport {
  /** As nvidia-smi counts them. */
  readonly index: number;
  /** As the driver calls it. */
  readonly name: string;
  /** Share of the time in which it computed, 0 to 1. */
  readonly busyRatio: number | null;
  /** Share of the time in which its video decoder worked, 0 to 1. */
  readonly decoderRatio: number | null;
  /** Memory in use. */
  readonly memoryUsedBytes: number | null;
  /** All of its memory. */
  readonly memoryTotalBytes: number | null;
  /** What it draws, in watts. */
  readonly powerW: number | null;
  /** In degrees Celsius. */
  readonly temperatureC: number | null;
}
const gpuReport = z.object({
  ...{ index: count, name },
  ...{ busyRatio: amount.nullable(), decoderRatio: amount.nullable() },
  ...{ memoryUsedBytes: amount.nullable(), memoryTotalBytes: amount.nullable() },
  ...{ powerW: amount.nullable(), temperatureC: amount.nullable() },
});
/** What the machine draws over the last second, all processes included. */
export interface PowerReport {
  /** CPU packages and their memory, in watts; null if RAPL cannot be read, which usually only root may. */
  readonly cpuW: number | null;
  /** All GPUs, in watts; null if one of them does not report it, or there is none. */
  readonly gpuW: number | null;
  /** Energy for each published frame, in joules; null while none is published. */
  readonly joulesPerFrame: number | null;
}
const powerReport = z.object({
  cpuW: amount.nullable(),
  gpuW: amount.nullable(),
  joulesPerFrame: amount.nullable(),
});

/** The part of a host's report about what GPUs do and what the machine draws. */
export interface PowerFigures {
  /** Cores that other processes of the machine use; absent where it has more cores than this process may use, and from older hosts. */
  readonly othersCores?: number;
  /** Each NVIDIA GPU; absent without nvidia-smi, and from older hosts. */
  readonly gpus?: readonly GpuReport[];
  /** Why nvidia-smi reports nothing now; absent if it does, or there is none. */
  readonly gpuProblem?: string;
  /** What the machine draws; absent where nothing reports it. */
  readonly power?: PowerReport;
}
export const powerFigures = {
  othersCores: amount.optional(),
  gpus: z.array(gpuReport).max(64).optional(),
  gpuProblem: text.optional(),
  power: powerReport.optional(),
};
