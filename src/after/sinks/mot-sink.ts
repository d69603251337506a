import { motLine } from '../../network/evaluate/mot-files.ts';
import { LineSink, type LineSinkOptions } from './line-sink.ts';
import { PartialFile } from './partial-file.ts';
import type { WrittenFrame } from './sink.ts';

/** A truncated line may look like a complete one, so an end without a line break is always removed. */
const KIND = { firstCharacters: '123456789', isWhole: () => false };

/**
 * Writes the tracks of a video as a file of results of MOTChallenge: a line for each tracked object in each frame, from frame 1 on. Written as
 * `NAME.partial.EXT`, and renamed when it is complete.
 */
export class MotSink extends LineSink {
  constructor(options: LineSinkOptions & { readonly path: string }) {
    super(options.id, new PartialFile({ ...options, kind: KIND, keepsEarlier: false }));
  }

  protected linesOf({ frame, detections }: WrittenFrame): string[] {
    return detections.flatMap(({ trackId, box, score }) =>
      trackId === undefined ? [] : [motLine({ frame: frame + 1, id: trackId, box, score })],
    );
  }
}
