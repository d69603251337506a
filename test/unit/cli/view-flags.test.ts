import { describe, expect, it } from 'vitest';
import { viewSettingsOf } from '../../../src/cli/view-flags.ts';

describe('viewSettingsOf', () => {
  it('turns flags into settings of a stream', () => {
    expect(viewSettingsOf({})).toEqual({});
    expect(viewSettingsOf({ tiles: '3x2' })).toEqual({ tiles: { columns: 3, rows: 2 } });
    expect(viewSettingsOf({ region: '0.25, 0,0.5,1' })).toEqual({ region: { x: 0.25, y: 0, width: 0.5, height: 1 } });
  });

  it.each(['2', '2x', 'x2', '2 x 2', '2x2x2', '-1x2', '2x2.5', ''])('refuses --tiles "%s"', (tiles) => {
    const message = `--tiles: expected COLUMNSxROWS, such as 2x2, received "${tiles}"`;
    expect(() => viewSettingsOf({ tiles })).toThrowError(expect.objectContaining({ code: 'COMMAND_INVALID', message }));
  });

  it.each([
    [{ tiles: '0x2' }, /^--tiles 0x2: columns: expected a whole number from 1 to \d+, received 0/],
    [{ tiles: '2x99999' }, /^--tiles 2x99999: rows: expected a whole number from 1 to \d+, received 99999/],
    [{ tiles: '5x5' }, /^--tiles 5x5: expected at most \d+ tiles/],
    [{ region: '2,0,1,1' }, /^--region 2,0,1,1: x: expected a number from 0 to 1, received 2/],
    [{ region: '0.5,0,0.6,1' }, /^--region 0\.5,0,0\.6,1: expected a rectangle inside the picture/],
  ])('names the flag if the numbers of %j are not possible', (flags, message) => {
    const error = { code: 'COMMAND_INVALID', message: expect.stringMatching(message) };
    expect(() => viewSettingsOf(flags)).toThrowError(expect.objectContaining(error));
  });

  it.each(['', '1,2,3', '0,0,1,1,1', '0,0,,1', 'a,0,1,1', '0;0;1;1'])('refuses --region "%s"', (region) => {
    const message = `--region: expected X,Y,WIDTH,HEIGHT in ratios of the picture, such as 0.25,0,0.5,1, received "${region}"`;
    expect(() => viewSettingsOf({ region })).toThrowError(
      expect.objectContaining({ code: 'COMMAND_INVALID', message }),
    );
  });
});
