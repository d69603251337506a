import { z } from 'zod';
import { AGREEMENT, type GateVerdict } from '../gate/gate-verdict.ts';
import { findingsOf } from './findings.ts';
import {
  joulesPerFrame,
  type QualityFigure,
  type ReportInput,
  type ReportSide,
  type ReportTrial,
} from './report-input.ts';

/** Name of the machine-readable result in the folder of a report. */
export const RESULT_FILE = 'result.json';
const VERSION = 1;

const text = z.string();
const amount = z.number().min(0);
const interval = z.tuple([z.number(), z.number()]);

const side = z.object({
  /** Values of levers; other versions may have others. */
  configuration: z.record(z.string(), z.unknown()),
  fps: amount,
  p99Ms: amount,
  cpuMsPerFrame: amount.nullable().default(null),
  joulesPerFrame: amount.nullable().default(null),
  targets: z.array(z.object({ target: text, state: z.enum(['met', 'missed', 'not enough frames']) })).default([]),
  capacity: z
    .object({ cameras: z.number().int().min(0), cameraFps: z.number().positive(), p99Ms: amount, target: text })
    .nullable()
    .default(null),
});

/** What labels or agreement say on the held-out part. */
const quality = z.object({
  kind: z.enum(['ap', 'top-1', 'agreement']),
  loss: z.number(),
  interval,
  /** Pictures with an object, or frames. Absent from older files. */
  pictures: z.number().int().min(0).optional(),
});

const resultFile = z.object({
  kind: z.literal('sightline-optimize'),
  version: z.number().int().min(1),
  subject: text,
  createdAt: text,
  machine: z.object({ cpuModel: text, cores: z.number().int().min(1), memoryBytes: amount }),
  /** The device that infers where it is not the CPU. */
  device: text.nullable().default(null),
  validity: z.object({ isValid: z.boolean(), reasons: z.array(text) }),
  outcome: z.enum(['invalid', 'untried', 'unchanged', 'unproven', 'quality open', 'counts differ', 'faster']),
  speedup: z.object({ ratio: z.number().positive(), interval }).nullable(),
  /** Of the held-out part; null if there was none. */
  quality: quality.nullable().default(null),
  /** Of the best, on sequences with true tracks; null without any, absent from older files. */
  identities: z
    .object({
      verdict: text,
      reference: z.number(),
      candidate: z.number(),
      loss: z.number(),
      interval,
      allowed: amount,
      tracks: z.number().int().min(1),
      identities: z.object({ hota: z.tuple([amount, amount]), switches: z.tuple([amount, amount]) }),
    })
    .nullable()
    .default(null),
  baseline: side,
  best: side,
  /** What is faster if people accept the differences; null if nothing is. */
  faster: z
    .object({
      configuration: z.record(z.string(), z.unknown()),
      speedup: z.object({ ratio: z.number().positive(), interval }),
      ap: z.number().nullable(),
      quality: quality.nullable().default(null),
      differences: z.array(z.object({ kind: text, subject: text, text })),
      file: text,
    })
    .nullable()
    .default(null),
  target: text.nullable().default(null),
  cameraFps: z.number().positive(),
});

/** The result of an optimisation for programs, and for the choice between machine types. */
export type ResultFile = z.output<typeof resultFile>;

/** @throws RangeError as `findingsOf` */
export function resultOf(input: ReportInput): ResultFile {
  const { outcome, before, after } = findingsOf(input);
  const { heldOut } = input.quality;
  const { cpuModel, cores, memoryBytes } = input.machine;
  const device = after.device === undefined || after.device.provider === 'cpu' ? null : after.device.device;
  return resultFile.parse({
    kind: 'sightline-optimize',
    version: VERSION,
    subject: input.subject,
    createdAt: input.createdAt,
    machine: { cpuModel, cores, memoryBytes },
    device,
    validity: input.validity,
    outcome,
    speedup: input.speedup,
    quality: qualityIn(heldOut),
    identities: input.identities,
    baseline: sideOf(input.baseline, before),
    best: sideOf(input.best, after),
    faster: input.faster === null ? null : { ...input.faster, quality: qualityIn(input.faster.quality) },
    target: input.options.target,
    cameraFps: input.options.cameraFps,
  });
}

function qualityIn(figure: QualityFigure | null): object | null {
  return figure === null ? null : { ...figure, kind: kindOf(figure.measure) };
}

function kindOf(measure: GateVerdict['measure']): 'ap' | 'top-1' | 'agreement' {
  return measure === AGREEMENT ? 'agreement' : measure === 'top-1' ? measure : 'ap';
}

function sideOf({ configuration, targets, capacity }: ReportSide, trial: ReportTrial): object {
  return {
    configuration,
    targets,
    capacity,
    fps: trial.fps,
    p99Ms: trial.latencyMs.p99,
    cpuMsPerFrame: trial.cpuMsPerFrame?.total ?? null,
    joulesPerFrame: joulesPerFrame(trial),
  };
}
