export const H264_KEY_UNITS = '5';

/**
 * Codecs that can be cut. With null every key frame is a possible cut; otherwise its packet must hold a NAL unit of these
 * types. In H.264 only an IDR picture (5) is certain to end all backward references; in HEVC every random access picture (16
 * to 21) is, if no leading pictures follow. Not VP8: its hidden frames are separate packets, so packets do not count frames.
 */
export const KEY_UNITS: ReadonlyMap<string, string | null> = new Map([
  ['h264', H264_KEY_UNITS],
  ['hevc', '16-21'],
  ['av1', null],
  ['vp9', null],
  ['mpeg4', null],
  ['mjpeg', null],
  ['prores', null],
  ['dnxhd', null],
]);
