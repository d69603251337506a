import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import type { CliIo } from '../../src/cli/cli-io.ts';
import { programFor } from '../../src/cli/program.ts';

const PAGES = [
  'README.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  ...readdirSync('docs')
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
];
const scripts = JSON.parse(readFileSync('package.json', 'utf8')).scripts as Record<string, string>;

/** Command lines of a page that stand alone in a block, without comments and what a shell does with their output. */
function commandsOf(page: string): string[] {
  return readFileSync(page, 'utf8')
    .split('\n')
    .flatMap((line) => /^(?: {4}|\t)(?:\$ )?(?:npx )?sightline ([a-z].*)$/.exec(line)?.[1] ?? [])
    .map((line) => line.replace(/ {2,}.*$| +#.*$| [|>].*$/, '').trim());
}

/** Splits as a shell does, as far as the pages need it. */
function words(line: string): string[] {
  return [...line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map((match) => match[1] ?? match[2] ?? match[3]!);
}

describe.each(PAGES)('each command in %s exists', (page) => {
  const commands = [...new Set(commandsOf(page))];

  it.runIf(commands.length > 0)('with all its flags', async () => {
    for (const line of commands) {
      const [name, ...rest] = words(line);
      let command: Command = await programFor(name, {} as CliIo);
      command = command.commands.find((each) => each.name() === name) ?? command;
      expect(command.name(), line).toBe(name);
      for (const word of rest) {
        const child = command.commands.find((each) => each.name() === word);
        if (child === undefined) break;
        command = child;
      }
      const known = command.options.flatMap(({ long, short }) => [long, short]);
      for (const flag of rest.filter((word) => /^--?[a-z]/.test(word)))
        expect(known, `${line}: ${flag}`).toContain(flag.split('=')[0]);
    }
  });

  it('and each npm script', () => {
    const named = [...readFileSync(page, 'utf8').matchAll(/\bnpm run ([a-z0-9:-]+)/g)].map((match) => match[1]!);
    for (const name of named) expect(Object.keys(scripts), name).toContain(name);
  });
});
