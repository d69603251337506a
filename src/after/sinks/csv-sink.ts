import { roundBox, roundScore } from '../../wire/protocol/result-record.ts';
import { LineSink, type LineSinkOptions } from './line-sink.ts';
import { PartialFile } from './partial-file.ts';
import { FILE_BOX_STEPS } from './result-line.ts';
import type { WrittenFrame } from './sink.ts';

const COLUMNS = 'source,frame,ptsUs,width,height,by,classId,label,score,x,y,boxWidth,boxHeight,trackId';

/**
 * Writes one line of comma-separated values (RFC 4180) for each detection, below a line with the names of the columns. Frames without
 * detections have no line. Written as `NAME.partial.EXT`, and renamed when it is complete.
 */
export class CsvSink extends LineSink {
  readonly #attributes: readonly string[];

  /** @param options - `attributes` of second stages get a column with their label each. */
  constructor(options: LineSinkOptions & { readonly path: string; readonly attributes?: readonly string[] }) {
    const { attributes = [] } = options;
    // A truncated line may look like a complete one, so an end without a line break is always removed.
    const kind = {
      header: `${[COLUMNS, ...attributes.map((name) => csvField(`attributes.${name}`))].join(',')}\n`,
      firstCharacters: 's',
      isWhole: () => false,
    };
    super(options.id, new PartialFile({ ...options, kind, keepsEarlier: false }));
    this.#attributes = attributes;
  }

  protected linesOf({ frame, ptsUs, width, height, by, detections }: WrittenFrame, source: string): string[] {
    const place = `${csvField(source)},${frame},${ptsUs},${width},${height},${by}`;
    return detections.map(({ classId, label, score, box, trackId = '', attributes = {} }) => {
      const values = [csvField(label), roundScore(score), ...roundBox(box, FILE_BOX_STEPS), trackId];
      values.push(...this.#attributes.map((name) => csvField(attributes[name]?.label ?? '')));
      return `${place},${classId},${values.join(',')}\n`;
    });
  }
}

/** Quotes a text if it has to be, as RFC 4180 says. */
export function csvField(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
