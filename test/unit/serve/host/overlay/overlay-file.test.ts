import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  OverlayFile,
  type OverlayPlace,
  overlayPath,
  readOverlay,
} from '../../../../../src/serve/host/overlay/overlay-file.ts';
import { ManualClock } from '../../../../support/manual-clock.ts';

const ENTRY = { added: { source: 'rtsp://bob:hunter2@camera.example/1' } };

describe('the overlay on disk', () => {
  let cacheDir: string;
  let place: OverlayPlace;
  const open: OverlayFile[] = [];
  beforeEach(() => {
    cacheDir = mkdtempSync(join(tmpdir(), 'sightline-overlay-'));
    place = { pipeline: 'day', pipelinePath: '/etc/day.yaml', cacheDir };
  });
  afterEach(async () => {
    for (const file of open.splice(0)) await file.close();
    rmSync(cacheDir, { recursive: true, force: true });
  });
  const opened = async (clock?: ManualClock): Promise<OverlayFile> => {
    const file = await OverlayFile.open({ ...place, ...(clock === undefined ? {} : { clock }) });
    open.push(file);
    return file;
  };
  const folder = (): string => dirname(overlayPath(place));
  const files = (): string[] => readdirSync(folder()).sort();

  it('has what was set, once it is saved', async () => {
    const file = await opened();
    file.set('gate', ENTRY);
    await file.save();
    expect(await readOverlay(place)).toEqual({ gate: ENTRY });
    file.set('gate', undefined);
    await file.save();
    expect(await readOverlay(place)).toEqual({});
    expect(file.problem).toBeNull();
  });

  it('has the newest of many changes at once, and leaves no other file', async () => {
    const file = await opened();
    await Promise.all(
      Array.from({ length: 50 }, (_, i) => {
        file.set('gate', { added: { source: 'demo', every: i + 1 } });
        return file.save();
      }),
    );
    expect(await readOverlay(place)).toEqual({ gate: { added: { source: 'demo', every: 50 } } });
    await file.close();
    expect(files()).toEqual([basename(overlayPath(place))]);
  });

  it('removes what a killed process left of writing it, and nothing else', async () => {
    mkdirSync(folder(), { recursive: true });
    const name = basename(overlayPath(place));
    writeFileSync(join(folder(), `.${name}.0f0e.tmp`), '{"passwords":1}');
    writeFileSync(join(folder(), '.other-1a2b.json.0f0e.tmp'), '');
    await opened();
    expect(files()).toContain('.other-1a2b.json.0f0e.tmp');
    expect(files()).not.toContain(`.${name}.0f0e.tmp`);
  });

  it.skipIf(process.platform === 'win32')('can be read by its owner only', async () => {
    const file = await opened();
    file.set('gate', ENTRY);
    await file.save();
    expect(statSync(file.path).mode & 0o777).toBe(0o600);
    expect(statSync(folder()).mode & 0o777).toBe(0o700);
  });

  it('of two pipelines with one name, or one path, is not the same', () => {
    const paths = [place, { ...place, pipelinePath: '/srv/day.yaml' }, { ...place, pipeline: '../night' }].map(
      overlayPath,
    );
    expect(new Set(paths).size).toBe(3);
    for (const path of paths) expect(dirname(path)).toBe(join(cacheDir, 'overlays'));
  });

  it.each([
    ['cut off', '{"version":1,"pipeline":"day","pa'],
    ['empty', ''],
    ['of another shape', '{"version":1,"pipeline":"day","path":"/x","streams":{"gate":{"isRemoved":"yes"}}}'],
    ['of a newer version', '{"version":2,"pipeline":"day","path":"/x","streams":{}}'],
  ])('that is %s is kept aside, and the pipeline starts without it', async (_, text) => {
    mkdirSync(folder(), { recursive: true });
    writeFileSync(overlayPath(place), text);
    const file = await opened();
    expect(file.streams).toEqual({});
    expect(file.problem).toBeNull();
    expect(file.notices).toEqual([expect.stringMatching(/overlay .*day.*it is kept as .*damaged/)]);
    file.set('gate', ENTRY);
    await file.save();
    const aside = files().filter((name) => name.includes('.damaged-'));
    expect(aside.map((name) => readFileSync(join(folder(), name), 'utf8'))).toEqual([text]);
    expect(await readOverlay(place)).toEqual({ gate: ENTRY });
  });

  it('that is a folder is left alone: changes take effect and are said not to be kept', async () => {
    mkdirSync(overlayPath(place), { recursive: true });
    const file = await opened();
    file.set('gate', ENTRY);
    await file.save();
    expect(file.streams).toEqual({ gate: ENTRY });
    expect(file.problem).toMatch(/cannot be used, and is left as it is/);
    expect(statSync(overlayPath(place)).isDirectory()).toBe(true);
  });

  it('is kept by one process of a pipeline: a second one reads it, and says that it keeps nothing', async () => {
    const first = await opened();
    first.set('gate', ENTRY);
    await first.save();
    const second = await opened();
    expect(second.streams).toEqual({ gate: ENTRY });
    expect(second.problem).toMatch(new RegExp(`process ${process.pid} on .* runs the same pipeline file`));
    second.set('gate', { isRemoved: true });
    await second.save();
    expect(await readOverlay(place)).toEqual({ gate: ENTRY });
    await first.close();
    expect((await opened()).problem).toBeNull();
  });

  it.skipIf(process.platform === 'win32')(
    'that cannot be written is written later, and both are reported once',
    async () => {
      // A file where the folder should be: not even root can write below it.
      const blocked = join(cacheDir, 'overlays');
      writeFileSync(blocked, '');
      const clock = new ManualClock();
      const file = await opened(clock);
      const reports: (string | null)[] = [];
      file.onTrouble((problem) => reports.push(problem));
      file.set('gate', ENTRY);
      await file.save();
      await file.save();
      expect(file.problem).toMatch(/cannot be written/);
      expect(reports).toEqual([file.problem]);
      rmSync(blocked);
      clock.advance(10_000);
      await file.save();
      expect(file.problem).toBeNull();
      expect(reports.at(-1)).toBeNull();
      expect(reports).toHaveLength(2);
      expect(await readOverlay(place)).toEqual({ gate: ENTRY });
    },
  );

  it.skipIf(process.platform === 'win32' || process.getuid?.() === 0)(
    'in a folder without permission keeps nothing',
    async () => {
      mkdirSync(folder(), { recursive: true });
      chmodSync(folder(), 0o500);
      const file = await opened();
      file.set('gate', ENTRY);
      await file.save();
      expect(file.problem).toMatch(/cannot be written/);
      chmodSync(folder(), 0o700);
    },
  );
});
