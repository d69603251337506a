import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { withoutSecrets } from '../../../src/cli/secret-arguments.ts';

describe('the arguments of a command', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sightline-arguments-'));
  const file = join(folder, 'url');
  writeFileSync(file, 'redis://:hunter2@redis.example\n');
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const refuseWarnings = (text: string): never => {
    throw new Error(text);
  };

  it.each([
    [[]],
    [['detect', 'clip.mp4', '--out', 'a@b.jsonl', '@']],
    [['jobs', '--redis', 'redis://redis.example:6379/0', '--url', 'https://host:8080']],
    [['rollout', 'status', '--token-file', 'token']],
    [['models', 'pull', 'npm:@scope/name']],
  ])('stay as they are without a secret: %j', (args) => {
    expect(withoutSecrets(args, refuseWarnings)).toEqual(args);
  });

  it('are read from files, also for a flag that takes no secret itself', () => {
    expect(withoutSecrets(['jobs', '--redis', `@${file}`], refuseWarnings)).toEqual([
      'jobs',
      '--redis',
      'redis://:hunter2@redis.example',
    ]);
  });

  it.each([
    [['rollout', 'status', '--token', 'hunter2']],
    [['loadtest', '--token=hunter2']],
    [['jobs', '--redis', 'redis://:hunter2@redis.example']],
    [['jobs', '--redis=redis://user:hunter2@redis.example']],
    [['rollout', 'status', '--url', 'https://user:hunter2@host']],
    [['rollout', 'status', '--url', 'https://host/?token=hunter2']],
  ])('are refused with a secret in a flag, which is not repeated: %j', (args) => {
    expect(() => withoutSecrets(args, refuseWarnings)).toThrow(/^(?=.*command line)((?!hunter2).)*$/s);
  });

  it('are warned of with a password in a source', () => {
    const warnings: string[] = [];
    const args = ['streams', 'add', 'gate', 'rtsp://user:hunter2@camera/1'];
    expect(withoutSecrets(args, (text) => warnings.push(text))).toEqual(args);
    expect(warnings).toEqual([expect.stringMatching(/rtsp:\/\/\*\*\*@camera\/1.*pass @FILE/)]);
    expect(warnings.join()).not.toContain('hunter2');
  });
});
