import type { Attributes, Context, HrTime, Span, SpanContext, Tracer } from '@opentelemetry/api';
import { DROP_REASONS, type DropReason, type FrameTimes } from '../../../base/core/frame.ts';
import type { MonoMs } from '../../../base/core/units.ts';
import type { TraceIds, TraceParent } from '../../../base/flow/trace-context.ts';
import { LATENCY_STAGES, STAGE_BOUNDS } from '../../../wire/protocol/latency.ts';
import type { FrameTracer, TracedBatch, TracedFrame } from '../frame-tracer.ts';

/** Most frames that are traced in a second: 3,000 spans cost 3 % of the main thread. A share of what exceeds it would be no trace of any. */
const MOST_A_SECOND = 500;
/** A frame, and its stages. */
const SPANS_A_FRAME = 1 + LATENCY_STAGES.length;

/** What spans need of the library, which is loaded only when tracing is set. */
export interface SpanMaker {
  readonly tracer: Tracer;
  readonly root: Context;
  /** OpenTelemetry's number for a span that did not succeed. */
  readonly errorCode: number;
  /** Returns the context of a parent; null if its text is none. */
  parentOf(parent: TraceParent): Context | null;
  within(span: SpanContext): Context;
  isFull(): boolean;
  lose(spans: number): void;
}

/** Makes spans of sampled frames, and of each that is late or dropped: one for the frame, one for each stage, one for its batch. */
export class SpanFrames implements FrameTracer {
  readonly #make: SpanMaker;
  readonly #sampleRatio: number;
  readonly #random: () => number;
  readonly #wallNowMs: () => number;
  readonly #now: () => MonoMs;
  /** Wall clock minus monotonic clock, read once for each frame, so that its stages add up. */
  #offsetMs = 0;
  readonly #batches = new WeakMap<TracedBatch, SpanContext>();
  #secondMs = 0;
  #inSecond = 0;

  constructor(
    make: SpanMaker,
    sampleRatio: number,
    clocks: { readonly now: () => MonoMs; readonly wallNowMs: () => number; readonly random: () => number },
  ) {
    this.#make = make;
    this.#sampleRatio = sampleRatio;
    this.#now = clocks.now;
    this.#wallNowMs = clocks.wallNowMs;
    this.#random = clocks.random;
  }

  published(
    frame: TracedFrame,
    times: Readonly<FrameTimes>,
    targetMs: number | undefined,
    parent: TraceParent | undefined,
  ): TraceIds | null {
    const isLate = targetMs !== undefined && times.published - times.captured > targetMs;
    const context = this.#contextOf(parent);
    if (!isLate && !(context?.isSampled ?? this.#random() < this.#sampleRatio)) return null;
    const span = this.#frame(frame, times, { 'sightline.by': frame.by, 'sightline.late': isLate }, context?.parent);
    return span === null ? null : idsOf(span);
  }

  dropped(frame: TracedFrame, reason: DropReason, nowMs: MonoMs, parent: TraceParent | undefined): void {
    const { captured, decoded, preprocessed } = frame.meta;
    const times = {
      captured,
      decoded,
      preprocessed,
      published: nowMs,
      ...(frame.batchedMs > 0 ? { batched: frame.batchedMs } : {}),
      ...(frame.inferredMs > 0 ? { inferred: frame.inferredMs } : {}),
    };
    this.#frame(frame, times, {}, this.#contextOf(parent)?.parent, reason);
  }

  lost(streamId: string, count: number, reason: DropReason, nowMs: MonoMs): void {
    if (!this.#mayTrace(1)) return;
    const at = this.#wall(nowMs);
    const attributes = { 'sightline.stream': streamId, 'sightline.frames': count, 'sightline.drop_reason': reason };
    const span = this.#make.tracer.startSpan('frame', { startTime: at, attributes }, this.#make.root);
    this.#fail(span, reason);
    span.end(at);
  }

  /** Makes the span of a frame and those of the stages that it reached: each begins where the one before ends. */
  #frame(
    frame: TracedFrame,
    times: Readonly<Partial<FrameTimes>> & Pick<FrameTimes, 'captured' | 'published'>,
    attributes: Attributes,
    parent: Context | undefined,
    reason?: DropReason,
  ): Span | null {
    if (!this.#mayTrace(SPANS_A_FRAME)) return null;
    const { tracer, root } = this.#make;
    const { streamId, meta, batch } = frame;
    const about = {
      'sightline.stream': streamId,
      'sightline.frame': meta.frame,
      'sightline.pts_us': meta.ptsUs,
      ...attributes,
      ...(reason === undefined ? {} : { 'sightline.drop_reason': reason }),
    };
    const startTime = this.#wall(times.captured);
    const endTime = this.#wall(times.published);
    const links = batch === null || frame.by !== 'inferred' ? [] : [{ context: this.#batch(batch, times.published) }];
    const span = tracer.startSpan('frame', { startTime, attributes: about, links }, parent ?? root);
    const within = this.#make.within(span.spanContext());
    for (const stage of LATENCY_STAGES) {
      const [from, to] = STAGE_BOUNDS[stage];
      if (times[from] === undefined) break;
      // A dropped frame ends in the stage that it was in.
      const [begin, end] = [this.#wall(times[from]), this.#wall(times[to] ?? times.published)];
      tracer.startSpan(stage, { startTime: begin, links: stage === 'infer' ? links : [] }, within).end(end);
    }
    if (reason !== undefined) this.#fail(span, reason);
    span.end(endTime);
    return span;
  }

  /** Makes the span of a batch with its first frame that is traced. */
  #batch(batch: TracedBatch, nowMs: MonoMs): SpanContext {
    const known = this.#batches.get(batch);
    if (known !== undefined) return known;
    const { ran, frames, inputs, model, closedMs } = batch;
    const attributes = {
      'sightline.model': model,
      'sightline.frames': frames.length,
      'sightline.inputs': inputs,
      ...(ran === null
        ? {}
        : { 'sightline.wait_ms': ran.beganMs - closedMs, 'sightline.postprocess_ms': ran.postprocessMs }),
    };
    const span = this.#make.tracer.startSpan('batch', { startTime: this.#wall(closedMs), attributes }, this.#make.root);
    span.end(this.#wall(ran?.endedMs ?? nowMs));
    this.#batches.set(batch, span.spanContext());
    return span.spanContext();
  }

  #fail(span: Span, reason: DropReason): void {
    span.setStatus({ code: this.#make.errorCode, message: DROP_REASONS[reason] });
  }

  #contextOf(parent: TraceParent | undefined): { readonly parent: Context; readonly isSampled: boolean } | null {
    if (parent === undefined) return null;
    const context = this.#make.parentOf(parent);
    return context === null
      ? null
      : { parent: context, isSampled: (Number.parseInt(parent.traceparent.slice(-2), 16) & 1) === 1 };
  }

  /** A host whose frames are all late must not spend its time on spans; what a collector cannot take is not even made. */
  #mayTrace(spans: number): boolean {
    const now = this.#now();
    this.#offsetMs = this.#wallNowMs() - now;
    const second = Math.floor(now / 1000);
    if (second !== this.#secondMs) [this.#secondMs, this.#inSecond] = [second, 0];
    this.#inSecond += 1;
    if (this.#inSecond <= MOST_A_SECOND && !this.#make.isFull()) return true;
    this.#make.lose(spans);
    return false;
  }

  /** Turns monotonic time into wall-clock time, in whole microseconds. */
  #wall(monoMs: number): HrTime {
    const us = Math.round((this.#offsetMs + monoMs) * 1000);
    return [Math.floor(us / 1e6), (us % 1e6) * 1000];
  }
}

function idsOf(span: Span): TraceIds {
  const { traceId, spanId } = span.spanContext();
  return { trace_id: traceId, span_id: spanId };
}
