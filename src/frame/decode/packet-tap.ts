/** The descriptor that packets are written to. Looks have the one before. */
export const PACKET_PIPE = 5;

/** Added to the times of packets, so that those of B-frames before the first picture are not below 0. */
const OFFSET_S = 10;
/** A fragment begins with each key frame, and after this long without one. */
const FRAGMENT_US = 1_000_000;

/**
 * The output that copies packets of the video as fragmented MP4. Its times are those of the frames plus `OFFSET_S`: `frag_discont` without
 * edit lists makes `tfdt` the decoding time itself.
 */
export const PACKET_OUTPUT = [
  // With the clock of the source: by default its times may be rounded to its rate.
  ...['-map', '0:v:0', '-c', 'copy', '-copytb', '1', '-map_metadata', '-1', '-map_chapters', '-1'],
  ...['-output_ts_offset', String(OFFSET_S), '-avoid_negative_ts', 'disabled', '-use_editlist', '0'],
  ...['-movflags', 'empty_moov+default_base_moof+frag_keyframe+frag_discont'],
  ...['-frag_duration', String(FRAGMENT_US), '-flush_packets', '1', '-f', 'mp4', `pipe:${PACKET_PIPE}`],
] as const;

/** What ffmpeg prints when the output above cannot be written, which ends it. */
const REFUSED =
  /not currently supported in container|Could not write header|av_interleaved_write_frame|to the muxer|muxing a packet/i;

/** Returns whether a problem of ffmpeg means that the packets cannot be kept in MP4. */
export function isTapProblem(text: string): boolean {
  return REFUSED.test(text);
}

/**
 * Returns the media time of a packet as the frame that is decoded from it has it: by the arithmetic of the frame headers, since both must
 * round alike.
 *
 * @param ticks - of the packet, as written.
 */
export function sourceUs(ticks: number, timescale: number): number {
  return Math.round((ticks - OFFSET_S * timescale) * (1 / timescale) * 1e6);
}
