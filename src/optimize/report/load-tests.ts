import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { check } from '../../config/check.ts';
import { MOST_BYTES, readGivenText } from '../../disk/given-file.ts';

/** Folder beside a report, with a folder for each load test: what `sightline loadtest --report` wrote. */
export const LOAD_TESTS = 'load-tests';

const count = z.number().int().min(0);

/** What the report of an optimisation shows of a load test; its `loadtest.json` holds more. */
const loadTest = z.object({
  profile: z.string().max(64),
  subject: z.string().max(4096),
  createdAt: z.string().max(64),
  seconds: z.number().min(0),
  verdict: z.enum(['met', 'missed', 'not enough frames']),
  reason: z.string().max(4096),
  cameras: z.object({ count, protocol: z.string().max(64) }),
  breakPoint: z
    .object({
      cameras: count,
      // Absent in files of earlier versions, which named only proven numbers.
      isProven: z.boolean().default(true),
      brokenAt: count.nullable(),
      firstToGive: z.string().max(256).nullable(),
    })
    .nullable(),
  recoverySeconds: z.number().min(0).nullable(),
  slopes: z.array(z.object({ figure: z.string().max(64), verdict: z.enum(['steady', 'grows', 'unclear']) })).max(100),
  steps: z.array(z.object({ cameras: count, offeredFps: z.number().min(0) })).max(1000),
});

export type LoadTest = z.infer<typeof loadTest>;

/**
 * Reads the load tests beside a report, the oldest first. One that cannot be read is left out with a notice.
 *
 * @param folder - of the report.
 */
export async function readLoadTests(folder: string, note: (text: string) => void): Promise<readonly LoadTest[]> {
  const names = await readdir(join(folder, LOAD_TESTS)).catch(() => []);
  const found: LoadTest[] = [];
  for (const name of names) {
    const path = join(folder, LOAD_TESTS, name, 'loadtest.json');
    try {
      found.push(
        check(
          loadTest,
          JSON.parse(await readGivenText(path, { code: 'CONFIG_INVALID', mostBytes: MOST_BYTES.json })),
          path,
        ),
      );
    } catch (error) {
      note(`the report leaves a load test out: ${(error as Error).message}`);
    }
  }
  return found.sort((a, b) => a.createdAt.localeCompare(b.createdAt));
}
