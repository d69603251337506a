import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { writeWholeFile } from '../../../base/disk/replace-file.ts';

/**
 * Writes files into a folder, which is made if it is not there. Each appears whole or not at all.
 *
 * @param files - by name: a text, or what is written as JSON.
 * @returns their paths. @throws the system's error.
 */
export async function writeFiles(
  folder: string,
  files: Readonly<Record<string, string | object>>,
): Promise<readonly string[]> {
  const paths: string[] = [];
  for (const [name, content] of Object.entries(files)) {
    const path = join(folder, name);
    await mkdir(dirname(path), { recursive: true });
    const text = typeof content === 'string' ? content : JSON.stringify(content, null, 2);
    await writeWholeFile(path, text.endsWith('\n') ? text : `${text}\n`);
    paths.push(path);
  }
  return paths;
}
