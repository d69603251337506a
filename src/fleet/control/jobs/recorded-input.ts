import {
  groupsOf,
  iso,
  type PlacedFile,
  type RecordedPart,
  recordedPart,
  spanTime,
  videoOf,
  wallClock,
} from '../../../after/recording/recorded-span.ts';
import { serveVideo } from '../../../after/recording/serve-video.ts';
import { MOST_BYTES, readGivenText } from '../../../base/disk/given-file.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import type { SegmentSpan } from '../../../wire/protocol/fleet.ts';
import type { JobTools } from './job-tools.ts';

/** How the name of a file ends that lists the recordings of a span; `submit --recorded` writes it. */
export const RECORDED_ENDING = '.recorded.json';

/** An input of a job that is a recorded span: a list of stored files, which are read as one video. */
export class RecordedInput {
  readonly #part: RecordedPart;

  private constructor(part: RecordedPart) {
    this.#part = part;
  }

  /** @returns null if the input is a video. @throws SOURCE_UNREADABLE if it is no such list. */
  static async open(path: string): Promise<RecordedInput | null> {
    if (!path.endsWith(RECORDED_ENDING)) return null;
    const text = await readGivenText(path, { code: 'SOURCE_UNREADABLE', mostBytes: MOST_BYTES.settings });
    try {
      return new RecordedInput(recordedPart.parse(JSON.parse(text)));
    } catch {
      const expected = 'expected a list of recordings as `submit --recorded` writes it';
      throw new SightlineError('SOURCE_UNREADABLE', `${path}: ${expected}`, { path });
    }
  }

  /** The one that was recorded. */
  get stream(): string {
    return this.#part.stream;
  }

  /** Wall clock of its frames, whose times rise; milliseconds since 1970. */
  clock(): (ptsUs: number) => number {
    return wallClock(this.#part.files);
  }

  /** Cuts it between stored files, where decoding begins cleanly. @param segmentSeconds - 0 leaves it whole. */
  segments(segmentSeconds: number): SegmentSpan[] {
    const groups = groupsOf(this.#part.files, segmentSeconds === 0 ? Number.POSITIVE_INFINITY : segmentSeconds * 1e6);
    let firstFrame = 0;
    return groups.map((group, index) => {
      const frames = group.reduce((sum, file) => sum + file.frames, 0);
      firstFrame += frames;
      return {
        index,
        fromUs: index === 0 ? null : group[0]!.fromUs,
        toUs: groups[index + 1]?.[0]?.fromUs ?? null,
        firstFrame: firstFrame - frames,
        frames,
      };
    });
  }

  /**
   * Lends a segment as a video.
   *
   * @param use - gets its address, and what makes the media time of the span of that of the video.
   * @throws SOURCE_FORBIDDEN, SOURCE_NOT_FOUND
   */
  async lend<T>(
    { fromUs, toUs }: SegmentSpan,
    { admission, onNotice }: Pick<JobTools, 'admission' | 'onNotice'>,
    use: (url: string, ptsOf: (ptsUs: number) => number) => Promise<T>,
  ): Promise<T> {
    const { files, stream } = this.#part;
    const isInside = (file: PlacedFile): boolean =>
      file.fromUs >= (fromUs ?? Number.NEGATIVE_INFINITY) && file.fromUs < (toUs ?? Number.POSITIVE_INFINITY);
    const admitted = files.filter(isInside).map(async (file) => ({
      ...file,
      path: await admission.file(file.path),
    }));
    const chosen = await Promise.all(admitted);
    const video = () =>
      videoOf(chosen, ({ fromMs, reason }) => onNotice(`the recording of ${stream} at ${iso(fromMs)} is ${reason}`));
    return await serveVideo(stream, video, (url) => use(url, spanTime(this.#part, chosen[0]!)));
  }
}
