import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SightlineError } from '../../src/base/errors/sightline-error.ts';
import { browserPath, browserTitle, openBrowser, until, visit } from '../support/chromium.ts';
import { LiveDouble } from '../support/live-double.ts';
import { OnvifCamera } from '../support/onvif-camera.ts';
import { openWholeGateway } from '../support/open-gateways.ts';

type Point = readonly [number, number];
const YARD: readonly Point[] = [
  [0.2, 0.2],
  [0.6, 0.2],
  [0.6, 0.6],
  [0.2, 0.6],
];
const ZONE = { id: 'yard', polygon: YARD, anchor: 'bottom-center', labels: ['person'] };
const LINE = { id: 'gate', from: [0.5, 0.9], to: [0.5, 0.3], anchor: 'center', bandRatio: 0.1 };

describe.skipIf(browserPath === undefined)(browserTitle('settings on the dashboard'), () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(() => browser.close());

  async function openSettings(settings: Record<string, unknown> = {}, tab = 'settings') {
    const port = await LiveDouble.create(2);
    port.settings.set('gate-1', { source: 'rtsp://bob:hunter2@camera.example/1', ...settings });
    const { url } = await openWholeGateway(port);
    const { page, complaints } = await visit(browser, `${url}/#stream=gate-1/${tab}`);
    await page.waitForSelector('.settings [name="source"]', { state: 'attached' });
    const field = (key: string) => page.locator(`.settings [name="${key}"]`);
    const done = (): Promise<string | null> => page.locator('.form-done').textContent();
    /** The bodies of the changes so far. */
    const changes = (): unknown[] =>
      port.calls
        .filter((call) => call.startsWith('change'))
        .map((call) => JSON.parse(call.slice('change gate-1 '.length)));
    return { port, url, page, complaints, field, done, changes };
  }

  const focused = (page: Page): Promise<string | null> =>
    page.evaluate('document.activeElement.getAttribute("aria-label") ?? document.activeElement.textContent');

  it('changes that were not applied are still there when the stream is shown again, and the browser asks before it leaves', async () => {
    const { port, page, complaints, field, done, changes } = await openSettings({ maxFps: 10 });
    const other = port.report().streams.find(({ id }) => id !== 'gate-1')!.id;
    const asks = (): Promise<boolean> =>
      page.evaluate(
        '(() => { const leave = new Event("beforeunload", { cancelable: true }); dispatchEvent(leave); return leave.defaultPrevented; })()',
      );
    expect(await asks()).toBe(false);
    await field('maxFps').fill('7');
    await page.evaluate(`location.hash = '#stream=${other}/settings'`);
    await until(async () => (await field('maxFps').inputValue()) !== '7');
    expect(await asks()).toBe(true);
    await page.evaluate('location.hash = "#stream=gate-1/settings"');
    await until(async () => (await field('maxFps').inputValue()) === '7');
    expect(await done()).toBe('These changes of yours are not saved yet.');
    await page.click('.settings [type="submit"]');
    await until(async () => (await done()) === 'Saved.');
    expect(changes()).toEqual([{ maxFps: 7 }]);
    expect(await asks()).toBe(false);
    expect(complaints).toEqual([]);
  });

  it('a source is tested before it is used, with the password that is not shown, and says what it is', async () => {
    const { port, page, complaints, field, changes } = await openSettings();
    const result = page.locator('.settings .source-test');
    expect(await field('source').inputValue()).toBe('rtsp://***@camera.example/1');
    await page.click('.settings [aria-label="Test the source"]');
    await until(async () => (await result.textContent())!.startsWith('It works'));
    expect(await result.textContent()).toBe(
      'It works: h264; 640 x 360; 24.9 frames/s, 25 stated; first frame after 310 ms; audio (aac) is ignored.',
    );
    const request = JSON.parse(port.calls.find((call) => call.startsWith('test'))!.slice('test '.length));
    expect(request).toMatchObject({ id: 'gate-1', source: 'rtsp://***@camera.example/1', transport: 'tcp' });

    port.testSource = () => Promise.reject(new SightlineError('SOURCE_UNREACHABLE', 'nothing answers at 10.0.0.9:554'));
    await field('source').fill('rtsp://10.0.0.9/1');
    expect(await result.textContent(), 'of the address before').toBe('');
    await page.click('.settings [aria-label="Test the source"]');
    await until(async () => (await result.textContent()) === 'It cannot be used: nothing answers at 10.0.0.9:554');
    expect(changes()).toEqual([]);
    // The browser itself logs answers that are no 2xx.
    expect(complaints.filter((text) => !text.includes('502'))).toEqual([]);
    await page.close();
  });

  it('the source of a new stream is tested in its dialog', async () => {
    const { port, page } = await openSettings();
    await page.click('#add');
    await page.fill('#add-source', 'rtsp://10.0.0.9/1');
    await page.click('#add-dialog [aria-label="Test the source"]');
    await until(async () => (await page.locator('#add-dialog .source-test').textContent())!.startsWith('It works'));
    expect(port.calls).toContain('test {"source":"rtsp://10.0.0.9/1"}');
    await page.close();
  });

  it('cameras on the network are found in the dialog, and a stream that is chosen fills it in', async () => {
    const port = 43_900 + (process.pid % 1000);
    const login = { user: 'viewer', password: 'a b&c' };
    const sub = { token: 'sub', name: 'Sub', width: 640, height: 360, fps: 10, uri: 'rtsp://127.0.0.1:9/sub' };
    const camera = await OnvifCamera.open({ port, login, profiles: [sub] });
    try {
      const runtime = await LiveDouble.create(2);
      const { url } = await openWholeGateway(runtime, { discovery: { networks: ['127.0.0.0/8'], port } });
      const { page, complaints } = await visit(browser, url);
      await page.click('#add');
      await page.click('.find-cameras summary');
      const search = async (text: RegExp): Promise<void> => {
        await page.click('#find-start');
        await until(async () => text.test((await page.locator('#found').textContent())!));
      };
      await search(/login/);
      await page.fill('#find-user', login.user);
      await page.fill('#find-password', login.password);
      await search(/Sub: H264, 640 x 360, 10 frames\/s/);
      expect(await page.locator('#found b').textContent()).toBe('Front Door, T-1000');
      for (const [scheme, width, height] of [
        ['dark', 1280, 800],
        ['light', 1280, 800],
        ['dark', 390, 844],
        ['light', 390, 844],
      ] as const) {
        await page.emulateMedia({ colorScheme: scheme });
        await page.setViewportSize({ width, height });
        const { scrollWidth, clientWidth } = await page
          .locator('#add-dialog')
          .evaluate((node: { scrollWidth: number; clientWidth: number }) => ({
            scrollWidth: node.scrollWidth,
            clientWidth: node.clientWidth,
          }));
        expect(scrollWidth, `${width}, ${scheme}`).toBeLessThanOrEqual(clientWidth);
      }
      await page.click('#found button');
      expect(await page.inputValue('#add-id')).toBe('front-door');
      expect(await page.inputValue('#add-source')).toBe('rtsp://***@127.0.0.1:9/sub');
      const real = 'rtsp://viewer:a%20b%26c@127.0.0.1:9/sub';
      await page.click('#add-dialog button:text-is("Test")');
      await until(() => runtime.calls.includes(`test {"source":"${real}"}`));
      await page.click('#add-submit');
      await until(() => runtime.calls.includes(`add front-door ${real}`));
      expect(complaints).toEqual([]);
      await page.close();
    } finally {
      camera.close();
    }
  });

  it('recording, live video and a media server are settings of the form', async () => {
    const restream = 'rtsp://bob:hunter2@media.example/door';
    const off = await openSettings();
    expect([await off.field('record').inputValue(), await off.field('live').inputValue()]).toEqual(['', '']);
    await off.field('record').selectOption('continuous');
    await off.field('live').selectOption('true');
    expect(await off.done()).toBe('2 changes not saved');
    await off.page.click('.settings [type="submit"]');
    await until(() => off.changes().length === 1);
    expect(off.changes()).toEqual([{ record: 'continuous', live: true }]);
    await off.page.close();

    const { page, complaints, field, changes } = await openSettings({ record: 'events', live: true, restream });
    expect(await field('restream').inputValue()).toBe('rtsp://***@media.example/door');
    expect([await field('record').inputValue(), await field('live').inputValue()]).toEqual(['events', 'true']);
    await field('record').selectOption('');
    await field('live').selectOption('');
    await field('restream').fill('');
    await page.click('.settings [type="submit"]');
    await until(() => changes().length === 1);
    expect(changes()).toEqual([{ record: null, live: false, restream: null }]);
    expect([...complaints, ...off.complaints]).toEqual([]);
    await page.close();
  });

  it('settings that somebody else has changed are not overwritten, and the user chooses what to do', async () => {
    const { port, page, field, done, changes } = await openSettings({ maxFps: 25 });
    const conflict = page.locator('.conflict');
    const somebodyElse = async (maxFps: number): Promise<void> => {
      await port.changeStream('gate-1', { maxFps });
      port.settings.set('gate-1', { ...port.settings.get('gate-1'), maxFps });
    };
    const apply = (): Promise<void> => page.click('.settings button[type="submit"]');
    await somebodyElse(20);
    await field('every').fill('2');
    await apply();
    await until(() => conflict.isVisible());
    expect(await conflict.locator('p').textContent()).toBe(
      'Somebody else has changed the rate of this stream meanwhile, so nothing of yours was saved.',
    );
    await until(async () => (await focused(page)) === 'Keep editing');
    await page.keyboard.press('Enter');
    expect([await field('every').inputValue(), await field('maxFps').inputValue()]).toEqual(['2', '20']);
    expect([await conflict.isVisible(), await focused(page)]).toEqual([false, 'Save']);
    await page.keyboard.press('Enter');
    await until(async () => (await done()) === 'Saved.');
    expect(changes()).toEqual([{ maxFps: 20 }, { every: 2 }]);

    await somebodyElse(10);
    await field('maxFps').fill('5');
    await apply();
    await page.click('text=Show the new settings');
    await until(async () => (await field('maxFps').inputValue()) === '10');
    expect(await focused(page)).toBe('Save');
    await apply();
    await until(async () => (await done()) === 'Nothing was changed.');
    expect(changes()).toHaveLength(3);
    await page.close();
  });

  it('corners, ends and whole zones and lines are moved with the keyboard, and Undo takes each change back', async () => {
    const { page, complaints, done, changes } = await openSettings({ zones: [ZONE], lines: [LINE] }, 'places');
    await page.waitForSelector('.place-layer');
    const { width, height } = (await page.locator('.place-layer').boundingBox())!;
    await page.focus('.place-handles [data-handle="0 whole"]');
    const press = async (...keys: string[]): Promise<void> => {
      for (const key of keys) await page.keyboard.press(key);
    };
    await press('Shift+ArrowRight', 'ArrowRight', 'ArrowDown');
    // It stays in the picture.
    for (let i = 0; i < 20; i++) await press('Shift+ArrowUp');
    await press('Tab', 'Tab', 'ArrowLeft');
    const x = (pixels: number): number => Math.round(1e4 * (pixels / width)) / 1e4;
    const [left, right] = [0.2 + x(10) + x(1), 0.6 + x(10) + x(1)];
    expect(await page.locator('.places-group [role="status"]').textContent()).toMatch(
      /^zone yard, corner 2: 61\.\d % from the left, 0\.0 % from the top$/,
    );
    // A corner comes and goes; then the last one goes.
    await press('+', 'Delete', 'Tab', 'Delete');
    await page.focus('.place-handles [data-handle="1 whole"]');
    await page.focus('[data-handle="1 1"]');
    await press('Shift+ArrowLeft', 'Shift+ArrowLeft', 'Escape');
    expect(await page.locator(':focus').textContent()).toMatch(/gate/);
    expect(await done()).toBe('2 changes not saved');
    // Two steps with the arrows in a row are one change.
    await page.click('text=Undo');
    expect(await done()).toBe('1 change not saved');
    await page.click('.settings button[type="submit"]');
    await until(async () => (await done()) === 'Saved.');
    const [{ zones }] = changes() as [{ zones: [{ polygon: Point[] }] }];
    const top = 0.2 - Math.min(0.2, (20 * 10) / height) + 0;
    const corners = [
      [left, top],
      [right - x(1), top],
      [right, top + 0.4],
    ];
    for (const [i, corner] of corners.entries())
      for (const axis of [0, 1]) expect(zones[0].polygon[i]![axis]).toBeCloseTo(corner[axis]!, 2);
    expect(changes()).toEqual([{ zones: [{ ...ZONE, polygon: zones[0].polygon }] }]);
    expect(zones[0].polygon).toHaveLength(3);
    // Nothing is left to take back.
    expect(await page.locator('button:text("Undo")').isDisabled()).toBe(true);
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('zones and lines are dragged, added, renamed and deleted, and Cancel brings all of it back', async () => {
    const { page, done, changes } = await openSettings({ zones: [ZONE], lines: [LINE] }, 'places');
    await page.waitForSelector('.place-layer');
    const ids = () => page.locator('.place-row .place-pick span:not(.place-count) > b').allTextContents();
    const drag = async (handle: string, dx: number, dy: number): Promise<void> => {
      const layer = (await page.locator('.place-layer').boundingBox())!;
      const { x, y, width, height } = (await page.locator(`.place-handles [data-handle="${handle}"]`).boundingBox())!;
      await page.mouse.move(x + width / 2, y + height / 2);
      await page.mouse.down();
      await page.mouse.move(x + width / 2 + dx * layer.width, y + height / 2 + dy * layer.height, { steps: 3 });
      await page.mouse.up();
    };
    await page.click('[aria-label="Delete line gate"]');
    await until(async () => (await ids()).join() === 'yard');
    await page.click('.settings-actions >> text=Cancel');
    await until(async () => (await ids()).length === 2);
    expect(await done()).toBe('Your changes were dropped.');

    await page.click('[aria-label="Add zone"]');
    await until(async () => (await focused(page))!.startsWith('Whole zone zone-1'));
    await page.locator('[name="zones[1].id"]').fill('door');
    await page.locator('[name="zones[1].labels"]').fill('car');
    await page.keyboard.press('Enter');
    // The middle of the upper edge of the new zone becomes a corner of its own.
    await drag('2 after0', 0, -0.2);
    await page.focus('.place-handles [data-handle="0 whole"]');
    // A handle is 24 px wide and is reached 10 px beside it.
    const box = (await page.locator('[data-handle="0 0"]').boundingBox())!;
    expect([box.width, box.height]).toEqual([24, 24]);
    expect(await page.evaluate(`document.elementFromPoint(${box.x - 9}, ${box.y + 12}).dataset.handle`)).toBe('0 0');
    await drag('0 0', 0.1, 0.1);
    await page.locator('.place-handles [data-handle="1 whole"]').focus();
    await page.keyboard.press('Delete');
    await page.click('.settings button[type="submit"]');
    await until(async () => (await done()) === 'Saved.');
    const [change] = changes() as [{ zones: { id: string; labels: string[]; polygon: Point[] }[]; lines: unknown }];
    expect(change.lines).toEqual([]);
    expect(change.zones.map(({ id, labels }) => [id, ...labels])).toEqual([
      ['yard', 'person'],
      ['door', 'car'],
    ]);
    const near = (points: readonly Point[]) => points.map((point) => point.map((value) => Math.round(100 * value)));
    expect(near(change.zones[0]!.polygon)).toEqual(near([[0.3, 0.3], ...YARD.slice(1)]));
    expect(near(change.zones[1]!.polygon)).toEqual([
      [30, 30],
      [50, 10],
      [70, 30],
      [70, 70],
      [30, 70],
    ]);
    await page.close();
  });

  it('a mask is added beside zones and made a blur; rules do not know of it', async () => {
    const { page, complaints, done, changes } = await openSettings({ zones: [ZONE] }, 'places');
    await page.waitForSelector('.place-layer');
    await page.click('[aria-label="Add mask"]');
    await until(async () => (await focused(page))!.startsWith('Whole mask mask-1'));
    await page.locator('[name="masks[0].id"]').fill('street');
    await page.locator('[name="masks[0].fill"]').selectOption('blur');
    expect(await page.locator('[data-place="masks[0]"] small').textContent()).toBe('Mask, blur');
    await page.click('.settings button[type="submit"]');
    await until(async () => (await done()) === 'Saved.');
    const polygon = [
      [0.1, 0.1],
      [0.3, 0.1],
      [0.3, 0.3],
      [0.1, 0.3],
    ];
    expect(changes()).toEqual([{ masks: [{ id: 'street', fill: 'blur', polygon }] }]);
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('a fault is shown at its field, which has the focus', async () => {
    const { port, page, field } = await openSettings({ zones: [ZONE] }, 'places');
    const message = 'stream "gate-1": zones[0].id: expected letters, received "a b" (string)';
    port.changeStream = () => Promise.reject(new SightlineError('CONFIG_INVALID', message));
    await page.click('[data-place="zones[0]"] .place-pick');
    await field('zones[0].id').fill('a b');
    // Its tab is shown with it.
    await page.click('[data-camera-tab="settings"]');
    await page.click('.settings button[type="submit"]');
    await until(async () => (await field('zones[0].id').getAttribute('aria-invalid')) === 'true');
    expect(await page.locator('.place-row .field-error').first().textContent()).toMatch(/^expected letters/);
    expect(await page.locator(':focus').getAttribute('name')).toBe('zones[0].id');
    await page.close();
  });

  it('labels come from the list of the model, by the list or by typing', async () => {
    const port = await LiveDouble.create(1);
    const labels = ['person', 'car', 'traffic light'];
    const summary = { family: 'yolox', inputWidth: 416, inputHeight: 416, reportedAp: null, labels };
    const models = async () => [{ ...summary, name: port.host.device.model }];
    const { url } = await openWholeGateway(port, { models });
    const { page, complaints } = await visit(browser, `${url}/#stream=gate-1/settings`);
    const listed = page.locator('[data-pane="settings"] datalist option');
    await until(async () => {
      port.tick();
      return (await listed.count()) === 3;
    });
    await page.fill('.settings [name="labels"]', 'traffic light');
    await page.keyboard.press('Enter');
    expect(await page.locator('[data-pane="settings"] .chips li').allInnerTexts()).toEqual([
      expect.stringMatching(/^traffic light/),
    ]);
    // It is not suggested again.
    expect(await listed.count()).toBe(2);
    await page.click('.settings button[type="submit"]');
    await until(() => port.calls.includes('change gate-1 {"labels":["traffic light"]}'));
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('a single stream has a way to its settings, and removing it leads back', async () => {
    const port = await LiveDouble.create(1);
    const { url } = await openWholeGateway(port);
    const { page } = await visit(browser, url);
    await page.click('[data-stream="gate-1"]');
    await page.click('[data-camera-tab="settings"]');
    await page.waitForSelector('.settings [name="source"]:visible');
    await page.keyboard.press('Escape');
    await until(() => page.locator('.settings').isHidden());
    await until(async () => (await page.locator(':focus').getAttribute('data-stream')) === 'gate-1');
    await page.keyboard.press('Enter');
    await page.waitForSelector('[data-camera="gate-1"]');
    await page.click('[aria-label="Remove gate-1"]');
    await page.click('#remove-dialog [value="remove"]');
    await until(() => page.locator('#back').isHidden());
    expect(new URL(page.url()).hash).toBe('');
    await page.close();
  });

  it('says why changes are not kept, asks about it once for several events, and stops when they are', async () => {
    const port = await LiveDouble.create(1);
    port.unkept = 'this process keeps no overlay';
    const { url } = await openWholeGateway(port);
    let asked = 0;
    const pipeline = port.pipeline.bind(port);
    port.pipeline = () => {
      asked += 1;
      return pipeline();
    };
    const { page, complaints } = await visit(browser, url);
    const notice = page.locator('#notice');
    await until(() => notice.isVisible());
    expect(await notice.locator('p').textContent()).toBe(
      'Changes of streams end with this process and are not kept: this process keeps no overlay.',
    );
    const event = { type: 'event', timeMs: Date.now(), message: 'm' } as const;
    port.emitEvent({ ...event, kind: 'overlay-recovered' });
    await until(() => notice.isHidden());
    expect(asked).toBe(1);
    port.unkept = '/var/o.json cannot be written: no space left';
    for (let i = 0; i < 5; i++) port.emitEvent({ ...event, kind: 'overlay-failed', message: `m ${i}` });
    await until(async () => /no space left/.test((await notice.textContent())!));
    expect(asked).toBe(2);
    await page.click('#notice >> text=Hide');
    await page.reload();
    await page.waitForSelector('[data-stream="gate-1"]');
    await until(() => asked === 3);
    expect(await notice.isVisible()).toBe(false);
    expect(complaints).toEqual([]);
    await page.close();
  });
});
