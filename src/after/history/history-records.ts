/** What the main thread and the thread of the history send each other. */
import type { KeptPicture, PictureMoment } from '../../wire/protocol/event-picture.ts';
import type { EventMessage } from '../../wire/protocol/feed.ts';
import type {
  CountRow,
  HeatReply,
  HistoryReply,
  KeptObject,
  OccupancyRow,
  SeenRow,
  SimilarReply,
} from '../../wire/protocol/rest.ts';
import type { EventPhase, RuleEvent } from '../../wire/protocol/rule-event.ts';

/** Grid of a heat map over the picture. */
export const HEAT_GRID = { columns: 32, rows: 18 } as const;

/** Seconds of a step of the figures of the newest hour; older ones have a minute. */
export const FIGURE_STEP_S = 10;

/** Figures of a stream over one step; null where nothing was published. */
export interface FigureRow {
  readonly stream: string;
  /** End of the step, seconds since 1970. */
  readonly endS: number;
  readonly fpsIn: number | null;
  readonly fpsPublished: number | null;
  readonly p50: number | null;
  readonly p95: number | null;
  readonly p99: number | null;
}

/** What a second stage made of an object: a row of `embeddings`, see docs/history.md. Times in `Ms` are since 1970. */
export interface EmbeddingRow extends KeptObject {
  /** Of unit length. */
  readonly vector: Float32Array;
}

/** Rows to add to the tables of the same names, in the order of their columns; see docs/history.md. */
export interface FigureBatch {
  readonly counts: readonly (readonly [
    stream: string,
    minuteS: number,
    line: string,
    direction: string,
    label: string,
    count: number,
  ])[];
  readonly occupancy: readonly (readonly [
    stream: string,
    minuteS: number,
    zone: string,
    most: number,
    objectMs: number,
    occupiedMs: number,
    arrivals: number,
  ])[];
  readonly seen: readonly (readonly [stream: string, minuteS: number, frames: number, seenMs: number])[];
  /** Time in which it was watched, with an empty reason, and in which it was not. */
  readonly seeing: readonly (readonly [stream: string, minuteS: number, reason: string, ms: number])[];
  /** Milliseconds that objects stood in each cell of `HEAT_GRID`, row by row. */
  readonly heat: readonly (readonly [stream: string, hourS: number, cells: Float64Array])[];
  readonly figures: readonly FigureRow[];
  readonly embeddings: readonly EmbeddingRow[];
}

/** Something to write. Only `records` have to be on the disk before it is answered. */
export type HistoryWrite =
  | { readonly type: 'records'; readonly events: readonly RuleEvent[]; readonly timeMs: number }
  | { readonly type: 'event'; readonly event: EventMessage }
  | {
      readonly type: 'delivered';
      readonly records: readonly (readonly [id: string, seq: number])[];
      /** To keep with them, by key: what limits depend on, and which sinks have a record that others lack; null to forget it. */
      readonly kept: readonly (readonly [key: string, value: object | null])[];
      readonly timeMs: number;
    }
  | { readonly type: 'picture'; readonly event: string; readonly picture: KeptPicture }
  | { readonly type: 'figures'; readonly batch: FigureBatch };

/** What to look for among the events; every condition that is given must hold. */
export interface EventQuery {
  readonly stream?: string | undefined;
  /** Only of these; absent: of all, and those of the host. */
  readonly streams?: readonly string[] | undefined;
  readonly kinds?: readonly string[] | undefined;
  /** Part of the message, the stream, the host or the kind, in any case of letters. */
  readonly text?: string | undefined;
  /** Wall clock, milliseconds since 1970; the end is excluded. */
  readonly fromMs?: number | undefined;
  readonly toMs?: number | undefined;
  readonly rules?: readonly string[] | undefined;
  readonly label?: string | undefined;
  /** A zone or a line. */
  readonly zone?: string | undefined;
  /** last: the newest record of each event, in the order in which they were raised; open: the same of events without an end. */
  readonly phase?: EventPhase | 'last' | 'open' | undefined;
  /** Id of the event of a rule. */
  readonly event?: string | undefined;
  /** Where an earlier page ended. */
  readonly cursor?: EventCursor | undefined;
  readonly limit: number;
}

/** The place of an event in the order of time. */
export type EventCursor = readonly [timeMs: number, id: number];

export interface EventPage {
  /** Newest first. */
  readonly events: readonly EventMessage[];
  /** Where the next page begins; null if this is the last one. */
  readonly next: EventCursor | null;
}

/** A time that figures are asked for, in steps. */
export interface SpanQuery {
  readonly fromS: number;
  readonly toS: number;
  /** Length of a step: 60, 3,600 or 86,400. */
  readonly stepS: number;
  /** Seconds by which steps begin before those of UTC. */
  readonly offsetS: number;
  readonly stream?: string | undefined;
  /** Only these; absent: all. */
  readonly streams?: readonly string[] | undefined;
}

/** What is looked for among the embeddings: objects like that of an event, or like a track of a stream. */
export interface SimilarQuery {
  readonly event?: string | undefined;
  readonly stream?: string | undefined;
  readonly trackId?: number | undefined;
  /** Absent: the newest that has the track. */
  readonly run?: string | undefined;
  /** Absent: the first by name. */
  readonly attribute?: string | undefined;
  /** Seen in this time, milliseconds since 1970; the end is excluded. */
  readonly fromMs?: number | undefined;
  readonly toMs?: number | undefined;
  readonly label?: string | undefined;
  readonly streams?: readonly string[] | undefined;
  /** Nothing of other streams is shown, nor compared; absent: all. */
  readonly visible?: readonly string[] | undefined;
  readonly limit: number;
  /** Least similarity. */
  readonly min: number;
}

/** Rows of whole steps, oldest first. */
export interface StepPage<Row> {
  readonly rows: Row[];
  /** The step that the next page begins with; null if this is the last one. */
  readonly nextS: number | null;
}

/** The questions that the thread answers. */
export interface HistoryCalls {
  /** Whether it is on the disk. */
  write(write: HistoryWrite): boolean;
  unfinished(): {
    readonly undelivered: RuleEvent[];
    readonly open: RuleEvent[];
    readonly kept: ReadonlyMap<string, unknown>;
  };
  page(query: EventQuery): EventPage;
  /** The newest events, newest last. Without `kinds`, no kind takes more than a quarter while there are others. */
  newest(query: EventQuery): EventMessage[];
  counts(
    query: SpanQuery & { readonly line?: string | undefined; readonly label?: string | undefined },
  ): StepPage<CountRow>;
  seen(query: SpanQuery): StepPage<SeenRow>;
  occupancy(query: SpanQuery & { readonly zone?: string | undefined }): StepPage<OccupancyRow>;
  heat(query: Pick<SpanQuery, 'fromS' | 'toS'> & { readonly stream: string }): HeatReply;
  similar(query: SimilarQuery): SimilarReply;
  /** A picture of an event; null if none is kept. */
  picture(query: { readonly event: string; readonly moment: PictureMoment }): KeptPicture | null;
  figures(query: Pick<SpanQuery, 'fromS' | 'stepS'> & { readonly stream: string }): HistoryReply;
  close(): null;
}

export interface HistoryRequest<K extends keyof HistoryCalls = keyof HistoryCalls> {
  readonly id: number;
  readonly method: K;
  readonly argument: Parameters<HistoryCalls[K]>[0];
}

/** Of the thread of the history. */
export type FromHistory =
  | { readonly type: 'answer'; readonly id: number; readonly value: unknown }
  /** The answer to writes. */
  | { readonly type: 'written'; readonly ids: readonly number[]; readonly value: boolean }
  | { readonly type: 'refusal'; readonly id: number; readonly message: string }
  | { readonly type: 'notice'; readonly text: string }
  /** Why the disk takes nothing, and what waits; null: it takes all. */
  | { readonly type: 'problem'; readonly problem: string | null }
  /** Another file goes on in place of one that was damaged, removed or replaced. */
  | { readonly type: 'renewed'; readonly text: string }
  /** Rows of figures, and events, that could not be kept, since the start. */
  | { readonly type: 'lost'; readonly count: number };

export interface HistoryThreadData {
  /** Null: in memory only. */
  readonly path: string | null;
  readonly maxBytes: number;
  readonly days: number;
  /** How long embeddings are kept; absent or 0: not at all. */
  readonly embeddingsMs?: number | undefined;
}
