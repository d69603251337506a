/** Earlier versions accept the command that changes `enable`, and ignore it (4.1 and 4.2 were tried). */
const FIRST_MAJOR = 5;

/** Returns whether a running ffmpeg can be commanded to take other frames, and to drop some before scaling. */
export function takesCommands(ffmpegMajor: number): boolean {
  return ffmpegMajor >= FIRST_MAJOR;
}

/** Type and name of the filter that commands address. */
const FILTER = 'metadata@gate';

/**
 * Returns the filters that drop frames once `shedCommand` says so, and print a line for each. They mark each frame with 0, the frames to be
 * shed with 1, and select those with 0. A drop filter with an `enable` expression would be shorter, but ffmpeg evaluates such an
 * expression twice a frame, so it could not print one line for each frame. While no frame is shed, the filters cost
 * less than can be measured (below 1 % of decoding and scaling 960x540).
 *
 * @param tag - secret name of the frame headers. It also names the mark, since frames carry texts of the media.
 */
export function shedFilters(tag: string): string[] {
  return [
    `metadata=add:${tag}:0`,
    `${FILTER}=modify:${tag}:1:enable=0`,
    `metadata@${shedName(tag)}=print:${tag}:1`,
    `metadata=select:${tag}:0`,
  ];
}

/** Name of the filter that prints the frames that are shed. */
export function shedName(tag: string): string {
  return `shed${tag}`;
}

/**
 * Returns the line for ffmpeg's standard input that makes it keep this share of the frames, at even distances. The expression depends on
 * the number of the frame only, so it is right where times repeat or are missing, and however often it is evaluated.
 *
 * @param keepRatio - above 0, up to 1.
 * @param phase - 0 to 1, different for each stream: otherwise the kept frames of synchronous cameras arrive together.
 */
export function shedCommand(keepRatio: number, phase: number): string {
  const ratio = keepRatio.toFixed(4);
  // The phase ends with a digit that the ratio does not have, so that no sum equals the bound: rounding would decide then.
  const isShed = keepRatio >= 1 ? '0' : `gte(mod(n*${ratio}+${phase.toFixed(3)}05,1),${ratio})`;
  return `c${FILTER} -1 enable ${isShed}\n`;
}
