import { inputLine } from '../../../after/sinks/result-line.ts';
import { unpackDetections } from '../../../base/core/detection.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { StreamAnalytics } from '../../../frame/runtime/stream/stream-analytics.ts';
import { SceneSteps } from '../../../frame/track/scene-steps.ts';
import type { JobOrder } from '../../../wire/protocol/fleet.ts';
import { AtomicFile } from './atomic-file.ts';
import { AtomicTable } from './atomic-table.ts';
import type { JobPlace } from './job-place.ts';
import type { TaskTools } from './job-tools.ts';
import { RecordedInput } from './recorded-input.ts';
import { analysed, ReplayedStages } from './replayed-stages.ts';
import { type SegmentFrame, type SegmentHeader, SegmentReader } from './segment-file.ts';

type JoinTools = Pick<TaskTools, 'runner' | 'stages'>;

/** Longest time that joining blocks the thread, which also serves live streams. */
const MAX_BUSY_MS = 3;

/**
 * Writes the result of one file from its segment results: frame numbers and tracks continue across segments, and lines are the same
 * as from `sightline detect`. Reads and writes a few lines at a time.
 *
 * @throws SINK_FAILED if a segment result is missing or the result cannot be written, SEGMENT_MISMATCH if one is damaged or does
 *   not
 *   follow the previous one; the signal's reason if it aborts. No lines are left then.
 */
export async function joinSegments(
  tools: JoinTools,
  order: JobOrder,
  place: JobPlace,
  paths: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const { resultStem, folder } = place;
  const file = await AtomicFile.create('job', place.resultPath, resultStem, folder);
  let table: AtomicTable | null = null;
  try {
    if (order.parquet === true) table = await AtomicTable.create('job', place.tablePath, resultStem, folder);
    const recorded = await RecordedInput.open(place.inputPath);
    const joiner = new SegmentJoiner({ tools, order, label: place.label, file, table, recorded });
    let previous: SegmentHeader | null = null;
    for (const [i, path] of paths.entries()) {
      const reader = await SegmentReader.open(path);
      if (reader === null) throw missing(place.label, i, paths.length, path);
      try {
        expectFit(path, previous, reader.header, i === paths.length - 1);
        previous = reader.header;
        for await (const frame of reader.frames()) await joiner.add(frame, signal);
      } finally {
        await reader.close();
      }
    }
    signal.throwIfAborted();
    // The lines are last: a file that has them is done.
    await table?.commit();
    await file.commit();
  } catch (error) {
    await table?.discard();
    await file.discard();
    throw error;
  }
}

/** Appends the frames of one file, in order, to its result. */
class SegmentJoiner {
  readonly #classes: readonly string[];
  readonly #label: string;
  readonly #every: number;
  readonly #file: AtomicFile;
  readonly #table: AtomicTable | null;
  readonly #analytics: StreamAnalytics;
  readonly #steps = new SceneSteps();
  readonly #stream: string;
  /** Null without second stages. */
  readonly #stages: ReplayedStages | null;
  /** Of a recording. */
  readonly #clock: ((ptsUs: number) => number) | null;
  #frames = 0;
  #busySinceMs = performance.now();

  constructor({
    tools,
    order,
    label,
    file,
    table,
    recorded,
  }: {
    readonly tools: JoinTools;
    readonly order: JobOrder;
    readonly label: string;
    readonly file: AtomicFile;
    readonly table: AtomicTable | null;
    readonly recorded: RecordedInput | null;
  }) {
    const {
      runner: { classes, reportScore },
      stages,
    } = tools;
    const { track, every } = order;
    this.#clock = recorded?.clock() ?? null;
    this.#stream = recorded?.stream ?? label;
    this.#classes = classes;
    this.#label = label;
    this.#every = every;
    this.#file = file;
    this.#table = table;
    this.#analytics = new StreamAnalytics(analysed(track, stages), reportScore);
    this.#stages = stages.length === 0 ? null : new ReplayedStages(stages, track, classes.length);
  }

  async add(segmentFrame: SegmentFrame, signal: AbortSignal): Promise<void> {
    const { ptsUs, width, height, rows, extras, moved } = segmentFrame;
    const boxes = unpackDetections(rows, this.#classes);
    const raw = extras.length === 0 ? boxes : boxes.map((box, i) => ({ ...box, ...extras[i] }));
    const tracked = this.#analytics.update({ ptsUs, width, height, shift: this.#steps.by(moved) }, raw).detections;
    const detections = this.#stages?.dress(segmentFrame, tracked) ?? tracked;
    const frame = this.#frames * this.#every;
    this.#frames += 1;
    const place = { streamId: this.#label, frame, ptsUs };
    const captured =
      this.#clock === null ? {} : ({ capturedAtMs: this.#clock(ptsUs), captureClock: 'arrival' } as const);
    const result = { ...place, ...captured, width, height, by: 'inferred', detections } as const;
    const written = this.#file.write(`${inputLine(result, this.#label, this.#stream)}\n`);
    const wait = this.#table?.add(result, this.#label)?.then(() => written) ?? written;
    if (wait !== null) await wait;
    else if (performance.now() - this.#busySinceMs < MAX_BUSY_MS) return;
    else await new Promise((resolve) => setImmediate(resolve));
    signal.throwIfAborted();
    this.#busySinceMs = performance.now();
  }
}

/** Throws unless the segment results have the same input and settings, and each begins where the previous one ends. */
function expectFit(path: string, previous: SegmentHeader | null, next: SegmentHeader, isLast: boolean): void {
  const { span } = next;
  const isNext = previous === null ? span.fromUs === null : span.fromUs !== null && span.fromUs === previous.span.toUs;
  const isSame = previous === null || settingsOf(previous) === settingsOf(next);
  if (isNext && isSame && (!isLast || span.toUs === null)) return;
  throw new SightlineError('SEGMENT_MISMATCH', `segment result ${path} does not fit those before it`, { path });
}

function settingsOf({ every, scoreThreshold, input }: SegmentHeader): string {
  return JSON.stringify({ every, scoreThreshold, input });
}

function missing(label: string, index: number, count: number, path: string): SightlineError {
  return new SightlineError(
    'SINK_FAILED',
    `${label}: the result of segment ${index + 1} of ${count} is missing: expected ${path}. Is the job's output folder the same one on every host of the pipeline?`,
    { path, segment: index },
  );
}
