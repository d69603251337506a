import type { Browser, Page } from 'playwright-core';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Detection } from '../../src/base/core/detection.ts';
import { browserPath, browserTitle, openBrowser, until, visit } from '../support/chromium.ts';
import { LiveDouble } from '../support/live-double.ts';
import { openWholeGateway } from '../support/open-gateways.ts';
import { publishedFrame, type RuntimeDouble } from '../support/runtime-double.ts';

describe.skipIf(browserPath === undefined)(browserTitle('dashboard'), () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(() => browser.close());

  /** Text of one figure of the open camera. */
  function figure(page: Page, tile: string): Promise<string | null> {
    return page.locator(`.camera [data-tile="${tile}"] .tile-value`).textContent();
  }

  /** Pixels of a tile's canvas that are not transparent. */
  function paintedPixels(page: Page, stream: string, canvas: string): Promise<number> {
    return page.locator(`[data-stream="${stream}"] canvas.${canvas}`).evaluate((node) => {
      const { width, height } = node as unknown as { width: number; height: number };
      const context = (node as unknown as { getContext(kind: '2d'): { getImageData: ImageReader } }).getContext('2d');
      if (width === 0 || height === 0) return 0;
      const { data } = context.getImageData(0, 0, width, height);
      let painted = 0;
      for (let i = 3; i < data.length; i += 4) if (data[i] !== 0) painted += 1;
      return painted;
    });
  }

  it('shows a camera with its picture and boxes on the wall, and with all its figures on its page', async () => {
    const port = await LiveDouble.create(1);
    const { url } = await openWholeGateway(port);
    const { page, complaints } = await visit(browser, url);

    await page.waitForSelector('[data-stream="gate-1"]');
    await until(() => port.watched.has('gate-1'));
    await until(async () => {
      port.showPictures();
      return (await paintedPixels(page, 'gate-1', 'overlay')) > 500;
    });
    expect(await paintedPixels(page, 'gate-1', 'picture')).toBe(640 * 360);
    expect(await page.locator('[data-stream="gate-1"] .in-view').textContent()).toMatch(/\d (?:person|people)/);

    await page.click('[data-stream="gate-1"]');
    await page.waitForSelector('[data-camera="gate-1"]');
    const before = await figure(page, 'fps');
    const gate = port.report().streams[0]!;
    port.put({
      ...gate,
      fps: { ...gate.fps, published: 87.6 },
      queueDepth: 31,
      isMissing: { fps: true, latency: false },
    });
    port.tick();
    await until(async () => (await figure(page, 'fps')) === '87.6');
    expect(before).not.toBe('87.6');
    expect(await page.locator('[data-counter="queue"] dd').textContent()).toBe('31');
    expect(await page.locator('.miss').textContent()).toContain('Target missed: 87.6 fps, target 24');
    await page.click('[data-tab="system"]');
    expect(await page.locator('[data-busy="infer"] .tag').textContent()).toBe('bottleneck');
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('says why a target is missed, and calls a value above its target only while it is', async () => {
    const port = await LiveDouble.create(1);
    const gate = port.report().streams[0]!;
    const latencyOf = (p99: number) => ({ ...gate.latencyMs, window: { ...gate.latencyMs.window, p99 } });
    const show = (p99: number, latency: string): void => {
      port.put({
        ...gate,
        fps: { ...gate.fps, published: 2 },
        target: { fps: 25, latencyMs: 400 },
        isMissing: { fps: true, latency: true },
        missReasons: { fps: 'publishes 2.0 of 25 frames/s because maxFps is 2', latency },
        latencyMs: latencyOf(p99),
      });
      port.host = {
        ...port.host,
        bottleneck: 'decode',
        busyRatio: { decode: 0.21, preprocess: 0, infer: 0.2, main: 0 },
      };
      port.tick();
    };
    const { url } = await openWholeGateway(port);
    const { page, complaints } = await visit(browser, `${url}/#stream=gate-1`);
    await page.waitForSelector('[data-camera="gate-1"]');
    const note = page.locator('[data-tile="p99"] .tile-note');
    show(520, 'p99 520 ms, target 400 ms, most of it in queue (p99 310 ms)');
    await until(async () => (await note.textContent()) === 'ms, above 400');
    expect(await page.locator('.miss').textContent()).toBe(
      'Target missed: publishes 2.0 of 25 frames/s because maxFps is 2; ' +
        'p99 520 ms, target 400 ms, most of it in queue (p99 310 ms)',
    );
    show(268, 'p99 268 ms, target 400 ms, within it for less than 30 s');
    await until(async () => (await note.textContent()) === 'ms, target 400');
    // The busiest stage has room: it limits nothing.
    await page.click('[data-tab="system"]');
    expect(await page.locator('[data-busy="decode"] .tag').textContent()).toBe('');
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('draws zones and lines where they are in the picture, also one that is not as wide as its tile', async () => {
    const port = await LiveDouble.create(1);
    const { url } = await openWholeGateway(port);
    const { page, complaints } = await visit(browser, url);
    await page.waitForSelector('[data-stream="gate-1"]');
    await until(() => port.watched.has('gate-1'));
    // 4:3 in a tile of 16:9: a quarter of the width stays empty.
    const source = { width: 640, height: 480 };
    const background = { ...source, channels: 3, background: '#333' } as const;
    const jpeg = await sharp({ create: background }).jpeg().toBuffer();
    /** Colours of the overlay around a point of the picture, 0 to 1: nine pixels, since lines are two wide. */
    const colorsAt = (x: number, y: number): Promise<string[]> =>
      page.locator('[data-stream="gate-1"] canvas.overlay').evaluate(
        (node, point) => {
          const canvas = node as unknown as { width: number; height: number };
          const context = (node as unknown as { getContext(kind: '2d'): { getImageData: ImageReader } }).getContext(
            '2d',
          );
          const pictureWidth = (canvas.height * 4) / 3;
          const left = (canvas.width - pictureWidth) / 2;
          const at = [Math.floor(left + point.x * pictureWidth), Math.floor(point.y * canvas.height)] as const;
          const data = [...context.getImageData(at[0] - 1, at[1] - 1, 3, 3).data];
          return Array.from({ length: 9 }, (_, i) => data.slice(4 * i, 4 * i + 4).join());
        },
        { x, y },
      );
    const [amber, white] = ['255,213,79,255', '255,255,255,255'];
    await until(async () => {
      port.preview(publishedFrame('gate-1', 1, [], source), jpeg);
      // Middle of the zone's edge from 0.95, 0.4 to 0.9, 0.9; a quarter along the line from 0.1, 0.62 to 0.45, 0.9.
      return (await colorsAt(0.925, 0.65)).includes(amber) && (await colorsAt(0.1875, 0.69)).includes(white);
    });
    // Inside the zone it is only tinted, outside nothing is drawn.
    for (const color of await colorsAt(0.75, 0.65)) expect(color.split(',')[3]).toMatch(/^3\d$/);
    for (const color of await colorsAt(0.3, 0.3)) expect(color).toBe('0,0,0,0');
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('names objects on the page of a camera only: on the wall they are counted', async () => {
    const port = await LiveDouble.create(7);
    const { url } = await openWholeGateway(port);
    const { page } = await visit(browser, url);
    await page.waitForSelector('[data-stream="gate-1"]');
    await until(() => port.watched.has('gate-1'));
    const background = { width: 320, height: 180, channels: 3, background: '#333' } as const;
    const jpeg = await sharp({ create: background }).jpeg().toBuffer();
    const atTop: Detection = { classId: 0, label: 'person', score: 0.9, box: [300, 100, 500, 500] };
    /** Whether the blue of people fills a row of pixels above the middle of the box, as a label does. */
    const isNamed = (canvas: string): Promise<boolean> =>
      page.locator(`${canvas} canvas.overlay`).evaluate((node) => {
        const { width, height } = node as unknown as { width: number; height: number };
        const context = (node as unknown as { getContext(kind: '2d'): { getImageData: ImageReader } }).getContext('2d');
        const { data } = context.getImageData(0, 0, width, height);
        const rows = Array.from({ length: height }, (_, y) =>
          Array.from({ length: width }, (_, x) => data[4 * (y * width + x) + 3]! > 200).filter(Boolean),
        );
        // The box itself has two rows that are full over its width, its label a dozen.
        return rows.filter((row) => row.length > 20).length > 8;
      });
    const show = (): void => port.preview(publishedFrame('gate-1', 1, [{ ...atTop, trackId: 7 }]), jpeg);
    port.put({ ...port.report().streams[0]!, zones: [], lines: [] });
    port.tick();
    await until(async () => {
      show();
      return (await page.locator('[data-stream="gate-1"] .in-view').textContent()) === '1 person';
    });
    expect(await isNamed('[data-stream="gate-1"]')).toBe(false);
    await page.click('[data-stream="gate-1"]');
    await until(() => {
      show();
      return isNamed('[data-camera="gate-1"]');
    });
    await page.close();
  });

  it('shows sixty cameras and watches only those in view', async () => {
    const port = await LiveDouble.create(60);
    const { url } = await openWholeGateway(port);
    const { page, complaints } = await visit(browser, url, 'light');

    await until(async () => (await page.locator('.wall-tile').count()) === 60);
    await until(() => port.watched.size > 0);
    const watchedAtTop = new Set(port.watched);
    expect(watchedAtTop.size).toBeLessThan(60);
    expect(watchedAtTop).toContain('gate-1');

    await page.locator('[data-stream="bridge-6"]').scrollIntoViewIfNeeded();
    await until(() => port.watched.has('bridge-6'));
    await until(async () => {
      port.showPictures();
      return (await paintedPixels(page, 'bridge-6', 'overlay')) > 50;
    });

    await page.fill('#filter', 'dock');
    await until(async () => (await page.locator('.wall-tile:visible').count()) === 6);
    await page.fill('#filter', '');
    await page.click('#attention');
    // Six are slow, five are late, one of them both, and two reconnect.
    await until(async () => (await page.locator('.wall-tile:visible').count()) === 6 + 5 - 1 + 2);
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('pauses, resumes, adds and removes streams, asks before removing, and shows errors', async () => {
    const port: RuntimeDouble = await LiveDouble.create(2);
    const { url } = await openWholeGateway(port);
    const { page } = await visit(browser, `${url}/#stream=gate-1`);

    await page.click('button[aria-label="Pause gate-1"]');
    await until(async () => (await page.locator('[data-camera="gate-1"] .badge').textContent()) === 'Paused');
    await page.click('button[aria-label="Resume gate-1"]');
    await until(() => port.calls.includes('resume gate-1'));
    expect(port.calls).toContain('pause gate-1');

    await page.click('#add');
    await page.fill('#add-id', 'yard-1');
    await page.fill('#add-source', 'rtsp://camera.example/new');
    await page.click('#add-submit');
    await until(async () => (await page.locator('#add-error').textContent())!.includes('already runs'));
    await page.fill('#add-id', 'new');
    await page.keyboard.press('Enter');
    await page.waitForSelector('[data-stream="new"]', { state: 'attached' });
    await page.click('#back');
    await page.click('[data-stream="new"]');
    expect(port.calls).toContain('add new rtsp://camera.example/new');

    await page.click('button[aria-label="Remove new"]');
    await page.click('#remove-dialog button[value="cancel"]');
    await page.click('button[aria-label="Remove new"]');
    await page.click('#remove-dialog button[value="remove"]');
    await until(async () => (await page.locator('[data-stream="new"]').count()) === 0);
    expect(port.calls.filter((call) => call === 'remove new')).toHaveLength(1);
    await page.close();
  });

  it('names the stream of an event once, whether or not its message names it', async () => {
    const port = await LiveDouble.create(1);
    const { url } = await openWholeGateway(port);
    const events = [
      { stream: 'gate-1', message: 'gate-1 is running' },
      { stream: 'gate-1', message: 'gate-1: 2 ring slots were not released' },
      { stream: 'gate-1', message: 'gate-10 is another one' },
      { stream: 'gate-1', message: 'the decoder repaired damaged data' },
      { host: 'gpu-1', message: 'host gpu-1 joined' },
      { message: 'batch size 8 is best' },
    ];
    for (const [i, event] of events.entries())
      port.emitEvent({ type: 'event', timeMs: i, kind: 'stream-warning', ...event });
    const { page, complaints } = await visit(browser, `${url}/#events?show=log`);
    await until(async () => (await page.locator('.events li:not(.none)').count()) === events.length);
    expect(await page.locator('.events .event-text').allTextContents()).toEqual([
      'batch size 8 is best',
      'gpu-1 host gpu-1 joined',
      'gate-1 the decoder repaired damaged data',
      'gate-1 gate-10 is another one',
      'gate-1 2 ring slots were not released',
      'gate-1 is running',
    ]);
    expect(await page.locator('.events b').allTextContents()).toEqual(['gpu-1', ...Array(4).fill('gate-1')]);
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('shows the times by which engine auto chose, only if it compared engines', async () => {
    const port = await LiveDouble.create(1);
    const { url } = await openWholeGateway(port);
    const { page, complaints } = await visit(browser, url);
    const compared = page.locator('.facts > div', { hasText: 'Compared' });
    await page.waitForSelector('[data-stream="gate-1"]');
    await page.click('[data-tab="system"]');
    expect(await compared.isVisible()).toBe(false);
    const comparison = 'openvino bf16 5.0 ms, onnx f32 5.7 ms';
    port.host = { ...port.host, device: { ...port.host.device, comparison } };
    port.tick();
    await until(() => compared.isVisible());
    expect(await compared.locator('dd').textContent()).toBe('openvino bf16 5.0 ms\nonnx f32 5.7 ms');
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('shows a lost connection and reconnects when the gateway is back', async () => {
    const port = await LiveDouble.create(1);
    const first = await openWholeGateway(port);
    const { page } = await visit(browser, first.url);
    await until(async () => (await page.locator('#connection').textContent()) === 'Live');

    await first.close();
    await until(async () => (await page.locator('#connection').textContent())!.startsWith('Connection lost'));
    await page.setViewportSize({ width: 1280, height: 900 });
    expect(await page.evaluate('document.documentElement.scrollWidth'), 'the bar fits').toBe(1280);
    const second = await openWholeGateway(port, { port: first.port });
    expect(second.url).toBe(first.url);
    await until(async () => (await page.locator('#connection').textContent()) === 'Live');
    await until(() => port.watched.has('gate-1'));
    await page.close();
  });

  it('lists events by their time, also those from before a reconnect that arrive later', async () => {
    const port = await LiveDouble.create(1);
    const first = await openWholeGateway(port);
    const { page } = await visit(browser, `${first.url}/#events?show=log`);
    await page.waitForSelector('.panel-events:visible');
    await until(async () => (await page.locator('#connection').textContent()) === 'Live');
    await first.close();
    let letHistoryIn = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      letHistoryIn = resolve;
    });
    await page.route('**/api/events*', async (route) => {
      await gate;
      await route.continue();
    });
    await openWholeGateway(port, { port: first.port });
    const emit = (timeMs: number, message: string): void =>
      port.emitEvent({ type: 'event', timeMs, kind: 'stream-warning', message });
    emit(1000, 'missed first');
    emit(2000, 'missed second');
    await until(async () => (await page.locator('#connection').textContent()) === 'Live');
    await until(async () => {
      emit(3000, 'live');
      return (await page.locator('.events').textContent())!.includes('live');
    });
    letHistoryIn();
    await until(async () => (await page.locator('.events li:not(.none)').count()) === 3);
    expect(await page.locator('.events .event-text').allTextContents()).toEqual([
      'live',
      'missed second',
      'missed first',
    ]);
    await page.close();
  });

  it('opens with the token in the address, removes it there, and reloads without it', async () => {
    const port = await LiveDouble.create(1);
    const { url } = await openWholeGateway(port, { token: 'open sesame, please' });
    const { page, complaints } = await visit(browser, `${url}/?token=open+sesame%2C+please`);
    await page.waitForSelector('[data-stream="gate-1"]');
    expect(page.url()).toBe(`${url}/`);
    await page.reload();
    await page.waitForSelector('[data-stream="gate-1"]');
    expect(complaints).toEqual([]);

    await page.context().clearCookies();
    await page.reload();
    await page.fill('#token', 'open sesame, please');
    await page.keyboard.press('Enter');
    await page.waitForSelector('[data-stream="gate-1"]');
    await page.close();
  });

  it('shows a stream that could not be started, with the reason and its attempts, and can pause it', async () => {
    const port = await LiveDouble.create(2);
    const { url } = await openWholeGateway(port);
    const gate = port.report().streams[0]!;
    const lastError = 'late.mp4: no such file';
    const failed = (attempts: number, retryAtMs: number | null): void => {
      const startFailure = { code: 'SOURCE_NOT_FOUND', attempts, retryAtMs };
      port.put({ ...gate, state: 'failed', lastError, startFailure });
      port.tick();
    };
    failed(3, Date.now() + 4000);
    const { page, complaints } = await visit(browser, url);
    const veil = page.locator('[data-stream="gate-1"] .veil');
    await until(async () => /late\.mp4: no such fileTried 3 times, again at \d\d:/.test((await veil.textContent())!));
    await page.click('[data-stream="gate-1"]');
    const card = page.locator('[data-camera="gate-1"]');
    await until(async () => (await card.getAttribute('data-tone')) === 'bad');
    expect(await card.locator('.badge').textContent()).toBe('Failed');
    expect(await card.locator('.card-error').textContent()).toBe(
      'late.mp4: no such file [SOURCE_NOT_FOUND], tried 3 times, will be tried again',
    );
    failed(1, null);
    await until(async () => /tried once, not tried again/.test((await card.locator('.card-error').textContent())!));
    await page.click('button[aria-label="Pause gate-1"]');
    await until(() => port.calls.includes('pause gate-1'));
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('shows the whole of a long error on a small tile, to the pointer, to the keyboard and on the page of the camera', async () => {
    const port = await LiveDouble.create(30);
    const { url } = await openWholeGateway(port);
    const lastError = `rtsp://10.0.0.7:554/Streaming/Channels/101: ${'the camera refuses the connection '.repeat(4)}`;
    port.put({ ...port.report().streams[0]!, state: 'reconnecting', lastError });
    port.tick();
    const { page, complaints } = await visit(browser, url);
    await page.waitForSelector('[data-size="many"] [data-stream="gate-1"]');
    const text = page.locator('[data-stream="gate-1"] .veil-error');
    await until(async () => (await text.textContent()) === lastError);
    /** Whether text is cut off; what can be scrolled to is not. */
    const isCut = (): Promise<boolean> =>
      text.evaluate((node) => {
        const { scrollHeight, clientHeight } = node as unknown as { scrollHeight: number; clientHeight: number };
        return scrollHeight > clientHeight + 1;
      });
    expect(await isCut()).toBe(true);
    await page.hover('[data-stream="gate-1"] .view');
    await until(async () => !(await isCut()));
    await page.mouse.move(0, 0);
    await until(isCut);
    await page.keyboard.press('Tab');
    await page.focus('[data-stream="gate-1"]');
    await until(async () => !(await isCut()));
    await page.click('[data-stream="gate-1"] .view');
    await until(() => page.locator('[data-camera="gate-1"] .card-error').isVisible());
    expect(new URL(page.url()).hash).toBe('#stream=gate-1');
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('shows names and messages as text, even if they contain markup', async () => {
    const port = await LiveDouble.create(1);
    const evil = '<img src=x onerror="document.title=\'owned\'">';
    const gate = port.report().streams[0]!;
    port.put({ ...gate, source: evil, lastError: evil, zones: [{ id: evil, inside: 1 }] });
    const { url } = await openWholeGateway(port);
    port.emitEvent({ type: 'event', timeMs: 1, kind: 'stream-warning', stream: evil, message: evil });
    const { page, complaints } = await visit(browser, `${url}/#events?show=log`);
    await until(async () => (await page.locator('.events').textContent())!.includes(evil));
    await page.click('#tabs [data-tab="wall"]');
    await page.click('[data-stream="gate-1"]');
    expect(await page.locator('.card-error').textContent()).toBe(`Last error: ${evil}`);
    expect(await page.title()).toBe('Sightline');
    expect(await page.locator('img[src="x"]').count()).toBe(0);
    expect(complaints).toEqual([]);
    await page.close();
  });
});

type ImageReader = (x: number, y: number, width: number, height: number) => { readonly data: Uint8ClampedArray };
