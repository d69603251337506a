import type { PublishedFrame } from '../../base/core/frame.ts';
import type { SeeingSpan } from '../events/seeing-ledger.ts';
import { type FigureBatch, HEAT_GRID } from './history-records.ts';

/** A longer time between two frames was not seen. */
const MOST_GAP_US = 5_000_000;
const MINUTE_MS = 60_000;
/** Seconds without a frame after which a stream is forgotten. */
const FORGET_S = 600;

interface ZoneTally {
  frames: number;
  inside: number;
  most: number;
  objectMs: number;
  occupiedMs: number;
  arrivals: number;
}

interface StreamTally {
  run: string | undefined;
  minuteS: number;
  lastPtsUs: number | null;
  /** Highest id of a track so far: a tracker gives rising ones. */
  newestTrack: number;
  frames: number;
  seenMs: number;
  readonly counts: Map<string, [line: string, direction: string, label: string, count: number]>;
  readonly zones: Map<string, ZoneTally>;
  heat: Float64Array | null;
}

/** Adds up the results of all streams by minutes of the host's clock. Runs for each frame on the main thread. */
export class FrameTally {
  readonly #streams = new Map<string, StreamTally>();
  #counts: FigureBatch['counts'][number][] = [];
  #occupancy: FigureBatch['occupancy'][number][] = [];
  #seen: FigureBatch['seen'][number][] = [];
  readonly #seeing = new Map<string, [stream: string, minuteS: number, reason: string, ms: number]>();
  #heat: FigureBatch['heat'][number][] = [];

  observe(frame: PublishedFrame, nowMs: number): void {
    const { streamId, run, ptsUs, detections, crossings, zones } = frame;
    const minuteS = Math.floor(nowMs / MINUTE_MS) * 60;
    const tally = this.#tallyOf(streamId, run, minuteS);
    const gapUs = tally.lastPtsUs === null ? 0 : ptsUs - tally.lastPtsUs;
    tally.lastPtsUs = ptsUs;
    const ms = gapUs > 0 && gapUs <= MOST_GAP_US ? gapUs / 1000 : 0;
    tally.frames += 1;
    tally.seenMs += ms;
    for (const { lineId, direction, label } of crossings ?? []) count(tally, lineId, direction, label);
    for (const { id, inside } of zones ?? []) countZone(tally.zones, id, inside, ms);
    const known = tally.newestTrack;
    for (const { label, trackId = 0, box } of detections) {
      if (trackId > known) count(tally, '', '', label);
      if (trackId > tally.newestTrack) tally.newestTrack = trackId;
      if (ms === 0) continue;
      tally.heat ??= new Float64Array(HEAT_GRID.columns * HEAT_GRID.rows);
      const column = cellOf((box[0] + box[2] / 2) / frame.width, HEAT_GRID.columns);
      const cell = cellOf((box[1] + box[3]) / frame.height, HEAT_GRID.rows) * HEAT_GRID.columns + column;
      tally.heat[cell] = tally.heat[cell]! + ms;
    }
  }

  /** Adds times in which a stream was watched, or was not. @param aheadMs - of the host's clock, before theirs. */
  addSeeing(stream: string, spans: readonly SeeingSpan[], aheadMs: number): void {
    for (const { reason, fromMs, toMs } of spans)
      for (let ms = fromMs + aheadMs, next = ms; ms < toMs + aheadMs; ms = next) {
        const minute = Math.floor(ms / MINUTE_MS);
        next = Math.min(toMs + aheadMs, (minute + 1) * MINUTE_MS);
        const key = `${stream} ${minute} ${reason}`;
        const row = this.#seeing.get(key);
        if (row === undefined) this.#seeing.set(key, [stream, minute * 60, reason ?? '', next - ms]);
        else row[3] += next - ms;
      }
  }

  /** Returns what came since the last call, and forgets streams that are gone. */
  take(nowMs: number): Omit<FigureBatch, 'figures' | 'embeddings'> {
    for (const [id, tally] of this.#streams) {
      this.#drain(id, tally);
      if (nowMs / 1000 - tally.minuteS > FORGET_S) this.#streams.delete(id);
    }
    const seeing = [...this.#seeing.values()];
    const batch = { counts: this.#counts, occupancy: this.#occupancy, seen: this.#seen, seeing, heat: this.#heat };
    this.#counts = [];
    this.#occupancy = [];
    this.#seen = [];
    this.#seeing.clear();
    this.#heat = [];
    return batch;
  }

  #tallyOf(streamId: string, run: string | undefined, minuteS: number): StreamTally {
    const known = this.#streams.get(streamId);
    if (known?.run === run && known !== undefined) {
      if (known.minuteS !== minuteS) this.#drain(streamId, known);
      known.minuteS = minuteS;
      return known;
    }
    if (known !== undefined) this.#drain(streamId, known);
    const tally: StreamTally = {
      run,
      minuteS,
      lastPtsUs: null,
      newestTrack: 0,
      frames: 0,
      seenMs: 0,
      counts: new Map(),
      zones: new Map(),
      heat: null,
    };
    this.#streams.set(streamId, tally);
    return tally;
  }

  /** Moves the figures of a stream into rows. */
  #drain(stream: string, tally: StreamTally): void {
    const { minuteS, frames, seenMs, counts, zones, heat } = tally;
    if (frames === 0) return;
    this.#seen.push([stream, minuteS, frames, seenMs]);
    for (const row of counts.values()) this.#counts.push([stream, minuteS, ...row]);
    for (const [id, zone] of zones) {
      const { most, objectMs, occupiedMs, arrivals } = zone;
      if (zone.frames > 0) this.#occupancy.push([stream, minuteS, id, most, objectMs, occupiedMs, arrivals]);
      // The stream has this zone no longer.
      else zones.delete(id);
      Object.assign(zone, { frames: 0, most: 0, objectMs: 0, occupiedMs: 0, arrivals: 0 });
    }
    if (heat !== null) this.#heat.push([stream, Math.floor(minuteS / 3600) * 3600, heat]);
    counts.clear();
    Object.assign(tally, { frames: 0, seenMs: 0, heat: null });
  }
}

function count({ counts }: StreamTally, line: string, direction: string, label: string): void {
  const key = `${line}\n${direction}\n${label}`;
  const known = counts.get(key);
  if (known === undefined) counts.set(key, [line, direction, label, 1]);
  else known[3] += 1;
}

function countZone(zones: StreamTally['zones'], id: string, inside: number, ms: number): void {
  let zone = zones.get(id);
  if (zone === undefined) {
    zone = { frames: 0, inside: 0, most: 0, objectMs: 0, occupiedMs: 0, arrivals: 0 };
    zones.set(id, zone);
  }
  zone.frames += 1;
  zone.arrivals += Math.max(0, inside - zone.inside);
  zone.inside = inside;
  zone.most = Math.max(zone.most, inside);
  zone.objectMs += inside * ms;
  if (inside > 0) zone.occupiedMs += ms;
}

/** Boxes are clipped to the picture, up to the rounding of f32. */
function cellOf(ratio: number, cells: number): number {
  return Math.min(cells - 1, Math.max(0, Math.floor(ratio * cells)));
}
