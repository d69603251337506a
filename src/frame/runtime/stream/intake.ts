import { takesCommands } from '../../decode/shed-filters.ts';
import type { StreamTelemetry } from '../../telemetry/stream-telemetry.ts';
import type { FrameRing } from './in-flight-frame.ts';

/** Counts of one stream since its start. */
export interface IntakeCounts {
  /** Frames that entered, those that were shed included. */
  readonly entered: number;
  /** Frames that were dropped before they were scaled. */
  readonly shed: number;
  /** Frames that were scaled, and then dropped because the detector was busy. */
  readonly wasted: number;
  readonly inferred: number;
}

/** What comes in from a live stream, as the load shedder sees it. */
export interface Intake {
  readonly counts: IntakeCounts;
  /** Share of its frames that is not shed, above 0 up to 1; 1 for a new connection. */
  keepRatio: number;
}

/** The settings of a stream that decide whether its frames may be shed. */
interface ShedSettings {
  readonly input: { readonly policy: 'live' | 'file'; readonly source: object | null };
  /** Null if every frame is inferred. */
  readonly skips: object | null;
}

/**
 * Returns whether frames of a stream may be shed. Never those of a file, and not where frames get results that cost the
 * detector nothing.
 */
export function mayShed({ input, skips }: ShedSettings, ffmpegMajor: number): boolean {
  return input.policy === 'live' && input.source !== null && skips === null && takesCommands(ffmpegMajor);
}

/** The intake of one connection of a stream. */
export class StreamIntake implements Intake {
  readonly #ring: FrameRing;
  readonly #telemetry: StreamTelemetry;

  constructor(ring: FrameRing, telemetry: StreamTelemetry) {
    this.#ring = ring;
    this.#telemetry = telemetry;
  }

  get counts(): IntakeCounts {
    return this.#telemetry.intake;
  }

  get keepRatio(): number {
    return this.#ring.keepRatio;
  }

  set keepRatio(keepRatio: number) {
    this.#ring.keepRatio = keepRatio;
  }
}
