import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

export interface SourceFile {
  /** Relative to the project root, with slashes. */
  readonly path: string;
  readonly text: string;
}

/** Reads every file with one of these extensions in some folders. */
export function readFiles(folders: readonly string[], endings: readonly string[]): SourceFile[] {
  return folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && endings.some((ending) => entry.name.endsWith(ending)))
      .map((entry) => join(entry.parentPath, entry.name).replaceAll('\\', '/'))
      .filter((path) => !path.includes('node_modules/'))
      .map((path) => {
        const text = readFileSync(path, 'utf8');
        return { path, text };
      }),
  );
}

const COMMENT = /\/\*[\s\S]*?\*\/|(?<![:'"`\\])\/\/[^\n]*/g;

/** Returns the text of a file without its comments. */
export function codeOf({ text }: SourceFile): string {
  return text.replace(COMMENT, '');
}

const IMPORT =
  /(?:^|[\s;])(?:import|export)\s[^'"]*?from\s*'([^']+)'|import\s*\(?\s*'([^']+)'|\brequire(?:\.resolve)?\(\s*'([^']+)'/g;

/** Returns the static and dynamic imports of a file: own files as paths from the root, packages by name. */
export function importsOf(file: SourceFile): { files: string[]; packages: string[] } {
  const names = [...codeOf(file).matchAll(IMPORT)].map((match) => match[1] ?? match[2] ?? match[3]!);
  const files = names.filter((name) => name.startsWith('.'));
  const packages = names.filter((name) => !name.startsWith('.') && !name.startsWith('node:') && !name.startsWith('/'));
  return {
    files: files.map((name) => normalize(join(dirname(file.path), name)).replaceAll('\\', '/')),
    packages: packages.map((name) =>
      name
        .split('/')
        .slice(0, name.startsWith('@') ? 2 : 1)
        .join('/'),
    ),
  };
}
