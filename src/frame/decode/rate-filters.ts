/** Which frames of a source are taken. */
export interface FrameRate {
  /** Take every n-th frame. */
  readonly every: number;
  /** Take at most this many frames per second; null for all. */
  readonly maxFps: number | null;
}

/** Type and name of the filter that commands address. */
const FILTER = 'metadata@rate';

/**
 * Returns the filters that take frames at a rate that `rateCommand` can change. They work as `shedFilters`, and a line for each frame that
 * is left out shows that frames are decoded.
 *
 * @param tag - secret name of the frame headers.
 */
export function rateFilters(tag: string, rate: FrameRate): string[] {
  return [
    `metadata=add:${tag}:0`,
    `${FILTER}=modify:${tag}:1:enable=${isLeftOut(rate).replaceAll(/[,;]/g, '\\$&')}`,
    `metadata@${leftOutName(tag)}=print:${tag}:1`,
    `metadata=select:${tag}:0`,
  ];
}

/** Name of the filter that prints the frames that are left out. */
export function leftOutName(tag: string): string {
  return `rate${tag}`;
}

/** Returns the line for ffmpeg's standard input that makes it take frames at another rate from now on. */
export function rateCommand(rate: FrameRate): string {
  return `c${FILTER} -1 enable ${isLeftOut(rate)}\n`;
}

/**
 * The same choice as that of `select` in `decodeArguments`, as an expression of ffmpeg that is true for a frame that is left out. ffmpeg may
 * evaluate it twice a frame, so it remembers its result: register 0 has the number of the frame plus 1, register 1 the result. Registers 2
 * and 3 have the time of the last frame that was taken, and whether there is one.
 */
function isLeftOut({ every, maxFps }: FrameRate): string {
  if (maxFps === null) return every === 1 ? '0' : `gt(mod(n,${every}),0)`;
  const interval = (time: string): string => `floor(${time}*${maxFps}+0.5)`;
  const isNext = `isnan(t)+not(ld(3))+lt(t,ld(2))+gt(${interval('t')},${interval('ld(2)')})`;
  const isTaken = every === 1 ? isNext : `not(mod(n,${every}))*(${isNext})`;
  return `if(eq(ld(0),n+1),ld(1),st(0,n+1);st(1,not(${isTaken}));if(not(ld(1)),st(3,not(isnan(t)));st(2,t));ld(1))`;
}
