import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Detection } from '../../src/base/core/detection.ts';
import { packageRoot } from '../../src/network/store/package-root.ts';

/**
 * Results of `yolox-nano` on real clips, frame by frame, and latencies of four paced streams of `yolox-nano-480x256` on a busy
 * machine of two cores. Boxes are rounded to pixels, scores to thousandths; scores go down to 0.2.
 */
export interface RecordedResults {
  readonly clips: readonly RecordedClip[];
  /** One series of milliseconds for each stream; equal places were published at the same time. */
  readonly latenciesMs: readonly (readonly number[])[];
}

interface RecordedClip {
  readonly name: string;
  readonly frames: readonly RecordedFrame[];
}

/** The same frame inferred twice: by ONNX Runtime in f32, by OpenVINO in bf16. */
interface RecordedFrame {
  readonly f32: readonly Detection[];
  readonly bf16: readonly Detection[];
}

type Line =
  | { readonly clip: string; readonly f32: readonly number[]; readonly bf16: readonly number[] }
  | { readonly latenciesOf: string; readonly tenthsMs: readonly number[] };

/** Reads `bench/data/recorded-results.jsonl`. A box is six numbers: class, score in thousandths, x, y, width, height. */
export function readRecordedResults(): RecordedResults {
  const path = join(packageRoot(), 'bench', 'data', 'recorded-results.jsonl');
  const clips = new Map<string, RecordedFrame[]>();
  const latenciesMs: number[][] = [];
  for (const text of readFileSync(path, 'utf8').trim().split('\n')) {
    const line = JSON.parse(text) as Line;
    if ('latenciesOf' in line) {
      latenciesMs.push(line.tenthsMs.map((tenths) => tenths / 10));
      continue;
    }
    const frames = clips.get(line.clip) ?? [];
    clips.set(line.clip, frames);
    frames.push({ f32: unpack(line.f32), bf16: unpack(line.bf16) });
  }
  return { clips: [...clips].map(([name, frames]) => ({ name, frames })), latenciesMs };
}

function unpack(numbers: readonly number[]): Detection[] {
  const detections: Detection[] = [];
  for (let at = 0; at < numbers.length; at += 6) {
    const [classId, thousandths, x, y, width, height] = numbers.slice(at, at + 6) as [
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    detections.push({ classId, label: `class ${classId}`, score: thousandths / 1000, box: [x, y, width, height] });
  }
  return detections;
}
