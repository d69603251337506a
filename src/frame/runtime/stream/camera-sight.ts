import type { BlindSign, LaneSign, StreamSign } from '../../../base/core/blind-sign.ts';
import type { SlotRing } from '../../../base/flow/slot-ring.ts';
import type { StreamReport } from '../../../wire/protocol/report.ts';
import type { StreamPort } from './stream-port.ts';

/** What the pictures of a blind camera are, and what to look at. */
const TEXTS: Readonly<Record<BlindSign, string>> = {
  frozen: 'its picture is frozen: the camera sends the same one again and again; restart the camera',
  black: 'its picture is black: look for a covered lens or missing light',
  covered: 'its picture has lost its contrast at once: look for paint, a bag or a hand on the lens',
  blurred: 'its picture is blurred: look at focus and lens',
  moved: 'it shows another scene: look where the camera points; pause and resume the stream if that is intended',
};

/** Nobody knows if it is still dark after a longer time without pictures. */
const MOST_DARK_MS = 60_000;

/** What one stream's lane says about the pictures of its camera: when the last one came, how late they are, and the sign that the camera is blind. */
export class CameraSight {
  readonly #id: string;
  readonly #port: Pick<StreamPort, 'event' | 'onSign'>;
  #now: StreamSign | null = null;
  #lateMs: number | null = null;
  #canTellFrozen: boolean | null = null;
  /** When the last ring ended. */
  #endedMs = 0;
  /** When the last frame of the rings before was decoded. */
  #lastFrameMs: number | null = null;

  constructor(id: string, port: Pick<StreamPort, 'event' | 'onSign'>) {
    this.#id = id;
    this.#port = port;
  }

  /** How much later its pictures come than they did at best, in milliseconds; null: they are not late. */
  get lateMs(): number | null {
    return this.#lateMs;
  }

  /** @param slots - of the ring that its lane fills; null if there is none. */
  report(
    slots: SlotRing | null,
    nowMs: number,
  ): Required<Pick<StreamReport, 'sign' | 'canTellFrozen' | 'lateMs' | 'lastFrameAgeMs'>> {
    const sign = this.#now?.sign == null ? null : { name: this.#now.sign, sinceMs: this.#now.sinceMs };
    const earlier = this.#lastFrameMs === null ? null : nowMs - this.#lastFrameMs;
    return {
      sign,
      canTellFrozen: this.#canTellFrozen,
      lateMs: this.#lateMs,
      lastFrameAgeMs: slots?.decodedAgeMs(nowMs) ?? earlier,
    };
  }

  onSign({ sign, isDark: nowDark, sinceMs, ptsUs, canTellFrozen }: LaneSign): void {
    this.#canTellFrozen = canTellFrozen;
    const before = this.#now?.sign ?? null;
    const wasDark = this.#now?.isDark ?? false;
    const isDark = nowDark ?? wasDark;
    if (sign === before && isDark === wasDark) return;
    this.#set({ stream: this.#id, sign, isDark, sinceMs, ptsUs });
    if (sign === before) return;
    const message = sign === null ? `${this.#id} sees again: it was ${before}` : `${this.#id} is blind: ${TEXTS[sign]}`;
    this.#port.event(sign === null ? 'stream-seeing' : 'stream-blind', this.#id, message, {
      sign,
      before,
      sinceMs,
      ptsUs,
    });
  }

  /** @param lateMs - how much later its pictures come than they did at best; null: they are not late. */
  onLate(lateMs: number | null): void {
    const before = this.#lateMs;
    this.#lateMs = lateMs;
    if ((before === null) === (lateMs === null)) return;
    const message =
      lateMs === null
        ? `the pictures of ${this.#id} are not late any more`
        : `the pictures of ${this.#id} are ${Math.round(lateMs / 1000)} s late: a server or the network keeps them back`;
    this.#port.event(lateMs === null ? 'stream-in-time' : 'stream-late', this.#id, message, {
      lateMs: lateMs ?? before,
    });
  }

  /** A ring is filled from now on. It is as dark as it was a moment ago: another detector, chosen for the dark, may open the source again. */
  begin(nowMs: number): void {
    if (this.#now?.isDark === true && nowMs - this.#endedMs > MOST_DARK_MS)
      this.#set({ ...this.#now, isDark: false, sinceMs: Date.now() });
  }

  /** The ring is not filled any more, so nothing is known. The stream's state says that, so there is no event. */
  end(slots: SlotRing, nowMs: number): void {
    const ageMs = slots.decodedAgeMs(nowMs);
    if (ageMs !== null) this.#lastFrameMs = nowMs - ageMs;
    this.#endedMs = nowMs;
    this.#lateMs = null;
    this.#canTellFrozen = null;
    if (this.#now?.sign == null) return;
    this.#set({ ...this.#now, sign: null, sinceMs: Date.now() });
  }

  #set(sign: StreamSign): void {
    this.#now = sign;
    this.#port.onSign(sign);
  }
}
