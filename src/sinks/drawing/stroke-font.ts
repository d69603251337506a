/**
 * A typeface of its own, drawn with a round pen, because a bare machine has no font installed. Strokes scale to any size
 * and are rasterised once for each size.
 *
 * A glyph is a list of strokes, a stroke a list of points, a point two base-36 digits: x from 0 on the left, y from 0 at
 * the top of capitals; 4 is the height of small letters, c (12) the base line, g (16) the lowest descender. A stroke that
 * begins with `~` is bent smoothly through its points.
 */
const GLYPHS: Readonly<Record<string, string>> = {
  '!': '0008 0c0c',
  '"': '0003 3033',
  '#': '301c 705c 0484 0888',
  $: '~8360300325566788a6b3b0a 404c',
  '%': '800c ~1022140210 ~788a7c6a78',
  '&': '~8c2521406254180a2c5b88',
  "'": '0003',
  '(': '~3014183c',
  ')': '~0024280c',
  '*': '2127 0246 4206',
  '+': '434b 0787',
  ',': '1c0e',
  '-': '0757',
  '.': '0c0c',
  '/': '600e',
  '0': '~4072867a4c1a061240',
  '1': '13404c 1c7c',
  '2': '~031140718375 750c8c',
  '3': '~022050727456 36 ~56787a5c2c0a 3656',
  '4': '6c600989',
  '5': '701005 ~0534648789 ~0534648789 6b3c0b',
  '6': '~7150220 71a4c7a8876451608',
  '7': '00803c',
  '8': '~4061736546251321 40 ~4677897b4c1b091746',
  '9': '~1b3c6a85724012041647 7684',
  ':': '0505 0c0c',
  ';': '1515 1c0e',
  '<': '73077b',
  '=': '0585 0989',
  '>': '03770b',
  '?': '~022050726446 4648 4c4c',
  '@': '~8b4c1a061240728678676464 ~6544274967',
  '[': '20000e2e',
  '\\': '006e',
  ']': '00202e0e',
  '^': '034063',
  _: '0d8d',
  '`': '0021',
  '{': '~3012150719 1c3e',
  '|': '000e',
  '}': '~0022253729 2c0e',
  '~': '~08265876',
};
