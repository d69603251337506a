import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type ReviewServer, serveReview } from '../../src/cli/review-server.ts';
import { writeFiles } from '../../src/lab/measure/report/write-files.ts';
import { answersText, type GivenAnswer, readAnswers } from '../../src/lab/optimize/review/answers.ts';
import { makeReview, REVIEW_FILE } from '../../src/lab/optimize/review/review-file.ts';
import { REVIEW_PAGE, reviewPage } from '../../src/lab/optimize/review/review-page.ts';
import type { ReviewFile } from '../../src/lab/optimize/review/review-schema.ts';
import { readAnnotations } from '../../src/network/evaluate/coco-files.ts';
import type { DisputedObject } from '../../src/network/evaluate/disputed-objects.ts';
import { browserPath, browserTitle, openBrowser, until, visit } from '../support/chromium.ts';
import { cliHere } from '../support/cli-here.ts';
import { testFfmpeg, VideoFolder } from '../support/made-videos.ts';

const FRAME_US = 40_000;
const BLOCK_FRAMES = 50;
/** Where the first block begins in the recording. */
const START_US = 60_000_000;
const BOX = [40, 30, 50, 60] as const;
const LABEL = 'hand</script><b>bag';

const videos = new VideoFolder();
const folder = join(videos.path, 'report');
let review: ReviewFile;
let server: ReviewServer;
let base: string;
let cookie: string;

function objectAt(frame: number, by: DisputedObject['by'] = 'today'): DisputedObject {
  const atUs = START_US + frame * FRAME_US;
  const other = frame % 2 === 0 ? {} : { other: { label: 'person', box: [30, 20, 70, 90] as const } };
  return { id: `${frame}`.padStart(12, 'a'), by, boxes: [{ atUs, box: BOX, score: 0.5 }], ...other };
}

beforeAll(async () => {
  mkdirSync(folder);
  const blocks = await Promise.all(
    [0, 1].map(async (i) => ({
      path: await videos.make(`block-${i}.mp4`, { frames: BLOCK_FRAMES, bFrames: 2 }),
      startUs: START_US + i * BLOCK_FRAMES * FRAME_US,
      durationUs: BLOCK_FRAMES * FRAME_US,
      frames: BLOCK_FRAMES,
    })),
  );
  const objects = Array.from({ length: 8 }, (_, i) => objectAt(3 + 13 * i));
  const made = await makeReview(
    {
      subject: 'cameras.yaml',
      createdAt: '2026-01-01T00:00:00.000Z',
      candidate: 'fast 320x320, f32 on onnx',
      recording: 'of this recording',
      size: { width: 320, height: 180 },
      allowed: 0.1,
      differences: [{ kind: 'class', subject: LABEL, text: "hand: today's detector reports 8, this one none" }],
      disputes: {
        classes: [{ label: LABEL, both: 0, objects }],
        frames: objects.map(({ boxes }) => ({ atUs: boxes[0]!.atUs, boxes: [{ label: LABEL, box: BOX }] })),
      },
      blocks,
    },
    folder,
    testFfmpeg,
    new AbortController().signal,
  );
  review = made!;
  await writeFiles(folder, { [REVIEW_FILE]: review, [REVIEW_PAGE]: await reviewPage(review) });
  server = await serveReview(folder);
  const url = new URL(server.url);
  base = url.origin;
  cookie = `sightline-review=${url.searchParams.get('token')}`;
}, 60_000);

beforeEach(() => {
  writeFileSync(join(folder, 'best.yaml'), 'name: best\n');
  writeFileSync(join(folder, 'faster.yaml'), 'name: faster\n');
});

afterAll(async () => {
  await server.close();
  videos.remove();
});

function saying(answer: GivenAnswer['answer'], recording = review.recording): string {
  const { objects } = review.classes[0]!;
  const path = join(videos.path, `${answer}.json`);
  // Twice, since the first may be doubted.
  const answers = [...objects, ...objects].map(({ atUs, box }) => ({ label: LABEL, recording, atUs, box, answer }));
  writeFileSync(path, answersText(answers));
  return path;
}

it('has the picture of each object at its very frame', () => {
  for (const [i, { picture }] of review.classes[0]!.objects.entries()) {
    const frame = 3 + 13 * i;
    const block = Math.floor(frame / BLOCK_FRAMES);
    const expected = execFileSync(testFfmpeg.path, [
      ...['-loglevel', 'error', '-i', join(videos.path, `block-${block}.mp4`)],
      ...['-vf', `select=eq(n\\,${frame % BLOCK_FRAMES})`, '-frames:v', '1', '-q:v', '3'],
      ...['-f', 'image2pipe', '-c:v', 'mjpeg', 'pipe:1'],
    ]);
    expect(readFileSync(join(folder, picture!)).equals(expected)).toBe(true);
  }
});

describe('answers without a pipeline', () => {
  it('that prove the faster one make it the best, and keep the one before', async () => {
    const { code, stdout } = await cliHere(['optimize', '--answers', saying('no'), '--report', folder]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/fast 320x320, f32 on onnx is proven by your answers: it is \S+best\.yaml now/);
    expect(readFileSync(join(folder, 'best.yaml'), 'utf8')).toBe('name: faster\n');
    expect(readFileSync(join(folder, 'best-before-review.yaml'), 'utf8')).toBe('name: best\n');
  });

  it('given twice keep the one before, and taken back give it again', async () => {
    const settle = (answer: GivenAnswer['answer']) =>
      cliHere(['optimize', '--answers', saying(answer), '--report', folder]);
    await settle('no');
    await settle('no');
    expect(readFileSync(join(folder, 'best.yaml'), 'utf8')).toBe('name: faster\n');
    expect(readFileSync(join(folder, 'best-before-review.yaml'), 'utf8')).toBe('name: best\n');
    const { stderr } = await settle('yes');
    expect(stderr).toMatch(/best\.yaml is again the one from before the review/);
    expect(readFileSync(join(folder, 'best.yaml'), 'utf8')).toBe('name: best\n');
  });

  it('never make a file elsewhere the best', async () => {
    writeFileSync(join(videos.path, 'secret.yaml'), 'secret');
    rmSync(join(folder, 'faster.yaml'));
    symlinkSync(join(videos.path, 'secret.yaml'), join(folder, 'faster.yaml'));
    const { code, stderr } = await cliHere(['optimize', '--answers', saying('no'), '--report', folder]);
    rmSync(join(folder, 'faster.yaml'));
    expect([code, stderr]).toEqual([2, expect.stringMatching(/faster\.yaml.*link/)]);
    expect(readFileSync(join(folder, 'best.yaml'), 'utf8')).toBe('name: best\n');
  });

  it('about nothing that is asked are named', async () => {
    const path = join(videos.path, 'other.json');
    const { recording } = review;
    writeFileSync(path, answersText([{ label: 'cat', recording, atUs: 1, box: [0, 0, 9, 9], answer: 'no' }]));
    const { stderr } = await cliHere(['optimize', '--answers', path, '--report', folder]);
    expect(stderr).toMatch(/1 answers are about no object of this review/);
  });

  it('that refuse it change nothing', async () => {
    const { code, stdout } = await cliHere(['optimize', '--answers', saying('yes'), '--report', folder, '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ state: 'refused', files: [] });
    expect(readFileSync(join(folder, 'best.yaml'), 'utf8')).toBe('name: best\n');
  });

  it('about another recording count nothing', async () => {
    const path = saying('no', 'of another one');
    const { stdout, stderr } = await cliHere(['optimize', '--answers', path, '--report', folder]);
    expect(stderr).toMatch(/16 of 16 answers are about another recording/);
    expect(stdout).toMatch(/is still open: about \d+ more answers would settle/);
    expect(readFileSync(join(folder, 'best.yaml'), 'utf8')).toBe('name: best\n');
  });

  it.each([
    [['--answers', '/nowhere.json'], /--answers \/nowhere\.json: expected a file of answers/],
    [['--review', '--report', '/nowhere'], /--report \/nowhere: expected a report .*review\.json/],
    [['--answers', 'package.json'], /package\.json: .*kind: expected "sightline-answers"/],
    [['pipeline.yaml', '--review', '--json'], /--json: expected no --review beside it/],
    [['pipeline.yaml', '--export-undecided', 'x'], /--export-undecided: expected no pipeline/],
  ])('say what is wrong with %j', async (flags, said) => {
    const { code, stderr } = await cliHere(['optimize', ...flags]);
    expect([code, stderr]).toEqual([2, expect.stringMatching(said)]);
  });
});

it('leaves as COCO, and comes back as labels', async () => {
  const out = join(videos.path, 'export');
  const { code } = await cliHere(['optimize', '--export-undecided', out, '--report', folder]);
  expect(code).toBe(0);
  const { images, categories, annotations } = await readAnnotations(join(out, 'annotations.json'));
  expect([images.length, annotations.length, categories.map(({ name }) => name)]).toEqual([8, 8, [LABEL]]);
  expect(annotations[0]!.box).toEqual([...BOX]);
  for (const { fileName } of images) expect(existsSync(join(out, 'images', fileName))).toBe(true);
});

it('takes no picture from outside of its folder', async () => {
  const other = join(videos.path, 'sent');
  const frames = [{ picture: 'review/../../best.yaml', boxes: [] }];
  await writeFiles(other, { [REVIEW_FILE]: { ...review, frames } });
  const { code, stderr } = await cliHere(['optimize', '--export-undecided', join(other, 'out'), '--report', other]);
  expect([code, stderr]).toEqual([2, expect.stringMatching(/review\.json: frames\[0\]\.picture: expected/)]);
});

describe('the page of a review', () => {
  const put = (headers: Record<string, string>, body = answersText([])): Promise<Response> =>
    fetch(`${base}/answers.json`, { method: 'PUT', headers, body });
  const version = async (): Promise<string> =>
    (await fetch(`${base}/answers.json`, { headers: { cookie } })).headers.get('etag')!;

  it('opens for nobody without its token, its host and its origin', async () => {
    expect((await fetch(base)).status).toBe(401);
    expect((await fetch(`${base}/?token=wrong`)).status).toBe(401);
    expect((await fetch(base, { headers: { cookie: 'sightline-review=wrong' } })).status).toBe(401);
    expect((await put({ cookie })).status).toBe(403);
    expect((await put({ cookie, origin: 'https://elsewhere.example' })).status).toBe(403);
    expect((await put({ origin: base })).status).toBe(401);
    expect((await put({ cookie, origin: base, 'if-match': await version() })).status).toBe(204);
  });

  it('does not write over what another page has saved', async () => {
    const [one, other] = [await version(), await version()];
    expect((await put({ cookie, origin: base, 'if-match': one })).status).toBe(204);
    // As alike as can be, but of another recording.
    const { atUs, box } = review.classes[0]!.objects[0]!;
    const told = answersText([{ label: LABEL, recording: 'another', atUs, box, answer: 'yes' }]);
    const saved = await put({ cookie, origin: base, 'if-match': one }, told);
    expect(saved.status).toBe(204);
    expect((await put({ cookie, origin: base, 'if-match': other })).status).toBe(409);
    expect(await version()).toBe(saved.headers.get('etag'));
    // Answers about other objects stay when this page saves its own; see below.
    expect(await readAnswers(join(folder, 'answers.json'))).toHaveLength(1);
  });

  it('refuses to serve answers that it cannot read, rather than write over them', async () => {
    const broken = join(videos.path, 'broken');
    await writeFiles(broken, { [REVIEW_FILE]: review, 'answers.json': '{"answers":' });
    const { code, stderr } = await cliHere(['optimize', '--review', '--report', broken]);
    expect([code, stderr]).toEqual([2, expect.stringMatching(/answers\.json: expected a JSON document of answers/)]);
  });

  it('gives nothing but the page and its pictures, and follows no link', async () => {
    writeFileSync(join(videos.path, 'secret.jpg'), 'secret');
    symlinkSync(join(videos.path, 'secret.jpg'), join(folder, 'review', 'link.jpg'));
    const got = async (path: string): Promise<number> =>
      (await fetch(`${base}${path}`, { headers: { cookie } })).status;
    expect(await got(`/${review.classes[0]!.objects[0]!.picture}`)).toBe(200);
    for (const path of [
      '/best.yaml',
      '/review.json',
      '/review/%2e%2e/best.yaml',
      '/review/link.jpg',
      '/review/none.jpg',
    ])
      expect([path, await got(path)]).toEqual([path, 404]);
  });

  it('refuses what are no answers', async () => {
    const reply = await fetch(`${base}/answers.json`, {
      method: 'PUT',
      headers: { cookie, origin: base, 'if-match': await version() },
      body: '{"kind":"sightline-answers","version":1,"answers":[{}]}',
    });
    expect([reply.status, await reply.text()]).toEqual([400, expect.stringMatching(/answers\[0\]\.label/)]);
  });
});

describe.skipIf(browserPath === undefined)(browserTitle('answers'), () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(() => browser.close());

  it('by one key each, are kept at once, and settle it', async () => {
    const { page, complaints } = await visit(browser, server.url);
    await until(() => page.locator('#stage svg image').isVisible());
    expect(page.url()).toBe(`${base}/${REVIEW_PAGE}`);
    expect(await page.locator('#label').textContent()).toBe(LABEL);
    await page.keyboard.press('y');
    await page.keyboard.press('u');
    await page.keyboard.press('n');
    await page.keyboard.press(' ');
    await until(async () => (await readAnswers(join(folder, 'answers.json'))).length === 3);
    const given = await readAnswers(join(folder, 'answers.json'));
    expect(given.map(({ answer, recording }) => [recording, answer])).toEqual([
      ['another', 'yes'],
      [review.recording, 'no'],
      [review.recording, 'unknown'],
    ]);
    // As it was, after the page was closed.
    await page.reload();
    await until(async () => (await page.locator('#count').textContent())!.startsWith('2 of'));
    for (let asked = 0; asked < 20; asked += 1) await page.keyboard.press('n');
    await until(async () => (await page.locator('#verdict').textContent()) === `Not worse for ${LABEL}.`);
    await page.keyboard.press('Escape');
    await server.done;
    await until(async () => (await page.locator('#more').textContent()) === 'Saved');
    expect(complaints).toEqual([]);
    await page.close();
    const { stdout } = await cliHere(['optimize', '--answers', join(folder, 'answers.json'), '--report', folder]);
    expect(stdout).toMatch(/proven by your answers/);
  });

  it('are not called saved if another page was faster', async () => {
    const { page } = await visit(browser, server.url);
    await until(async () => (await page.locator('#more').textContent()) !== '');
    writeFileSync(join(folder, 'answers.json'), answersText([]));
    await page.keyboard.press('Escape');
    await until(async () => /another page/.test((await page.locator('#fault').textContent()) ?? ''));
    expect(await page.locator('#more').textContent()).not.toBe('Saved');
    await page.close();
  });

  it('are saved as a file where the page is opened from the folder', async () => {
    const { page, complaints } = await visit(browser, `file://${join(folder, REVIEW_PAGE)}`);
    await until(() => page.locator('#stage svg image').isVisible());
    await page.locator('#answer-no').click();
    const saved = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Save answers.json' }).click();
    const given = await readAnswers(await (await saved).path());
    expect(given.map(({ answer, recording }) => [answer, recording])).toEqual([['no', review.recording]]);
    expect(complaints).toEqual([]);
    await page.close();
  });
});
