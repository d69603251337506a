import type { BlindSign, StreamSign } from '../../core/blind-sign.ts';
import type { SlotRing } from '../../flow/slot-ring.ts';
import type { StreamReport } from '../../protocol/report.ts';
import type { StreamPort } from './stream-port.ts';

/** What the pictures of a blind camera are, and what to look at. */
const TEXTS: Readonly<Record<BlindSign, string>> = {
  frozen: 'its picture is frozen: the camera sends the same one again and again; restart the camera',
  black: 'its picture is black: look for a covered lens or missing light',
  blurred: 'its picture is blurred: look at focus and lens',
  moved: 'it shows another scene: look where the camera points; pause and resume the stream if that is intended',
};

/** What one stream's lane says about the pictures of its camera: when the last one came, and the sign that the camera is blind. */
export class CameraSight {
  readonly #id: string;
  readonly #port: Pick<StreamPort, 'event' | 'onSign'>;
  #now: StreamSign | null = null;
  /** When the last frame of the rings before was decoded. */
  #lastFrameMs: number | null = null;

  constructor(id: string, port: Pick<StreamPort, 'event' | 'onSign'>) {
    this.#id = id;
    this.#port = port;
  }

  /** @param slots - of the ring that its lane fills; null if there is none. */
  report(slots: SlotRing | null, nowMs: number): Required<Pick<StreamReport, 'sign' | 'lastFrameAgeMs'>> {
    const sign = this.#now?.sign == null ? null : { name: this.#now.sign, sinceMs: this.#now.sinceMs };
    const earlier = this.#lastFrameMs === null ? null : nowMs - this.#lastFrameMs;
    return { sign, lastFrameAgeMs: slots?.decodedAgeMs(nowMs) ?? earlier };
  }

  onSign({ sign, isDark, sinceMs, ptsUs }: Omit<StreamSign, 'stream'>): void {
    const before = this.#now?.sign ?? null;
    if (sign === before && isDark === (this.#now?.isDark ?? false)) return;
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

  /** The ring is not filled any more, so nothing is known. The stream's state says that, so there is no event. */
  end(slots: SlotRing, nowMs: number): void {
    const ageMs = slots.decodedAgeMs(nowMs);
    if (ageMs !== null) this.#lastFrameMs = nowMs - ageMs;
    if (this.#now === null || (this.#now.sign === null && !this.#now.isDark)) return;
    this.#set({ ...this.#now, sign: null, isDark: false, sinceMs: Date.now() });
  }

  #set(sign: StreamSign): void {
    this.#now = sign;
    this.#port.onSign(sign);
  }
}
