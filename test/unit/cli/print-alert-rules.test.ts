import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { alertRules } from '../../../src/serve/gateway/alert-rules.ts';
import { loadPipeline } from '../../../src/serve/pipeline/load-pipeline.ts';
import { cliHere } from '../../support/cli-here.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-print-rules-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('sightline alerts', () => {
  it('prints the rules of a shipped pipeline as YAML, and nothing else', async () => {
    const path = 'pipelines/many-cameras.yaml';
    const { code, stdout, stderr } = await cliHere(['alerts', path]);
    expect([code, stderr]).toEqual([0, '']);
    expect(parse(stdout)).toEqual(alertRules(loadPipeline(path)));
    expect(stdout).toContain('SightlineStreamMissesRate');
  });

  it('refuses a file that is no pipeline, and names the mistake', async () => {
    const path = join(folder, 'wrong.yaml');
    writeFileSync(path, 'name: 5\ndescription: For a test.\n');
    const { code, stdout, stderr } = await cliHere(['alerts', path]);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain('name: expected text');
  });
});
