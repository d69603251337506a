import { roundBox, roundScore } from '../protocol/result-record.ts';
import { PartialFile } from './partial-file.ts';
import { FILE_BOX_STEPS } from './result-line.ts';
import type { Sink, SinkFailureListener, SinkFigures, WrittenFrame } from './sink.ts';

const COLUMNS = 'source,frame,ptsUs,width,height,by,classId,label,score,x,y,boxWidth,boxHeight,trackId';

export interface CsvSinkOptions {
  readonly id: string;
  readonly path: string;
  readonly onFailure: SinkFailureListener;
  readonly onNotice?: ((text: string) => void) | undefined;
}

/**
 * Writes one line of comma-separated values (RFC 4180) for each detection, below a line with the names of the columns. Frames without
 * detections have no line. Written as `NAME.partial.EXT`, and renamed when it is complete.
 */
export class CsvSink implements Sink {
  readonly id: string;
  readonly #file: PartialFile;
  #closing: Promise<void> | null = null;

  constructor(options: CsvSinkOptions) {
    this.id = options.id;
    // A line that was cut off cannot be told from a whole one, so an incomplete end is always removed.
    const kind = { header: `${COLUMNS}\n`, firstCharacters: 's', isWhole: () => false };
    this.#file = new PartialFile({ ...options, kind, keepsEarlier: false, retries: false });
  }

  publish({ frame, ptsUs, width, height, by, detections }: WrittenFrame, source: string): boolean {
    if (this.#closing !== null) return true;
    const place = `${quoted(source)},${frame},${ptsUs},${width},${height},${by}`;
    const lines = detections.map(({ classId, label, score, box, trackId = '' }) => {
      const values = [quoted(label), roundScore(score), ...roundBox(box, FILE_BOX_STEPS), trackId];
      return `${place},${classId},${values.join(',')}\n`;
    });
    return this.#file.write(lines.join(''), lines.length);
  }

  drained(): Promise<void> {
    return this.#file.drained();
  }

  get figures(): SinkFigures {
    return this.#file.figures;
  }

  close(isComplete = true): Promise<void> {
    this.#closing ??= this.#file.finish(isComplete);
    return this.#closing;
  }
}

function quoted(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
