import { faultsText, inspect } from '../settings/config/check.ts';
import { regionConfig, tilesConfig } from '../settings/config/region.ts';
import { wrongCommand } from './cli-io.ts';
import { type FlagsOf, flagTable, given } from './flag-values.ts';

/** Divides pictures into tiles. */
export const TILES_FLAG = flagTable({
  '--tiles <CxR>': 'infer each picture in columns and rows of tiles too, for small objects: 2x2',
});

/** Which parts of pictures are inferred. */
export const VIEW_FLAGS = flagTable({
  '--region <x,y,w,h>': 'infer only this rectangle, in ratios of the picture, such as 0.25,0,0.5,1',
  ...TILES_FLAG,
});

export type ViewFlags = FlagsOf<typeof VIEW_FLAGS>;

/** Returns what the flags say as settings of a stream, not yet checked. @throws COMMAND_INVALID */
export function viewSettingsOf({ region, tiles }: ViewFlags): Readonly<Record<string, unknown>> {
  return given({
    region: region === undefined ? undefined : regionOf(region),
    tiles: tiles === undefined ? undefined : tilesOf(tiles),
  });
}

function regionOf(text: string): Record<string, number> {
  const [x, y, width, height, ...more] = text
    .split(',')
    .map((part) => (part.trim() === '' ? Number.NaN : Number(part)));
  if (more.length > 0 || [x, y, width, height].some((value) => !Number.isFinite(value)))
    throw wrongCommand(
      `--region: expected X,Y,WIDTH,HEIGHT in ratios of the picture, such as 0.25,0,0.5,1, received "${text}"`,
    );
  return checked('--region', text, regionConfig, { x: x!, y: y!, width: width!, height: height! });
}

function tilesOf(text: string): Record<string, number> {
  const [, columns, rows] = /^(\d+)x(\d+)$/.exec(text) ?? [];
  if (columns === undefined) throw wrongCommand(`--tiles: expected COLUMNSxROWS, such as 2x2, received "${text}"`);
  return checked('--tiles', text, tilesConfig, { columns: Number(columns), rows: Number(rows) });
}

/** Checks what a flag says by the rules of the setting, so that the message names the flag. @returns it as it was given. */
function checked<T>(flag: string, text: string, schema: Parameters<typeof inspect>[0], value: T): T {
  const { faults } = inspect(schema, value);
  const own = faults.map((fault) => fault.replace(/^document: /, ''));
  if (own.length > 0) throw wrongCommand(`${flag} ${text}: ${faultsText(own)}`);
  return value;
}
