import type { StreamConfig } from '../../../settings/config/stream.ts';
import type { StreamReport } from '../../../wire/protocol/report.ts';
import type { FromLane } from '../../../wire/protocol/threads.ts';

/** What the lanes of one stream say about its decoding, over all connections. */
export class StreamDecoding {
  #errors = 0;
  /** Frames that were not decoded, by choice; null if that is not known. */
  #skipped: number | null = 0;
  #keyGapUs: number | null = null;
  /** Nothing of its source can be left out. */
  hasKeyFramesOnly = false;
  /** Share of the decoded frames that are key frames; null if unknown. */
  keyShare: number | null = null;

  /** Takes any message of a lane; most say nothing about it. */
  onMessage(message: FromLane): void {
    switch (message.type) {
      case 'decode-errors':
        this.#errors += message.count;
        break;
      case 'not-decoded':
        this.#skipped = message.count === null || this.#skipped === null ? null : this.#skipped + message.count;
        break;
      case 'key-gap':
        this.#keyGapUs = message.us;
        this.hasKeyFramesOnly = message.isEachFrame;
        this.keyShare = 1 / message.frames;
        break;
    }
  }

  /** Errors that ffmpeg reported. */
  get errors(): number {
    return this.#errors;
  }

  /** Key frames per second of its source, at least; null if unknown. */
  get keyFps(): number | null {
    return this.#keyGapUs === null ? null : 1e6 / this.#keyGapUs;
  }

  /** Which frames are decoded, if not all. */
  report({ decode: frames }: Pick<StreamConfig, 'decode'>): Pick<StreamReport, 'decode'> {
    return frames === 'all' ? {} : { decode: { frames, skipped: this.#skipped } };
  }
}
