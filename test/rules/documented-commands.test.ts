import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import type { CliIo } from '../../src/cli/cli-io.ts';
import { programFor } from '../../src/cli/program.ts';
import { commandsOf, DOC_PAGES, shellWords } from '../support/doc-code.ts';

const scripts = JSON.parse(readFileSync('package.json', 'utf8')).scripts as Record<string, string>;

/** The sections of the benchmark, by their ids. */
const sections = readdirSync('bench')
  .filter((name) => name.endsWith('.bench.ts'))
  .flatMap((name) => [...readFileSync(join('bench', name), 'utf8').matchAll(/^ {2}id: '([\w-]+)'/gm)])
  .map((match) => match[1]!);

/** Commands of blocks and of sentences: `sightline NAME ...`, without what a shell does with their output. */
function sightlineCommandsOf(page: string): string[] {
  const inline = [...readFileSync(page, 'utf8').matchAll(/`((?:npx )?sightline [a-z][^`]*)`/g)].map(
    (match) => match[1]!,
  );
  return [...commandsOf(page).map(({ text }) => text), ...inline].flatMap((text) => {
    const own = /^(?:npx )?sightline ([a-z].*)$/.exec(text.replace(/ [|>] .*$/, ''));
    // In a table a bar separates alternatives: `models list|pull`.
    return own === null ? [] : [own[1]!.replaceAll(/[[\]]/g, '').replaceAll(/\|\S+/g, '')];
  });
}

// The first one loads the whole command line.
describe.each(DOC_PAGES)('each command in %s exists', { timeout: 180_000 }, (page) => {
  const commands = [...new Set(sightlineCommandsOf(page))];

  it.runIf(commands.length > 0)('with all its flags', async () => {
    for (const line of commands) {
      const [name, ...rest] = shellWords(line);
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

  it('and each npm script, and each section of the benchmark', () => {
    const text = readFileSync(page, 'utf8');
    for (const [, name] of text.matchAll(/\bnpm run ([a-z0-9:-]+)/g))
      expect(Object.keys(scripts), name).toContain(name);
    for (const [, list] of text.matchAll(/\bnpm run bench -- --only ([a-z0-9,-]+)/g))
      for (const id of list!.split(',')) expect(sections, `--only ${id}`).toContain(id);
  });
});
