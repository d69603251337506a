/** What opening a source for a moment has shown. Numbers that the source does not state, or that nothing could show, are null. */
export interface SourceTest {
  /** Address or path, credentials redacted. */
  readonly source: string;
  /** Of the video that would be read, as ffmpeg names it, such as `h264`. */
  readonly codec: string | null;
  /** Display width of the first picture in pixels, after rotation and aspect ratio. */
  readonly width: number;
  /** Display height of the first picture in pixels. */
  readonly height: number;
  /** Frames per second as the source states them. */
  readonly statedFps: number | null;
  /** Frames per second by the time stamps of the frames that were read. */
  readonly measuredFps: number | null;
  /** Milliseconds from the start of the connection to the first frame, the start of ffmpeg included. */
  readonly firstFrameMs: number;
  /** Length in milliseconds, as the source states it. */
  readonly durationMs: number | null;
  /** Frames that were read. */
  readonly frames: number;
  /** Milliseconds for which frames were read. */
  readonly readMs: number;
  /** Codecs of audio tracks, which are ignored. */
  readonly ignoredAudio: readonly string[];
  /** What is wrong with the time stamps; empty if they can be relied on. */
  readonly timeProblems: readonly string[];
}
