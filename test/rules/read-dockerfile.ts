import { readFileSync } from 'node:fs';

interface Instruction {
  /** In upper case: `RUN`, `COPY`. */
  readonly keyword: string;
  /** Its arguments, on one line. */
  readonly text: string;
}

export interface Stage {
  /** `AS name`; empty for the last stage, which is the image. */
  readonly name: string;
  /** Base image or stage, with arguments substituted. */
  readonly from: string;
  readonly instructions: readonly Instruction[];
}

/** Parses a Dockerfile into its stages, in order. Supports comments, continued lines and arguments in `FROM`. */
export function readDockerfile(path: string): Stage[] {
  const code = readFileSync(path, 'utf8')
    .replace(/^\s*#.*\n/gm, '')
    .replace(/\\\n/g, ' ');
  const all = code
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line): Instruction => {
      const [, keyword, text] = /^([A-Z]+)\s+(.*)$/.exec(line.trim())!;
      return { keyword: keyword!, text: text! };
    });
  const stages: (Stage & { instructions: Instruction[] })[] = [];
  const settings = new Map<string, string>();
  for (const instruction of all) {
    const { keyword, text } = instruction;
    if (keyword === 'FROM') {
      const [image, , name] = text.split(/\s+/);
      const from = image!.replace(/\$\{(\w+)\}/g, (_, key: string) => settings.get(key) ?? '');
      stages.push({ name: name ?? '', from, instructions: [] });
    } else if (stages.length === 0) {
      const [key, value] = text.split(/=(.*)/);
      settings.set(key!, value ?? '');
    } else stages.at(-1)!.instructions.push(instruction);
  }
  return stages;
}

export interface Copy {
  /** Stage that it copies from; null for the build's context. */
  readonly stage: string | null;
  readonly sources: readonly string[];
  /** A folder if it ends in a slash. */
  readonly target: string;
}

/** The `COPY` instructions of a stage. */
export function copiesOf({ instructions }: Stage): Copy[] {
  return instructions
    .filter(({ keyword }) => keyword === 'COPY')
    .map(({ text }) => {
      const words = text.split(/\s+/);
      const flags = words.filter((word) => word.startsWith('--'));
      const stage = flags.find((flag) => flag.startsWith('--from='))?.slice('--from='.length) ?? null;
      return { stage, sources: words.slice(flags.length, -1), target: words.at(-1)! };
    });
}

/**
 * Returns whether `.dockerignore` keeps a path in the build context. The last line that matches the path or one of its
 * folders decides; `*` matches one name.
 */
export function isSent(path: string, ignoreFile: string): boolean {
  const parts = path.split('/');
  const parents = parts.map((_, i) => parts.slice(0, i + 1).join('/'));
  let isIn = true;
  for (const line of ignoreFile.split('\n').filter((text) => text !== '' && !text.startsWith('#'))) {
    const pattern = line.replace(/^!/, '');
    const expression = new RegExp(`^${pattern.replace(/[.+]/g, '\\$&').replaceAll('*', '[^/]*')}$`);
    if (parents.some((parent) => expression.test(parent))) isIn = line.startsWith('!');
  }
  return isIn;
}
