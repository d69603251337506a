import type { Colour } from './canvas.ts';

/** Degrees between the hues of consecutive classes: the golden angle, which never repeats a hue. */
const HUE_STEP = 137.508;
/** Green for the first class, `person` in most models. */
const FIRST_HUE = 140;
const SATURATION = 0.72;
/** Used in rotation: hues nearly repeat after 13 and 21 classes (`bench` and `person`), and then differ in lightness. */
const LIGHTNESSES = [0.56, 0.44, 0.7, 0.38] as const;

const BLACK: Colour = [0, 0, 0];
const WHITE: Colour = [255, 255, 255];

/** Returns the colour of a class, the same in every video. */
export function classColour(classId: number): Colour {
  const hue = (FIRST_HUE + classId * HUE_STEP) % 360;
  const lightness = LIGHTNESSES[classId % LIGHTNESSES.length]!;
  return [channel(hue, lightness, 0), channel(hue, lightness, 8), channel(hue, lightness, 4)];
}

/** Converts HSL to one channel of RGB, by the formula of CSS Color 4, section 7.1. */
function channel(hue: number, lightness: number, offset: number): number {
  const k = (offset + hue / 30) % 12;
  const amplitude = SATURATION * Math.min(lightness, 1 - lightness);
  return Math.round(255 * (lightness - amplitude * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
}

/** Returns black or white, whichever has more contrast with a background (relative luminance and ratio of WCAG 2.1). */
export function textColour(background: Colour): Colour {
  const luminance = luminanceOf(background);
  const onWhite = 1.05 / (luminance + 0.05);
  const onBlack = (luminance + 0.05) / (luminanceOf(BLACK) + 0.05);
  return onBlack >= onWhite ? BLACK : WHITE;
}

function luminanceOf(colour: Colour): number {
  const [red, green, blue] = colour.map((value) => {
    const ratio = value / 255;
    return ratio <= 0.04045 ? ratio / 12.92 : ((ratio + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
