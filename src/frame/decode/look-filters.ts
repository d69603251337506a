/** Type and name of the filter that commands address. */
const FILTER = 'metadata@look';

/** The descriptor that looks are written to. A sandbox uses the one before. */
export const LOOK_PIPE = 4;

/**
 * Returns the filters that pass on the first decoded frame and one after each `LOOK_COMMAND`, whether or not they are taken. While there is no
 * command they cost less than can be measured. Since version 7, ffmpeg fails if one of its outputs stays empty.
 *
 * @param tag - secret name of the frame headers. It also names the mark, since frames carry texts of the media.
 */
export function lookFilters(tag: string): string[] {
  return [`${FILTER}=add:${tag}:1:enable=not(n)`, `metadata=select:${tag}:1`, `showinfo@${lookName(tag)}=checksum=0`];
}

/** Name of the filter that prints the headers of looks. */
export function lookName(tag: string): string {
  return `look${tag}`;
}

/**
 * The line for ffmpeg's standard input that asks for the next decoded frame. ffmpeg may evaluate the expression twice a frame: register 0
 * says that there was one, register 1 is its number.
 */
export const LOOK_COMMAND = `c${FILTER} -1 enable if(ld(0),eq(ld(1),n),st(0,1);st(1,n);1)\n`;
