import type { SourceInput } from '../../../base/core/source.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';

/** A source that ffmpeg can open, and that opens nothing which its rules forbid. */
export interface OpenedSource {
  /** What to give to ffmpeg. */
  readonly source: SourceInput;
  /**
   * Why something could not be opened, if that is known better than from ffmpeg: a certificate, a network, an address. A refusal
   * stays; another failure is forgotten as soon as something could be opened.
   */
  readonly failure: SightlineError | null;
  /**
   * The camera's wall clock at the capture of a frame, in milliseconds since 1970; null if it is not known. Absent if sources of
   * this kind do not report it.
   *
   * @param ptsUs - media time that ffmpeg gave it.
   */
  wallMs?(ptsUs: number): number | null;
  /** Ends all its connections. Idempotent. */
  close(): void;
}

/** Keeps the failure that explains best why a source gives no pictures. */
export class OpenFailure {
  readonly #label: string;
  #failure: SightlineError | null = null;

  /** @param label - of the source. */
  constructor(label: string) {
    this.#label = label;
  }

  get value(): SightlineError | null {
    return this.#failure;
  }

  set({ code, message }: SightlineError): void {
    if (!isRefusal(this.#failure)) this.#failure = new SightlineError(code, `${this.#label}: ${message}`);
  }

  clear(): void {
    if (!isRefusal(this.#failure)) this.#failure = null;
  }
}

function isRefusal(failure: SightlineError | null): boolean {
  return failure?.code === 'SOURCE_FORBIDDEN' || failure?.code === 'SOURCE_UNTRUSTED';
}
