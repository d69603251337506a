/**
 * Formats that hold the video themselves. Those that name further files or addresses are missing (playlists, `concat`, DASH,
 * SDP, image sequences, IMF, subtitles with a file beside them), and those that show any text file as a picture (`tty`). Sound
 * is included, so that a sound file is reported as one.
 */
const SELF_CONTAINED = `
  mov matroska webm avi mpegts mpegtsraw mpeg mpegvideo flv live_flv asf asf_o mxf mxg gxf nut ogg rm wtv dv ivf
  dhav lxf lvf nuv nsv ty pva ifv luodat swf smjpeg mtv mlv kux film_cpk roq bink smk flic iff rl2 h261 h263
  h264 hevc vvc evc av1 obu m4v vc1 vc1test dirac cavsvideo avs2 avs3 dnxhd mjpeg mjpeg_2000 mpjpeg ingenient
  yuv4mpegpipe gif apng ipu r3d cine ser fits bmp_pipe dpx_pipe exr_pipe gif_pipe j2k_pipe jpeg_pipe jpegls_pipe
  jpegxl_pipe pam_pipe pbm_pipe pcx_pipe pgm_pipe pgmyuv_pipe png_pipe ppm_pipe psd_pipe qoi_pipe tiff_pipe
  webp_pipe ico aac ac3 eac3 aiff amr au caf dts flac mp3 truehd tta w64 wav wv ape
`
  .trim()
  .split(/\s+/);

/** Subtitles in a playlist of video, which are not read. */
const PLAYLIST = ['hls', 'webvtt'];

function allow(protocols: readonly string[], formats: readonly string[]): readonly string[] {
  return [`-protocol_whitelist ${protocols.join(',')}`, `-format_whitelist ${formats.join(',')}`];
}

/** A file opens nothing but itself. */
export const FILE_ACCESS = allow(['file'], SELF_CONTAINED);

/** No `https`: the proxy encrypts, and verifies certificates. `crypto` decrypts HLS segments that came over `http`. */
export const HTTP_ACCESS = allow(['http', 'tcp', 'crypto'], [...SELF_CONTAINED, ...PLAYLIST]);

/** The relay encrypts, and verifies certificates. */
export const RTMP_ACCESS = allow(['rtmp', 'tcp'], ['flv', 'live_flv']);

export const SRT_ACCESS = allow(['srt'], SELF_CONTAINED);

/** No `tls`: a camera that redirects to an encrypted address would not be verified. */
export function rtspAccess(transport: 'tcp' | 'udp'): readonly string[] {
  return allow(transport === 'udp' ? ['tcp', 'udp', 'rtp'] : ['tcp'], [...SELF_CONTAINED, 'rtsp']);
}
