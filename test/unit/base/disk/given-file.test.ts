import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type GivenFile,
  hashGiven,
  isMissing,
  openGiven,
  readGiven,
  readGivenSync,
  readGivenText,
} from '../../../../src/base/disk/given-file.ts';
import { makePipe } from '../../../support/made-pipe.ts';

const GIVEN: GivenFile = { code: 'CONFIG_NOT_FOUND', mostBytes: 1000 };

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sightline-given-'));
  path = join(folder, 'settings.yaml');
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Both forms of the helper, as one claim. */
const READERS = [
  ['readGiven', (name: string, given: GivenFile) => readGiven(name, given)],
  ['readGivenSync', async (name: string, given: GivenFile) => readGivenSync(name, given)],
  ['hashGiven', (name: string, given: GivenFile) => hashGiven(name, given)],
] as const;

function sparse(name: string, bytes: number): string {
  const descriptor = openSync(name, 'w');
  ftruncateSync(descriptor, bytes);
  closeSync(descriptor);
  return name;
}

describe.each(READERS)('%s', (_, read) => {
  const refused = async (name: string, problem: string, message: RegExp): Promise<void> => {
    const failed = expect(read(name, GIVEN)).rejects;
    await failed.toMatchObject({
      code: 'CONFIG_NOT_FOUND',
      details: { problem },
      message: expect.stringMatching(message),
    });
  };

  it('refuses a FIFO that nobody writes to, instead of waiting', () =>
    refused(makePipe(join(folder, 'pipe')), 'special', /it is a pipe, expected a regular file/));

  it.skipIf(process.platform !== 'linux').each(['/dev/ptmx', '/dev/zero', '/dev/tty'])(
    'refuses the device %s',
    (name) => refused(name, 'special', /it is a device, expected a regular file/),
  );

  it.skipIf(process.platform !== 'linux')('refuses a device behind a link', () => {
    symlinkSync('/dev/zero', path);
    return refused(path, 'special', /it is a device/);
  });

  it('refuses a socket', async () => {
    const server = createServer();
    await new Promise<void>((done) => server.listen(join(folder, 'socket'), done));
    await refused(join(folder, 'socket'), 'special', /it is a socket/);
    server.close();
  });

  it('refuses a folder', () => refused(folder, 'folder', /it is a folder, expected a file/));

  it('refuses a sparse file of 10 GB before it reads any of it', () =>
    refused(sparse(path, 10e9), 'too-large', /it has 9\.3 GiB, at most 1000 bytes are read/));

  it('refuses a file that is one byte too long, and reads one that is not', async () => {
    writeFileSync(path, 'x'.repeat(1001));
    await refused(path, 'too-large', /1001 bytes/);
    writeFileSync(path, 'x'.repeat(1000));
    await expect(read(path, GIVEN)).resolves.toBeDefined();
  });

  it('refuses names with NUL, missing names, names below a file, too long names and links that lead to themselves', async () => {
    writeFileSync(path, 'name: a');
    symlinkSync('loop', join(folder, 'loop'));
    await refused(`${path}\0.png`, 'missing', /NUL/);
    await refused(join(folder, 'absent'), 'missing', /no such file/);
    await refused(join(path, 'inside'), 'missing', /no such file/);
    await refused(join(folder, 'x'.repeat(300)), 'missing', /too long/);
    await refused(join(folder, 'loop'), 'unreadable', /leads to itself/);
  });

  it('names a path with line breaks on one line', async () => {
    await refused(join(folder, 'a\nerror: all is lost'), 'missing', /a\\nerror: all is lost": no such file$/);
  });

  it.skipIf(process.platform !== 'linux')('takes a file of /proc, whose size is unknown, for empty', async () => {
    const content = await read('/proc/self/environ', GIVEN);
    const nothing = createHash('sha256').digest('hex');
    expect(typeof content === 'string' ? content : content.length).toBe(typeof content === 'string' ? nothing : 0);
  });
});

describe('readGiven', () => {
  it('reads a file and a link to it whole', async () => {
    const bytes = Buffer.from(Array.from({ length: 3000 }, (__, i) => i % 251));
    writeFileSync(path, bytes);
    symlinkSync(path, join(folder, 'link'));
    const given = { ...GIVEN, mostBytes: 3000 };
    expect(await readGiven(path, given)).toEqual(bytes);
    expect(await readGiven(join(folder, 'link'), given)).toEqual(bytes);
    expect(readGivenSync(path, given)).toEqual(bytes);
    expect(await hashGiven(path, given)).toBe(createHash('sha256').update(bytes).digest('hex'));
    expect(await readGivenText(path, given)).toBe(bytes.toString('utf8'));
  });

  it('reads an empty file', async () => {
    writeFileSync(path, '');
    expect(await readGivenText(path, GIVEN)).toBe('');
  });

  it('says that a file is missing, and of no other problem', async () => {
    expect(isMissing(await readGiven(path, GIVEN).catch((error: unknown) => error))).toBe(true);
    expect(isMissing(await readGiven(folder, GIVEN).catch((error: unknown) => error))).toBe(false);
    expect(isMissing(new Error('no such file'))).toBe(false);
  });

  it('begins the message with the name that the caller gives', async () => {
    const given = { ...GIVEN, as: '--guards absent.yaml: cannot be read' };
    await expect(readGiven(path, given)).rejects.toThrow('--guards absent.yaml: cannot be read: no such file');
  });

  it('never waits for a FIFO that takes the place of the file between check and use', async () => {
    const [pipe, file] = [join(folder, 'pipe'), join(folder, 'file')];
    makePipe(pipe);
    for (const name of [file, path]) writeFileSync(name, 'name: a');
    let isSwapping = true;
    const outcomes = new Set<string>();
    const swap = (async () => {
      for (let i = 0; isSwapping; i += 1) {
        const other = join(folder, `other-${i}`);
        linkSync(i % 2 === 0 ? pipe : file, other);
        renameSync(other, path);
        await new Promise((resolved) => setImmediate(resolved));
      }
    })();
    for (let i = 0; i < 150; i += 1)
      outcomes.add(
        await readGivenText(path, GIVEN).catch((error: { details: { problem: string } }) => error.details.problem),
      );
    isSwapping = false;
    await swap;
    expect([...outcomes].filter((outcome) => outcome !== 'name: a' && outcome !== 'special')).toEqual([]);
  });

  const nobody = { uid: 65534, gid: 65534, encoding: 'utf8' } as const;
  const built = JSON.stringify(resolve('dist/src/base/disk/given-file.js'));
  // Another user may run neither a Node.js nor this code in a folder that is closed to others.
  const isNobodyAble =
    process.getuid?.() === 0 &&
    spawnSync(process.execPath, ['--input-type=module', '-e', `await import(${built})`], nobody).status === 0;
  if (!isNobodyAble) console.warn('skipped: another user cannot run this code here');

  it.skipIf(!isNobodyAble)('says that a file may not be read', () => {
    writeFileSync(path, 'secret');
    chmodSync(path, 0o600);
    chmodSync(folder, 0o711);
    const code = `import(${built}).then(({ readGiven }) =>
      readGiven(${JSON.stringify(path)}, { code: 'CONFIG_NOT_FOUND', mostBytes: 10 })).catch((error) => console.log(error.message))`;
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', code], nobody);
    expect(stdout).toMatch(/: permission denied/);
  });
});

describe('openGiven with folders that are allowed', () => {
  it('admits what lies in them by its real path, and nothing else', async () => {
    mkdirSync(join(folder, 'models'));
    mkdirSync(join(folder, 'models-of-others'));
    writeFileSync(join(folder, 'models/a.txt'), 'a');
    writeFileSync(join(folder, 'models-of-others/b.txt'), 'b');
    symlinkSync('../models-of-others/b.txt', join(folder, 'models/link.txt'));
    symlinkSync('..', join(folder, 'models/up'));
    const within = { ...GIVEN, within: [join(folder, 'models')] };
    expect(await readGivenText(join(folder, 'models/a.txt'), within)).toBe('a');
    expect(await readGivenText(join(folder, 'models/up/models/a.txt'), within)).toBe('a');
    for (const name of ['models/link.txt', 'models/../models-of-others/b.txt', 'models/up/models-of-others/b.txt'])
      await expect(readGivenText(join(folder, name), within)).rejects.toMatchObject({
        details: { problem: 'outside' },
      });
  });

  it('closes what it refuses', async () => {
    writeFileSync(path, 'x');
    const before = openDescriptors();
    for (let i = 0; i < 20; i += 1)
      await expect(openGiven(path, { ...GIVEN, within: ['/nowhere'] })).rejects.toMatchObject({
        code: 'CONFIG_NOT_FOUND',
      });
    expect(openDescriptors()).toBeLessThan(before + 20);
  });
});

function openDescriptors(): number {
  return process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0;
}
