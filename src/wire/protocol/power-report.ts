/** What GPUs do and what a machine draws: part of a host's report. */
import { z } from 'zod';
import { amount, count, name, record, text } from './bounds.ts';

export type { GpuReport, PowerFigures, PowerReport } from './keys/reports.ts';

/** Use of a GPU over the last second, by all processes. Null where its driver does not report a figure. */
const gpuReport = record('GpuReport', {
  index: count.describe('As nvidia-smi counts them.'),
  name: name.describe('As the driver calls it.'),
  busyRatio: amount.nullable().describe('Share of the time in which it computed, 0 to 1.'),
  decoderRatio: amount.nullable().describe('Share of the time in which its video decoder worked, 0 to 1.'),
  memoryUsedBytes: amount.nullable().describe('Memory in use.'),
  memoryTotalBytes: amount.nullable().describe('All of its memory.'),
  powerW: amount.nullable().describe('What it draws, in watts.'),
  temperatureC: amount.nullable().describe('In degrees Celsius.'),
});
/** What the machine draws over the last second, all processes included. */
const powerReport = record('PowerReport', {
  cpuW: amount
    .nullable()
    .describe('CPU packages and their memory, in watts; null if RAPL cannot be read, which usually only root may.'),
  gpuW: amount.nullable().describe('All GPUs, in watts; null if one of them does not report it, or there is none.'),
  joulesPerFrame: amount
    .nullable()
    .describe('Energy for each published frame, in joules; null while none is published.'),
});

/** The part of a host's report about what GPUs do and what the machine draws. */
export const powerFigures = record('PowerFigures', {
  othersCores: amount
    .optional()
    .describe(
      'Cores that other processes of the machine use; absent where it has more cores than this process may use, and from older hosts.',
    ),
  gpus: z
    .array(gpuReport)
    .max(64)
    .optional()
    .describe('Each NVIDIA GPU; absent without nvidia-smi, and from older hosts.'),
  gpuProblem: text.optional().describe('Why nvidia-smi reports nothing now; absent if it does, or there is none.'),
  power: powerReport.optional().describe('What the machine draws; absent where nothing reports it.'),
});
