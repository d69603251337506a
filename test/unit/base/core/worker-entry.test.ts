import { existsSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { workerEntry } from '../../../../src/base/core/worker-entry.ts';

describe('the entry of a worker', () => {
  it('is a file of the package', () => {
    expect(existsSync(workerEntry('lane.thread'))).toBe(true);
  });

  it.each([pathToFileURL('/somewhere/out/app.js').href, null])(
    'that a bundle at %s lacks is reported with what to tell the bundler',
    (here) => {
      expect(() => workerEntry('lane.thread', here)).toThrow(
        /workers\/lane\.thread\.js is missing.*esbuild --external:sightline.*webpack externals/,
      );
    },
  );
});
