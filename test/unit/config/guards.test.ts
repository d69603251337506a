import { readFileSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { configTable, describeSchema } from '../../../src/config/describe.ts';
import { guardsConfig, loadGuards, parseGuards } from '../../../src/config/guards.ts';

describe('guards file', () => {
  it('has the documented margins where it is empty', () => {
    const guards = parseGuards('', 'guards.yaml');
    expect(guards).toEqual(guardsConfig.parse({}));
    expect([guards.agreement.margin, guards.p99.margin, guards.fps.margin, guards.drops.margin]).toEqual([
      0.03, 0.1, 0.02, 0.01,
    ]);
    expect([guards.boxes.margin, guards.confidence.margin, guards.deviceTime.margin]).toEqual([0.1, 0.05, 0.5]);
  });

  it('changes what it names and nothing else', () => {
    const guards = parseGuards('p99: { margin: 0.25 }\nboxes: { isOn: false }\n', 'guards.yaml');
    expect(guards.p99).toEqual({ isOn: true, margin: 0.25, partMargin: 1 });
    expect(guards.boxes).toEqual({ isOn: false, margin: 0.1, partMargin: 0.5 });
    expect(guards.fps).toEqual({ isOn: true, margin: 0.02, partMargin: 0.1 });
  });

  it.each([
    ['p95: {}', 'guards.yaml: p95: unknown key; did you mean "p99"?'],
    ['p99: { margin: 10 % }', 'guards.yaml: p99.margin: expected a number from 0.0001 to 10, received "10 %" (string)'],
    ['fps: { margin: 0 }', 'guards.yaml: fps.margin: expected a number from 0.0001 to 1, received 0 (number)'],
    ['hard: { restarts: 0 }', 'guards.yaml: hard.restarts: expected a whole number from 1 to 100, received 0 (number)'],
    ['p99: [', 'guards.yaml: not valid YAML'],
  ])('%s is refused', (text, message) => {
    expect(() => parseGuards(text, 'guards.yaml')).toThrow(message);
  });

  it('that is missing is reported with its path', async () => {
    await expect(loadGuards('/nowhere/guards.yaml')).rejects.toMatchObject({
      code: 'CONFIG_NOT_FOUND',
      message: expect.stringContaining('/nowhere/guards.yaml'),
    });
    const path = join(await mkdtemp(join(tmpdir(), 'guards-')), 'guards.yaml');
    await writeFile(path, 'alpha: 0.01\n');
    expect((await loadGuards(path)).alpha).toBe(0.01);
  });

  it('is documented key by key in docs/rollout.md', () => {
    expect(readFileSync('docs/rollout.md', 'utf8')).toContain(configTable(describeSchema(guardsConfig)));
  });
});
