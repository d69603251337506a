import type { Writable } from 'node:stream';
import { z } from 'zod';
import { compressionOf, compressionProblem } from '../../base/disk/compression.ts';
import { cloudEvent } from '../../wire/protocol/rule-event.ts';
import { headerBytesOf, JSON_LINES, LineFile, type LineKind } from './line-file.ts';
import { LineLog } from './line-log.ts';
import { type LineOutput, LineSink, type LineSinkOptions } from './line-sink.ts';
import { chunkOf } from './line-writer.ts';
import { isDevice, keepNumbered, resolveOutput } from './output-names.ts';
import { cutText, PartialFile } from './partial-file.ts';
import { inputLine, resultLine } from './result-line.ts';
import type { RotationPlan } from './rotation.ts';
import type { Sink, WrittenFrame } from './sink.ts';
import { sinkKind } from './sink-kind.ts';
import { filter, rotate, rotationOf, type Sent, send, streams, sync } from './sink-settings.ts';
import { StreamTarget } from './stream-target.ts';

export const jsonl = sinkKind({
  settings: z.strictObject({
    type: z.literal('jsonl').describe('One JSON line for each frame or event.'),
    path: z
      .string()
      .min(1)
      .describe(
        'File to append to, one JSON line for each frame or event; "-" for standard output. If it ends in .gz or .zst it is compressed, and each start begins a new file.',
      ),
    send: send('results'),
    streams,
    filter,
    sync,
    rotate,
  }),
  file: ({ path }) => path,
  problem: ({ path }) => {
    const problem = compressionProblem(path);
    return problem === null ? null : `path: ${problem}`;
  },
  open: ({ path, send: sent, sync, rotate }, context) => ({
    sink: new JsonlSink({ ...context, path, send: sent, append: true, sync, rotation: rotationOf(rotate) }),
  }),
});

export interface JsonlSinkOptions extends LineSinkOptions {
  /** File to write, compressed if its extension is `.gz` or `.zst`; `-` writes to `stdout`. */
  readonly path: string;
  /**
   * Appends to an existing file, and retries after a failure such as a full disk. Otherwise the file is written as
   * `NAME.partial.EXT` and replaces an earlier one when it is complete.
   */
  readonly append?: boolean | undefined;
  /** Default results. An event is a line with a CloudEvent. */
  readonly send?: readonly Sent[];
  /** Writes lines as `inputLine` does. Default false. */
  readonly namesInputs?: boolean | undefined;
  /** Required if `path` is `-`. The sink does not end it. */
  readonly stdout?: Writable | undefined;
  /** Only with `append`: full files are kept as `NAME.N.EXT`. */
  readonly rotation?: Pick<RotationPlan, 'maxBytes' | 'periodMs' | 'wallNowMs'> | undefined;
}

function jsonLines(path: string): LineKind {
  return { ...JSON_LINES, compression: compressionOf(path) };
}

/** Writes one line of JSON per frame or event, at most 100 ms after the frame; 1 s after it if the file is compressed. */
export class JsonlSink extends LineSink {
  /** Absent if it writes no events. */
  readonly publishEvent?: NonNullable<Sink['publishEvent']>;
  readonly #lineOf: typeof resultLine;
  readonly #sendsResults: boolean;

  /**
   * Opens the file. If that fails, `onFailure` is called and `close` rejects.
   *
   * @throws TypeError when `path` is `-` and no `stdout` is given.
   */
  constructor(options: JsonlSinkOptions) {
    super(options.id, openOutput(options));
    const { send: sent = ['results'], namesInputs = false } = options;
    this.#lineOf = namesInputs ? inputLine : resultLine;
    this.#sendsResults = sent.includes('results');
    if (sent.includes('events'))
      this.publishEvent = (event, _, onKept) => this.append(JSON.stringify(cloudEvent(event)), onKept);
  }

  protected linesOf(frame: WrittenFrame, source: string): string[] {
    return this.#sendsResults ? [`${this.#lineOf(frame, source)}\n`] : [];
  }
}

function openOutput(options: JsonlSinkOptions): LineOutput {
  const { id, path, stdout, onFailure, clock, rotation } = options;
  const kind = jsonLines(path);
  if (path === '-') {
    if (stdout === undefined) throw new TypeError(`sink ${id}: path "-" needs a stdout stream`);
    const open = async (): Promise<StreamTarget> => new StreamTarget(path, stdout);
    return new LineLog({ id, path, onFailure, clock, retries: 'never', open });
  }
  if (options.append !== true) return new PartialFile({ ...options, kind, keepsEarlier: false });
  const keep = (full: string): Promise<string> => keepNumbered(full, options.files);
  const plan =
    rotation === undefined
      ? undefined
      : { ...rotation, emptyBytes: headerBytesOf(kind), isCompressed: kind.compression != null, keep };
  const open = (): Promise<LineFile> => openToContinue(options, kind);
  return new LineLog({ ...options, rotation: plan, retries: 'unless-wrong-path', chunk: chunkOf(kind), open });
}

async function openToContinue({ id, path, files, onNotice }: JsonlSinkOptions, kind: LineKind): Promise<LineFile> {
  // Rotation renames the file, not the link to it.
  const file = await LineFile.open((await isDevice(path)) ? path : await resolveOutput(path), kind, files);
  if (file.cutBytes > 0) onNotice?.(`sink ${id}: ${path} is continued${cutText(file)}`);
  return file;
}
