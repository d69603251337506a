import { describe, expect, it } from 'vitest';
import { rateCommand } from '../../../../../src/frame/decode/rate-filters.ts';
import { FilterCommands } from '../../../../../src/frame/runtime/lane/filter-commands.ts';

const ALL = { every: 1, maxFps: null };
const SLOW = { every: 1, maxFps: 2 };

/** Commands of so many ticks of 100 ms, without those of ticks that have none. */
function ticks(commands: FilterCommands, count = 30): string[] {
  return Array.from({ length: count }, () => commands.next(100, true)).filter((command) => command !== null);
}

function running(): FilterCommands {
  const commands = new FilterCommands(1, ALL);
  commands.onStart();
  commands.builds = 1;
  return commands;
}

describe('the command for another rate', () => {
  it('is sent once, since each one begins a new interval of maxFps', () => {
    const commands = running();
    expect(ticks(commands)).toEqual([]);
    commands.rate = SLOW;
    expect(ticks(commands)).toEqual([rateCommand(SLOW)]);
    commands.rate = { ...SLOW };
    expect(ticks(commands)).toEqual([]);
    commands.rate = ALL;
    expect(ticks(commands)).toEqual([rateCommand(ALL)]);
  });

  it('is sent again when ffmpeg has built its filters for another picture size', () => {
    const commands = running();
    commands.rate = SLOW;
    ticks(commands);
    commands.builds = 2;
    expect(ticks(commands)).toEqual([rateCommand(SLOW)]);
    commands.rate = ALL;
    ticks(commands);
    commands.builds = 3;
    expect(ticks(commands), 'ffmpeg was started with it').toEqual([]);
  });

  it('waits for the filters, and is left out if the next ffmpeg starts with that rate', () => {
    const commands = new FilterCommands(1, ALL);
    commands.onStart();
    commands.rate = SLOW;
    expect(ticks(commands)).toEqual([]);
    commands.builds = 1;
    expect(ticks(commands)).toEqual([rateCommand(SLOW)]);
    commands.rate = ALL;
    expect(commands.next(100, false)).toBeNull();
    commands.onStart();
    commands.builds = 1;
    expect(ticks(commands)).toEqual([]);
  });

  it('goes before one that sheds, which comes with the next tick', () => {
    const commands = running();
    commands.keepRatio = 0.5;
    commands.rate = SLOW;
    const sent = ticks(commands, 2);
    expect(sent[0]).toBe(rateCommand(SLOW));
    expect(sent[1]).toMatch(/^cmetadata@gate -1 enable gte/);
  });
});
