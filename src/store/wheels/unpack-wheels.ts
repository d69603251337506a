import { rm } from 'node:fs/promises';
import { basename } from 'node:path';
import { type RunTool, reasonOf, setupFailed } from './run-tool.ts';

const UNZIP = `
import re, sys, zipfile
target, wheel, wanted, unwanted = sys.argv[1:5]
with zipfile.ZipFile(wheel) as archive:
    archive.extractall(target, [n for n in archive.namelist() if re.search(wanted, n) and not re.search(unwanted, n)])
`;

export interface UnpackOptions {
  /** Command that starts Python. */
  readonly python: string;
  /** Paths in the wheels that are unpacked, except those that match `unwanted`. */
  readonly wanted: RegExp;
  readonly unwanted: RegExp;
  readonly run: RunTool;
}

/**
 * Unpacks the needed files of wheels into one folder, laid out as pip would. Removes each wheel after unpacking, because wheels
 * can take gigabytes.
 *
 * @returns the versions by wheel name.
 * @throws SETUP_FAILED
 */
export async function unpackWheels(
  wheels: readonly string[],
  site: string,
  { python, wanted, unwanted, run }: UnpackOptions,
): Promise<Record<string, string>> {
  const packages: Record<string, string> = {};
  for (const wheel of wheels) {
    try {
      await run(python, ['-c', UNZIP, site, wheel, wanted.source, unwanted.source], site);
    } catch (error) {
      throw setupFailed(`${basename(wheel)} cannot be unpacked: ${reasonOf(error)}`, error);
    }
    await rm(wheel);
    const [name, version] = basename(wheel).split('-');
    packages[name!.replaceAll('_', '-')] = version!;
  }
  return packages;
}
