import axe from 'axe-core';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { EventPhase, RuleEvent } from '../../src/wire/protocol/rule-event.ts';
import { browserPath, browserTitle, openBrowser, until, visit } from '../support/chromium.ts';
import { LiveDouble } from '../support/live-double.ts';
import { openWholeGateway } from '../support/open-gateways.ts';
import { ruleEvent } from '../support/rule-events.ts';
import { publishedFrame } from '../support/runtime-double.ts';
import { CLOCK_FRAMES, frameScript, shownFrame, VideoRig } from '../support/video-rig.ts';

const FRAME_US = 40_000;
/** Of the box whose place is the number of its frame. */
const POSITIONS = 250;
const AXE =
  'axe.run().then((found) => found.violations.map((each) => each.id + ": " + each.nodes.map((node) => node.target)))';

describe.skipIf(browserPath === undefined)(browserTitle('video'), () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(() => browser.close());

  const CLIP = { id: 'loiter', kind: 'appears', clip: { before: '3s', after: '2s' } };
  async function open(settings: object) {
    const [port, rig] = [await LiveDouble.create(1), await VideoRig.open(settings)];
    onTestFinished(() => rig.close());
    port.settings.set('gate-1', settings as Record<string, unknown>);
    const { url } = await openWholeGateway(port, { recorder: rig.recorder });
    return { port, rig, url };
  }

  it('plays the clip of an event, with its box in the frame that it belongs to and in no other', async () => {
    const { port, rig, url } = await open({ events: [CLIP] });
    const zeroMs = Date.now() - 30_000;
    const event = (phase: EventPhase, atS: number, more: Partial<RuleEvent> = {}): RuleEvent => {
      const moment = (s: number) => ({ at: new Date(zeroMs + s * 1000).toISOString(), ptsUs: s * 1e6 });
      return ruleEvent('e1', phase === 'new' ? 0 : 1, phase, {
        stream: 'gate-1',
        rule: 'loiter',
        ...moment(atS),
        began: moment(8),
        raised: moment(8),
        best: { frame: 230, ptsUs: 230 * FRAME_US, box: [320, 180, 64, 128], score: 0.9, width: 640, height: 360 },
        ...more,
      });
    };
    const tell = (rule: RuleEvent): void => {
      rig.recorder.onEvent(rule);
      const timeMs = Date.parse(rule.at!);
      port.emitEvent({ type: 'event', timeMs, kind: 'rule', stream: 'gate-1', message: rule.reason, rule });
    };
    rig.play(8, zeroMs);
    tell(event('new', 8));
    const { page, complaints } = await visit(browser, `${url}/#events?event=e1`);
    const detail = page.locator('.event-detail');
    const fact = detail.locator('dl > div', { has: page.locator('dt:text-is("Clip")') }).locator('dd');
    await until(async () => (await fact.textContent()) === 'Ready once the time after the event is over.');
    expect(await detail.locator('video').count()).toBe(0);

    rig.play(2, zeroMs);
    tell(event('end', 10, { ended: { ptsUs: 10e6 } }));
    rig.play(4, zeroMs);
    await until(async () => {
      port.tick();
      return (
        (await detail
          .locator('video')
          .getAttribute('poster', { timeout: 100 })
          .catch(() => null)) !== null
      );
    });
    expect(await fact.textContent()).toMatch(/^\d+ s, [\d:]+ to [\d:]+, kept until .+\.$/);
    expect(await detail.locator('footer a[download]').getAttribute('href')).toBe(`${url}/api/events/e1/clip.mp4`);
    await page.click('text=Where it is seen best');
    await until(async () => (await page.locator('.event-video[data-best] .event-box').count()) === 1);
    expect(await shownFrame(page, '.event-video video')).toBe(230);
    const videoOf = 'document.querySelector(".event-video video")';
    for (const frames of [-1, 1]) {
      await page.evaluate(`${videoOf}.currentTime += ${frames * 0.04}`);
      await until(async () => (await page.locator('.event-video:not([data-best])').count()) === 1);
      expect(await shownFrame(page, '.event-video video')).toBe(frames < 0 ? 229 : 231);
      await page.click('text=Where it is seen best');
      await until(async () => (await page.locator('.event-video[data-best]').count()) === 1);
    }
    if (process.env.SHOTS !== undefined)
      for (const scheme of ['dark', 'light'] as const)
        for (const width of [1280, 390]) {
          await page.emulateMedia({ colorScheme: scheme });
          await page.setViewportSize({ width, height: 844 });
          await page.screenshot({ path: `${process.env.SHOTS}/clip-${scheme}-${width}.png` });
        }
    await page.evaluate(`${videoOf}.play()`);
    await until(() => page.evaluate(`${videoOf}.ended`));
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('draws the boxes that were found in a frame of a clip on that frame, that of the event marked', async () => {
    const { port, rig, url } = await open({ events: [CLIP] });
    const zeroMs = Date.now() - 60_000;
    const moment = (s: number) => ({ at: new Date(zeroMs + s * 1000).toISOString(), ptsUs: s * 1e6 });
    const times = { ...moment(8), began: moment(8), raised: moment(8) };
    const rule = ruleEvent('e4', 0, 'new', { stream: 'gate-1', rule: 'loiter', ...times, trackId: 7 });
    // Two of three frames have a result; where its boxes are says of which frame they are.
    const find = (fromS: number, toS: number): void => {
      for (let frame = fromS * 25; frame < toS * 25; frame++) {
        const box = [frame % POSITIONS, 100, 30, 40] as const;
        const [person, car] = [
          { classId: 0, label: 'person', score: 0.9, box, trackId: 7 },
          { classId: 2, label: 'car', score: 0.9, box: [frame % POSITIONS, 40, 30, 40] as const, trackId: 8 },
        ];
        const found = publishedFrame('gate-1', frame, [person, car], { width: 320, height: 180 });
        if (frame % 3 > 0) rig.recorder.onFrame(found);
      }
    };
    find(0, 8);
    rig.play(8, zeroMs);
    rig.recorder.onEvent(rule);
    find(8, 14);
    rig.play(2, zeroMs);
    const end = { ...rule, phase: 'end' as const, ...moment(10), ended: moment(10) };
    rig.recorder.onEvent(end);
    rig.play(4, zeroMs);
    const timeMs = zeroMs + 10_000;
    port.emitEvent({ type: 'event', timeMs, kind: 'rule', stream: 'gate-1', message: rule.reason, rule: end });
    const { page, complaints } = await visit(browser, `${url}/#events?event=e4`);
    const video = page.locator('.event-video video');
    await until(async () => {
      port.tick();
      return (await video.count()) === 1;
    });
    const places = `[...document.querySelectorAll('.clip-boxes rect')].map((box) =>
      [Number(box.getAttribute('x')), box.hasAttribute('data-event'), box.dataset.kind])`;
    // A clip begins three seconds before its event, or up to a second earlier, at a key frame.
    for (const second of [1.3, 3.08, 4.52, 6.2]) {
      await video.evaluate(`(video, second) => void (video.currentTime = second)`, second);
      let frame = -1;
      await until(async () => {
        frame = await shownFrame(page, '.event-video video');
        const x = (frame - (frame % 3 === 0 ? 1 : 0)) % POSITIONS;
        const wanted = [
          [x, true, 'person'],
          [x, false, 'vehicle'],
        ];
        const isSought = !(await video.evaluate('(video) => video.seeking'));
        return isSought && JSON.stringify(await page.evaluate(places)) === JSON.stringify(wanted);
      });
      expect(frame).toBeGreaterThan(100);
    }
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('shows the picture of an event whose clip the browser cannot play, and says so', async () => {
    const { port, rig, url } = await open({ events: [CLIP] });
    const zeroMs = Date.now() - 60_000;
    const moment = { at: new Date(zeroMs + 8000).toISOString(), ptsUs: 8e6 };
    const rule = ruleEvent('e2', 0, 'end', {
      stream: 'gate-1',
      rule: 'loiter',
      ...moment,
      began: moment,
      raised: moment,
      ended: moment,
    });
    rig.play(8, zeroMs);
    rig.recorder.onEvent({ ...rule, phase: 'new' });
    rig.recorder.onEvent(rule);
    rig.play(5, zeroMs);
    port.emitEvent({
      type: 'event',
      timeMs: zeroMs + 8000,
      kind: 'rule',
      stream: 'gate-1',
      message: rule.reason,
      rule,
    });
    const { page } = await visit(browser, 'about:blank');
    await page.route('**/clip.mp4', (route) => route.fulfill({ contentType: 'video/mp4', body: 'no video' }));
    await page.goto(`${url}/#events?event=e2`);
    await until(() => {
      port.tick();
      return page.locator('.event-detail img.event-picture').isVisible();
    });
    expect(await page.locator('.event-detail dl').textContent()).toContain('this browser cannot play its video (avc1)');
    await page.close();
  });

  const shownAs = (page: Page): Promise<string | null> => page.locator('.shown-as').textContent();

  it('shows live video, each box on its frame, from one ring for ten viewers, and makes no pictures meanwhile', async () => {
    const { port, rig, url } = await open({ live: true });
    rig.goLive((times) => {
      for (const ptsUs of times) {
        const frame = Math.round(ptsUs / FRAME_US);
        // Where it is says of which frame it is.
        const box = [frame % POSITIONS, 100, 30, 40] as const;
        const person = { classId: 0, label: 'person', score: 0.9, box };
        port.publish(publishedFrame('gate-1', frame, [person], { width: 320, height: 180 }));
      }
    });
    const { page, complaints } = await visit(browser, `${url}/#stream=gate-1`);
    await until(async () => {
      port.tick();
      port.showPictures();
      return (await page.locator('.shown-as').count()) === 1 && (await shownAs(page)) === 'Live video';
    });
    // Only boxes are looked for.
    await page.click('.camera-bar .chip:text("Zones")');
    const read = `(() => {
      const overlay = document.querySelector('.camera-view .overlay');
      const scale = overlay.width / 320;
      const row = overlay.getContext('2d').getImageData(0, Math.round(120 * scale), overlay.width, 1).data;
      const edge = Array.from({ length: overlay.width }, (_, x) => row[4 * x + 3]).findIndex((alpha) => alpha > 128);
      return [${frameScript('.camera-view .picture')}, edge < 0 ? -1 : Math.round((edge + 1) / scale)];
    })()`;
    const seen = new Map<number, number>();
    await until(async () => {
      const [frame, position] = (await page.evaluate(read)) as [number, number];
      if (seen.size > 0 || position >= 0) seen.set(frame, position);
      return seen.size >= 30;
    });
    // Reading a time and drawing its frame are two steps, between which the next frame may come.
    const apart = [...seen].map(([frame, position]) => Math.abs((frame % POSITIONS) - position));
    expect(Math.max(...apart), JSON.stringify([...seen])).toBeLessThanOrEqual(1);
    expect(apart.filter((frames) => frames === 0).length).toBeGreaterThanOrEqual(20);

    await until(() => !port.watched.has('gate-1'));
    const others = new AbortController();
    onTestFinished(() => others.abort());
    await Promise.all(
      Array.from({ length: 9 }, () => fetch(`${url}/api/streams/gate-1/live.mp4`, { signal: others.signal })),
    );
    expect(rig.recorder.figures).toMatchObject({ viewers: 10, skippedFrames: 0, files: 0 });
    await page.click('.camera-bar .chip:text("Video")');
    await until(() => {
      port.showPictures();
      return port.watched.has('gate-1') && rig.recorder.figures.viewers === 9;
    });
    expect(await shownAs(page)).toBe('Pictures');
    expect(complaints).toEqual([]);
    await page.close();
  });

  it.each([
    ['the network fails', null, /^Pictures: Failed to fetch$/],
    ['the codec is not played', 'video/mp4; codecs="hvc1.1.6.L93.B0"', /^Pictures: this browser cannot play video.mp4/],
    ['the video is damaged', 'video/mp4; codecs="avc1.64001f"', /^Pictures: .+/],
  ])('falls back to pictures where %s, and says so', async (_, contentType, text) => {
    const { port, url } = await open({ live: true });
    const { page } = await visit(browser, 'about:blank');
    const body = Buffer.alloc(5000, 7);
    await page.route('**/live.mp4', (route) =>
      contentType === null ? route.abort() : route.fulfill({ contentType, body }),
    );
    await page.goto(`${url}/#stream=gate-1`);
    await until(async () => {
      port.tick();
      port.showPictures();
      return (
        (await page.locator('.camera-view .view[data-has-picture]').count()) === 1 &&
        text.test((await shownAs(page)) ?? '')
      );
    });
    await page.close();
  });

  it('has a line of what is recorded, and of gaps and events; plays from a click, and exports what is chosen', async () => {
    const { port, rig, url } = await open({ record: 'continuous', events: [{ id: 'loiter', kind: 'appears' }] });
    // Within one of the ten minutes that the line shows together.
    const lineMs = 600_000;
    const intoLineMs = Date.now() % lineMs;
    const zeroMs = Date.now() - intoLineMs - (intoLineMs > 300_000 ? 0 : lineMs);
    rig.play(140, zeroMs);
    rig.recorder.onPackets(rig.camera.open('reconnect', 20_000_000));
    rig.play(100, zeroMs);
    await rig.recorder.onStopped('gate-1', false);
    const moment = { at: new Date(zeroMs + 100_000).toISOString(), ptsUs: 100e6 };
    const rule = ruleEvent('e3', 0, 'end', {
      stream: 'gate-1',
      ...moment,
      began: moment,
      raised: moment,
      ended: moment,
    });
    port.emitEvent({ type: 'event', timeMs: zeroMs + 100_000, kind: 'rule', stream: 'gate-1', message: '', rule });
    const { page, complaints } = await visit(browser, `${url}/#stream=gate-1`);
    const bar = page.locator('.time-bar');
    await until(async () => {
      port.tick();
      return (await page.locator('.time-span').count()) === 2;
    });
    expect(await page.locator('.time-gap').getAttribute('title')).toBe('Not recorded: the camera was away');
    expect(await page.locator('.time-event').count()).toBe(1);
    const said = async (): Promise<string> => ((await page.locator('.time-said').textContent()) ?? '').trim();
    expect(await said()).toMatch(/^Recorded since \d\d:\d\d, \d+ s missing\.$/);
    // To the event and a second back, by keyboard; then a click in the middle of the line.
    await page.click('.time-line .switch :text("10 min")');
    await bar.focus();
    await page.keyboard.press('PageDown');
    await until(async () => /Person in door, recorded/.test((await bar.getAttribute('aria-valuetext')) ?? ''));
    await page.keyboard.press('ArrowLeft');
    await page.keyboard.press('Enter');
    const video = (script: string): Promise<unknown> => page.evaluate(`document.querySelector('.recorded').${script}`);
    await until(async () => ((await video('readyState')) as number) >= 2 && (await video('paused')) === false);
    expect(await shownAs(page)).toBe('Recording');
    await page.mouse.move(5, 5);
    await until(async () => /^Playing \d\d:\d\d:\d\d\.$/.test(await said()));
    expect(await page.locator('.camera-bar .chip:text("Boxes")').count(), 'boxes are those of now').toBe(0);
    await video('pause()');
    const wallMs = async (): Promise<number> =>
      Number(/files\/(\d+)\.mp4/.exec((await video('src')) as string)![1]) +
      ((await video('currentTime')) as number) * 1000;
    const expectFrame = async (): Promise<void> => {
      await until(async () => (await video('seeking')) === false);
      const wanted = ((await wallMs()) - zeroMs) / 40;
      const shown = await shownFrame(page, '.recorded');
      const apart = (((shown - wanted) % CLOCK_FRAMES) + CLOCK_FRAMES) % CLOCK_FRAMES;
      expect(Math.min(apart, CLOCK_FRAMES - apart)).toBeLessThan(4);
    };
    expect((await wallMs()) - zeroMs).toBeGreaterThanOrEqual(99_000);
    expect((await wallMs()) - zeroMs).toBeLessThan(103_000);
    await expectFrame();
    // At the end of its file the next one goes on.
    const before = await video('src');
    await video('currentTime = 1e9');
    await video('play()');
    await until(async () => (await video('src')) !== before && ((await video('currentTime')) as number) > 0.2);
    await video('pause()');
    await expectFrame();

    const { x, y, width } = (await bar.boundingBox())!;
    // Where nothing is recorded there is nothing to export.
    const end = await page.locator('.time-span').last().boundingBox();
    await page.mouse.move(end!.x + end!.width + 15, y + 5);
    await page.mouse.down();
    await page.mouse.move(end!.x + end!.width + 35, y + 5, { steps: 4 });
    await page.mouse.up();
    expect(await page.locator('.time-line footer').textContent()).toContain('Nothing is recorded from');
    expect(await page.locator('.time-line footer a').count()).toBe(0);
    const place = await page.locator('.time-gap').boundingBox();
    await page.mouse.move(place!.x - 30, y + 5);
    await page.mouse.down();
    await page.mouse.move(place!.x - 10, y + 5, { steps: 4 });
    await page.mouse.up();
    const link = (await page.locator('.time-line footer a').getAttribute('href'))!;
    const { searchParams } = new URL(link);
    const chosenS = (Number(searchParams.get('to')) - Number(searchParams.get('from'))) / 1000;
    expect(chosenS).toBeCloseTo((20 / width) * 600, 0);
    expect(x).toBeGreaterThan(0);
    const exported = await fetch(link);
    expect([exported.status, exported.headers.get('content-type')]).toEqual([200, 'video/mp4']);
    // Of the keyboard.
    await page.click('text=Choose nothing');
    await bar.focus();
    for (let i = 0; i < 5; i++) await page.keyboard.press('Shift+ArrowRight');
    await until(async () => (await page.locator('.time-chosen').count()) === 1);
    await page.click('text=Back to live');
    await until(async () => (await page.locator('.recorded:visible').count()) === 0);
    expect(complaints).toEqual([]);

    await page.evaluate(axe.source);
    for (const colorScheme of ['dark', 'light'] as const)
      for (const width of [1280, 390]) {
        await page.emulateMedia({ colorScheme });
        await page.setViewportSize({ width, height: 800 });
        // Colours change over some frames.
        await expect.poll(() => page.evaluate(AXE), { timeout: 15_000, interval: 500 }).toEqual([]);
        expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width);
        if (process.env.SHOTS !== undefined)
          await page.screenshot({ path: `${process.env.SHOTS}/line-${colorScheme}-${width}.png` });
      }
    await page.close();
  });
});
