import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SettingsReloader } from '../../../../src/serve/host/settings-reloader.ts';
import { readEnvironment } from '../../../../src/settings/config/environment.ts';
import { waitFor } from '../../../support/wait-for.ts';

describe('a service that gets SIGHUP', () => {
  let folder: string;
  let path: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sightline-reload-'));
    path = join(folder, 'p.yaml');
    write('first');
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  const write = (name: string): void => writeFileSync(path, `name: ${name}\ndescription: A pipeline.\n`);

  const rig = () => {
    const log: string[] = [];
    let hangUp = (): void => undefined;
    let release: (() => void) | null = null;
    const reloader = new SettingsReloader(
      {
        path,
        apply: async ({ name }) => {
          log.push(name);
          if (release !== null) await new Promise<void>((resolve) => (release = resolve));
        },
        onFailure: ({ code }) => log.push(code),
      },
      { onHangUp: (listener) => (hangUp = listener), environment: readEnvironment({}) },
    );
    return {
      reloader,
      log,
      hangUp: () => hangUp(),
      /** Makes each application wait for `go`. */
      hold: () => (release = () => undefined),
      go: () => release?.(),
      until: (count: number) =>
        waitFor(
          `${count} entries`,
          () => log.length >= count,
          {},
          () => log.join(),
        ),
    };
  };

  it('reads the file again, and refuses a broken or missing one', async () => {
    const { reloader, log, hangUp, until } = rig();
    reloader.start();
    hangUp();
    await until(1);
    writeFileSync(path, 'name: [');
    hangUp();
    await until(2);
    rmSync(path);
    hangUp();
    await until(3);
    write('second');
    hangUp();
    await until(4);
    expect(log).toEqual(['first', 'CONFIG_INVALID', 'CONFIG_NOT_FOUND', 'second']);
  });

  it('while it starts reads the file once it has started', async () => {
    const { reloader, log, hangUp, until } = rig();
    hangUp();
    hangUp();
    write('second');
    expect(log).toEqual([]);
    reloader.start();
    await until(1);
    await reloader.stop();
    expect(log).toEqual(['second']);
  });

  it('many times while a file is applied reads it once more', async () => {
    const { reloader, log, hangUp, hold, go, until } = rig();
    hold();
    reloader.start();
    hangUp();
    await until(1);
    for (let i = 0; i < 10; i += 1) hangUp();
    write('second');
    go();
    await until(2);
    go();
    await reloader.stop();
    expect(log).toEqual(['first', 'second']);
  });

  it('while it stops does nothing', async () => {
    const { reloader, log, hangUp } = rig();
    reloader.start();
    await reloader.stop();
    hangUp();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(log).toEqual([]);
  });
});
