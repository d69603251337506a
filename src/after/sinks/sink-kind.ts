import type { Writable } from 'node:stream';
import type { z } from 'zod';
import type { OutputLock } from './output-lock.ts';
import type { ConnectReceiver } from './receiver-kind.ts';
import type { Sink, SinkFailureListener } from './sink.ts';

/** What a sink of a pipeline file is opened with. */
export interface SinkContext {
  /** Name of the sink, for messages. */
  readonly id: string;
  /** Class labels of the model. */
  readonly classes: readonly string[];
  readonly stdout: Writable;
  /** Folder for what waits to be delivered, if the sink's settings name none; if absent, it waits in memory. */
  readonly spoolFolder?: string | undefined;
  /** Makes the transport of a sink that sends. */
  readonly connect: ConnectReceiver;
  readonly onFailure: SinkFailureListener;
  readonly onRecovery: (lostResults?: number) => void;
  readonly onNotice: (text: string) => void;
}

export interface OpenedSink {
  readonly sink: Sink;
  /** Of a folder that the sink alone uses; released when it is closed. */
  readonly lock?: OutputLock | null;
}

/**
 * A kind of sink that a pipeline file can name. Its file exports one, and `sink-kinds.ts` lists it: its settings, their documentation,
 * checks and types, and how it is opened.
 */
export interface SinkKind<S extends z.ZodObject = z.ZodObject> {
  /**
   * `type` is a literal with the name of the kind. With a setting `streams` it gets only results of these, with `filter` only what that
   * leaves. Settings that may hold `${env:NAME}` are marked with `mayHoldPlaceholders`.
   */
  readonly settings: S;
  /** The file that a sink with these settings alone writes; null if there is none, `-` for standard output. */
  file(settings: z.output<S>): string | null;
  /** Where its results go, for people. Absent if that is the file. */
  target?(settings: z.output<S>): string;
  /** Whether it sends new events of all streams and nothing else, so that it can tell alerts. Absent: no settings make it do that. */
  tellsAlerts?(settings: z.output<S>): boolean;
  /** Returns why these settings cannot work here, as `KEY: expected ...`; null if they can. */
  problem?(settings: z.output<S>): string | null;
  /**
   * Null if it draws on full pictures: such a sink is opened for a stream, once the size of its pictures is known.
   *
   * @throws SINK_BUSY if another process uses what it needs. Other failures are reported later, as by every `Sink`.
   */
  readonly open: ((settings: z.output<S>, context: SinkContext) => OpenedSink | Promise<OpenedSink>) | null;
}

/** Checks a kind against its settings. */
export function sinkKind<S extends z.ZodObject>(kind: SinkKind<S>): SinkKind<S> {
  return kind;
}
