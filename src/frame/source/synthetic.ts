import { SightlineError } from '../../base/errors/sightline-error.ts';

/** Checks one option value. Returns the value to pass to ffmpeg, or null if it is not allowed. */
type OptionCheck = (value: string) => string | null;

const MAX_SIDE_PX = 7680;
const NAMED_SIZES: Readonly<Record<string, string>> = {
  qvga: '320x240',
  vga: '640x480',
  hd480: '852x480',
  hd720: '1280x720',
  hd1080: '1920x1080',
  uhd2160: '3840x2160',
};

const size: OptionCheck = (value) => {
  const [, width, height] = /^(\d{1,5})x(\d{1,5})$/.exec(NAMED_SIZES[value] ?? value) ?? [];
  const isInRange = (side: string | undefined): boolean => Number(side) >= 2 && Number(side) <= MAX_SIDE_PX;
  return isInRange(width) && isInRange(height) ? `${width}x${height}` : null;
};

const seconds: OptionCheck = (value) => (/^\d{1,9}(\.\d{1,9})?$/.test(value) ? value : null);

/** Frames per second, as a number or a fraction such as 30000/1001. */
const rate: OptionCheck = (value) => {
  const [, over, under = '1'] = /^(\d{1,6}(?:\.\d{1,6})?)(?:\/(\d{1,6}))?$/.exec(value) ?? [];
  const fps = Number(over) / Number(under);
  return fps >= 0.01 && fps <= 1000 ? value : null;
};

const ratio: OptionCheck = (value) => (/^[1-9]\d{0,3}\/[1-9]\d{0,3}$/.test(value) ? value : null);

/** A name such as `gray`, or `0x` and six hexadecimal digits. */
const colour: OptionCheck = (value) => (/^(?:[A-Za-z]{3,20}|0x[0-9A-Fa-f]{6})$/.test(value) ? value : null);

const COMMON = { size, s: size, rate, r: rate, duration: seconds, d: seconds, sar: ratio } as const;
/** `mandelbrot` takes neither a duration nor a sample aspect ratio. */
const ENDLESS = { size, s: size, rate, r: rate } as const;

/** ffmpeg's picture generators that access no files, with the options that are allowed. */
const GENERATORS: Readonly<Record<string, Readonly<Record<string, OptionCheck>>>> = {
  testsrc: COMMON,
  testsrc2: COMMON,
  rgbtestsrc: COMMON,
  yuvtestsrc: COMMON,
  smptebars: COMMON,
  smptehdbars: COMMON,
  color: { ...COMMON, color: colour, c: colour },
  mandelbrot: ENDLESS,
};

const EXAMPLE = 'synthetic:testsrc2=size=1280x720:rate=30';

/**
 * Checks a `synthetic:` source and returns it as a lavfi graph.
 *
 * A lavfi graph can read and write any file (`movie`, `drawtext`, `metadata`), so the text itself never reaches ffmpeg: it
 * must name one generator of a short list with options of known form, and the graph is rebuilt from these.
 *
 * @param text - the part after `synthetic:`, such as `testsrc2=size=1280x720:rate=30`.
 * @throws CONFIG_INVALID if it is empty; SOURCE_FORBIDDEN for any other generator, option or value.
 */
export function syntheticGraph(text: string): string {
  if (text === '')
    throw new SightlineError(
      'CONFIG_INVALID',
      `source "synthetic:": expected a generator after the colon, as in ${EXAMPLE}`,
    );
  const [, name = '', list] = /^([^=]*)(?:=([\s\S]*))?$/.exec(text) ?? [];
  const options = Object.hasOwn(GENERATORS, name) ? GENERATORS[name]! : null;
  if (options === null) throw forbidden(text, `generator: expected ${Object.keys(GENERATORS).join(', ')}`, name);
  if (list === undefined) return name;
  const checked = list.split(':').map((option) => {
    const [, key = '', value = ''] = /^([^=]*)=([\s\S]*)$/.exec(option) ?? [];
    if (!Object.hasOwn(options, key))
      throw forbidden(
        text,
        `option of ${name}: expected ${Object.keys(options).join(', ')}, each as key=value`,
        option,
      );
    const allowed = options[key]!(value);
    if (allowed === null) throw forbidden(text, `option ${key}: expected ${EXPECTED[key]}`, value);
    return `${key}=${allowed}`;
  });
  return `${name}=${checked.join(':')}`;
}

const SIZE = `a size such as 1280x720, sides from 2 to ${MAX_SIDE_PX}`;
const RATE = 'frames a second such as 30 or 30000/1001';
const COLOUR = 'a name such as gray, or 0xRRGGBB';
const EXPECTED: Readonly<Record<string, string>> = {
  size: SIZE,
  s: SIZE,
  rate: RATE,
  r: RATE,
  duration: 'seconds',
  d: 'seconds',
  sar: 'a ratio such as 4/3',
  color: COLOUR,
  c: COLOUR,
};

const SHOWN_CHARS = 60;

function forbidden(text: string, expected: string, received: string): SightlineError {
  const cut = (value: string): string =>
    JSON.stringify(value.length > SHOWN_CHARS ? `${value.slice(0, SHOWN_CHARS)}...` : value);
  return new SightlineError(
    'SOURCE_FORBIDDEN',
    `source ${cut(`synthetic:${text}`)}: ${expected}; received ${cut(received)}`,
  );
}
