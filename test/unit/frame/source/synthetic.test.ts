import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SightlineError } from '../../../../src/base/errors/sightline-error.ts';
import { syntheticGraph } from '../../../../src/frame/source/synthetic.ts';

function refusal(text: string): SightlineError {
  try {
    syntheticGraph(text);
  } catch (error) {
    return error as SightlineError;
  }
  throw new Error(`${text} was allowed`);
}

describe('a synthetic source', () => {
  it.each([
    ['testsrc2', 'testsrc2'],
    ['testsrc2=size=1280x720:rate=30', 'testsrc2=size=1280x720:rate=30'],
    ['testsrc=s=hd720:r=30000/1001:d=2.5', 'testsrc=s=1280x720:r=30000/1001:d=2.5'],
    ['color=c=gray:size=480x256:rate=0.5', 'color=c=gray:size=480x256:rate=0.5'],
    ['color=c=0x10FF20:sar=4/3', 'color=c=0x10FF20:sar=4/3'],
    ['testsrc2=d=3600:rate=100', 'testsrc2=d=3600:rate=100'],
    ['mandelbrot=size=64x64', 'mandelbrot=size=64x64'],
  ])('%s is allowed', (text, graph) => {
    expect(syntheticGraph(text)).toBe(graph);
  });

  it.each([
    ['a second filter', 'testsrc2=size=64x64,metadata=mode=add:key=x:value=y,metadata=mode=print:file=/tmp/x'],
    ['a second graph', 'testsrc2=size=64x64;movie=/etc/passwd'],
    ['a filter that reads files', 'movie=/etc/passwd'],
    ['a filter that reads text files', 'testsrc2,drawtext=textfile=/etc/passwd'],
    ['a filter after a value', 'color=c=red,movie=x'],
    ['quotes', "color=c='red'"],
    ['an escape', 'color=c=red\\,movie=x'],
    ['a label', '[in]testsrc2'],
    ['an instance name', 'testsrc2@x=size=64x64'],
    ['an unknown option', 'testsrc2=filename=/etc/passwd'],
    ['an option of another generator', 'testsrc2=color=red'],
    ['a nameless option', 'testsrc2=1280x720'],
    ['an expression', 'testsrc2=rate=if(1\\,2\\,3)'],
    ['a size out of range', 'testsrc2=size=100000x2'],
    ['a rate of zero', 'testsrc2=rate=0'],
    ['a rate behind a quote', "testsrc2=rate='30"],
    ['a rate out of range', 'testsrc2=rate=100000'],
    ['a line break', 'testsrc2=size=64x64\n'],
    ['a generator named like an object property', 'constructor=size=64x64'],
    ['an option named like an object property', 'testsrc2=toString=1'],
  ])('with %s is forbidden', (_, text) => {
    expect(refusal(text)).toMatchObject({ code: 'SOURCE_FORBIDDEN' });
  });

  it('that is rejected names the expected and the received value', () => {
    expect(refusal('testsrc2=size=1x1').message).toBe(
      'source "synthetic:testsrc2=size=1x1": option size: expected a size such as 1280x720, sides from 2 to 7680; received "1x1"',
    );
    const long = `${'x'.repeat(60)}y`;
    expect(refusal(`testsrc2=sar=${long}`).message, 'no endless text in a log').toBe(
      `source "synthetic:testsrc2=sar=${'x'.repeat(37)}...": option sar: expected a ratio such as 4/3; received "${'x'.repeat(60)}..."`,
    );
    expect(refusal('movie=/etc/passwd').message).toContain('generator: expected testsrc, testsrc2');
  });

  it('never passes on a special character of filter graphs', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        'testsrc2',
        'color',
        '=',
        ':',
        'size',
        'c',
        'rate',
        '64x64',
        '25',
        'red',
        ',',
        ';',
        '[',
        "'",
        '\\',
      ),
      fc.string({ maxLength: 4 }),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        try {
          expect(syntheticGraph(pieces.join(''))).toMatch(/^[a-z0-9]+(=[a-z]+=[\w./]+(:[a-z]+=[\w./]+)*)?$/i);
        } catch (error) {
          expect((error as SightlineError).code).toMatch(/SOURCE_FORBIDDEN|CONFIG_INVALID/);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
