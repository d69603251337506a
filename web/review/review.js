/**
 * The page of a review: one question after the other, one key each. It is written into the folder of a report as a single file, with `class-verdict`
 * before this text, and works from there or served by `sightline optimize --review`.
 *
 * @import { Answer, ClassVerdict, judgeClass, rangeText as rangeTextOf } from '../../src/lab/optimize/review/class-verdict.ts'
 * @import { ReviewFile } from '../../src/lab/optimize/review/review-schema.ts'
 */

/** @type {{ judgeClass: typeof judgeClass, rangeText: typeof rangeTextOf }} */
const { judgeClass: judge, rangeText } = /** @type {any} */ (globalThis).classVerdict;

/** @type {ReviewFile} */
const review = JSON.parse(/** @type {HTMLElement} */ (document.getElementById('review')).textContent ?? '');
const IS_SERVED = location.protocol === 'http:';
const STORE = `sightline review ${review.recording} ${review.createdAt}`;
/** Shares of a class between which an interval is drawn. */
const MOST_SHOWN = 0.3;
const WORDS = /** @type {const} */ ({ yes: 'yes', no: 'no', unknown: 'cannot tell' });
/** What is around an object, in sizes of its box. */
const AROUND = 1.2;
const LEAST_AROUND_PX = 80;

/** @param {string} id */
const at = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** @type {Map<string, { label: string, object: ReviewFile['classes'][number]['objects'][number] }>} */
const objects = new Map();
for (const { label, objects: own } of review.classes)
  for (const object of own) objects.set(object.id, { label, object });

/** @type {{ id: string, answer: Answer }[]} */
let given = [];
/** Answers of the file about other objects: those of an earlier review stay. @type {object[]} */
let elsewhere = [];
/** Version of the file that this page has read or written last. */
let version = '';
let isWhole = false;
/** @type {string | null} */
let asked = null;
let isStopped = false;

/** @returns {Map<string, Answer[]>} */
function answers() {
  /** @type {Map<string, Answer[]>} */
  const found = new Map();
  for (const { id, answer } of given) found.set(id, [...(found.get(id) ?? []), answer]);
  return found;
}

/** @returns {{ label: string, verdict: ClassVerdict }[]} */
function verdicts() {
  const known = answers();
  return review.classes.map(({ label, both, objects: own }) => {
    const counts = own.map(({ id, by, frames, picture }) => ({ id, by, frames, hasPicture: picture !== undefined }));
    return { label, verdict: judge({ label, both, objects: counts }, known, review.allowed) };
  });
}

/** The class that is asked about: the open one that is settled soonest. */
function nextQuestion(/** @type {ReturnType<typeof verdicts>} */ judged) {
  const open = judged.filter(({ verdict }) => verdict.next !== null);
  const more = (/** @type {ClassVerdict} */ { more }) => more ?? Number.POSITIVE_INFINITY;
  // One that is worse decides for all of them.
  if (judged.some(({ verdict }) => verdict.state === 'worse')) return null;
  return open.sort((a, b) => more(a.verdict) - more(b.verdict))[0]?.verdict.next ?? null;
}

/** @param {Answer} answer */
function tell(answer) {
  if (asked === null || isStopped) return;
  given.push({ id: asked, answer });
  keep();
  show();
}

function undo() {
  if (given.length === 0 || isStopped) return;
  given.pop();
  keep();
  show();
}

/** The answers as `sightline optimize --answers` reads them. */
function text() {
  const told = given.map(({ id, answer }) => {
    const { label, object } = /** @type {NonNullable<ReturnType<typeof objects.get>>} */ (objects.get(id));
    return { label, recording: review.recording, atUs: object.atUs, box: object.box, answer };
  });
  return `${JSON.stringify({ kind: 'sightline-answers', version: 1, answers: [...elsewhere, ...told] }, null, 1)}\n`;
}

let saving = Promise.resolve(true);
function keep() {
  if (!IS_SERVED) {
    try {
      localStorage.setItem(STORE, JSON.stringify(given));
    } catch {
      // Without storage the answers last as long as the page.
    }
    return;
  }
  const body = text();
  saving = saving.then(() => send('PUT', '/answers.json', body));
}

/** @param {string} method @param {string} path @param {string} body @returns {Promise<boolean>} whether it was taken */
async function send(method, path, body) {
  try {
    const headers = { 'content-type': 'application/json', 'if-match': version };
    const reply = await fetch(path, { method, body, headers });
    version = reply.headers.get('etag') ?? version;
    fault(reply.ok ? '' : `The answers were not saved: ${await reply.text()}`);
    return reply.ok;
  } catch {
    fault(
      'The answers were not saved: the program that served this page has ended. Start it again, and reload this page.',
    );
    return false;
  }
}

/** @param {string} words */
function fault(words) {
  at('fault').textContent = words;
  at('fault').hidden = words === '';
}

/** Answers of before: those of the file in the folder, or those that this browser keeps. */
async function recall() {
  try {
    if (!IS_SERVED) {
      const kept = JSON.parse(localStorage.getItem(STORE) ?? '[]');
      given = kept.filter((/** @type {{ id: string }} */ { id }) => objects.has(id));
      return;
    }
    const reply = await fetch('/answers.json');
    if (!reply.ok) return;
    version = reply.headers.get('etag') ?? '';
    const { answers: told } = await reply.json();
    elsewhere = [];
    given = told.flatMap(
      (/** @type {{ label: string, recording: string, atUs: number, box: number[], answer: Answer }} */ one) => {
        // An answer about another recording says nothing of this one, however alike.
        const isHere = one.recording === review.recording;
        const same = [...objects].find(
          ([, { label, object }]) =>
            isHere && label === one.label && object.atUs === one.atUs && object.box.join() === one.box.join(),
        );
        if (same === undefined) elsewhere.push(one);
        return same === undefined ? [] : [{ id: same[0], answer: one.answer }];
      },
    );
  } catch {
    // Nothing is known yet.
  }
}

/** @param {string} name @param {Record<string, string | number>} attributes */
function drawn(name, attributes) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  return element;
}

/** @param {readonly number[]} box @returns {[number, number, number, number]} the part of the picture around it */
function around([x, y, width, height]) {
  const { width: most, height: tall } = review.size;
  const w = Math.min(most, Math.max(width + 2 * AROUND * width, width + 2 * LEAST_AROUND_PX));
  const h = Math.min(tall, Math.max(height + 2 * AROUND * height, height + 2 * LEAST_AROUND_PX));
  const left = Math.min(Math.max(0, x + width / 2 - w / 2), most - w);
  const top = Math.min(Math.max(0, y + height / 2 - h / 2), tall - h);
  return [left, top, w, h];
}

/** A picture with an object: the box that is asked about, and dashed what the other one reports there. Whose they are is not said. @param {string} id @param {boolean} whole */
function picture(id, whole) {
  const { object } = /** @type {NonNullable<ReturnType<typeof objects.get>>} */ (objects.get(id));
  const { width, height } = review.size;
  const view = whole ? [0, 0, width, height] : around(object.box);
  const svg = drawn('svg', { viewBox: view.join(' '), preserveAspectRatio: 'xMidYMid meet' });
  svg.append(drawn('image', { href: object.picture ?? '', width, height }));
  const [x, y, w, h] = object.box;
  svg.append(drawn('rect', { x, y, width: w, height: h, class: 'asked' }));
  if (object.other !== undefined) {
    const [ox, oy, ow, oh] = object.other.box;
    svg.append(drawn('rect', { x: ox, y: oy, width: ow, height: oh, class: 'other' }));
  }
  return svg;
}

/** @param {string} tag @param {string} name @param {...(Node | string)} content */
function element(tag, name, ...content) {
  const made = document.createElement(tag);
  if (name !== '') made.className = name;
  made.append(...content);
  return made;
}

/** @param {ClassVerdict} verdict */
function settledText({ lost, state, more, answered }) {
  if (answered === 0) return more === null ? '' : `About ${more} answers settle it.`;
  const words = rangeText(lost);
  const range = `${words.charAt(0).toUpperCase()}${words.slice(1)}.`;
  if (state === 'not worse') return `${range} Settled: not worse.`;
  if (state === 'worse') return `${range} Settled: worse.`;
  return more === null ? `${range} No picture is left that would settle it.` : `${range} About ${more} more settle it.`;
}

/** @param {string} label @param {ClassVerdict} verdict @param {boolean} isAsked */
function classPanel(label, verdict, isAsked) {
  const { low, high, estimate } = verdict.lost;
  const place = (/** @type {number} */ lost) => 100 * Math.min(1, Math.max(0, (MOST_SHOWN - lost) / (2 * MOST_SHOWN)));
  const bar = element('i', 'bar');
  bar.style.left = `${place(high)}%`;
  bar.style.width = `${Math.max(1, place(low) - place(high))}%`;
  const dot = element('i', 'dot');
  dot.style.left = `${place(estimate)}%`;
  const limit = element('i', 'limit');
  limit.style.left = `${place(review.allowed)}%`;
  const state = verdict.state === 'not worse' ? 'good' : verdict.state;
  const answered = `${verdict.answered} answered`;
  const range = verdict.answered === 0 ? [limit] : [limit, bar, dot];
  return element(
    'section',
    `class ${state}${isAsked ? ' asked' : ''}`,
    element('p', 'head', element('b', '', label), element('span', 'muted', answered)),
    element('div', 'scale', ...range),
    element('p', 'range', settledText(verdict)),
  );
}

/** @param {ReturnType<typeof verdicts>} judged */
function verdictSentence(judged) {
  const of = (/** @type {string} */ state) =>
    judged.filter(({ verdict }) => verdict.state === state).map(({ label }) => label);
  const [worse, open, fine] = [of('worse'), of('open'), of('not worse')];
  const names = (/** @type {string[]} */ labels) => labels.join(', ');
  const rest = review.others.length === 0 ? '' : ' What no answer settles is left to you.';
  if (worse.length > 0) return { tone: 'bad', text: `Worse for ${names(worse)}.` };
  if (open.length === 0) return { tone: 'good', text: `Not worse for ${names(fine)}.${rest}` };
  return { tone: 'warn', text: `${fine.length > 0 ? `Not worse for ${names(fine)}. ` : ''}Open for ${names(open)}.` };
}

function show() {
  const judged = verdicts();
  asked = isStopped ? null : nextQuestion(judged);
  const told = new Set(given.map(({ id }) => id)).size;
  const question =
    asked === null ? null : /** @type {NonNullable<ReturnType<typeof objects.get>>} */ (objects.get(asked));
  const more = judged.reduce((sum, { verdict }) => sum + (verdict.more ?? 0), 0);
  at('more').textContent =
    question === null
      ? isStopped
        ? 'Saved'
        : 'Nothing is left to ask'
      : `About ${more} more ${more === 1 ? 'settles' : 'settle'} it`;
  at('done').style.width = `${(100 * given.length) / Math.max(1, given.length + more)}%`;
  at('count').textContent = `${given.length} of about ${given.length + more}`;
  at('stage').replaceChildren(
    ...(question === null || asked === null
      ? [element('p', 'end', endText(judged))]
      : [picture(asked, isWhole), element('span', 'time', mediaTime(question.object.atUs))]),
  );
  at('question').hidden = question === null;
  if (question !== null) {
    at('label').textContent = question.label;
    at('article').textContent = /^[aeiou]/i.test(question.label) ? 'an' : 'a';
    const other = question.object.other;
    const again = given.some(({ id }) => id === asked) ? ' Asked again, since the answer was unlike the others.' : '';
    const there = other === undefined ? 'nothing here' : `${other.label}, the dashed one`;
    at('why').textContent = `One detector says ${question.label} of the blue box. The other says ${there}.${again}`;
    at('yes').textContent = `Yes, ${question.label}`;
  }
  const { tone, text: sentence } = verdictSentence(judged);
  at('verdict').textContent = sentence;
  at('verdict').className = tone;
  at('classes').replaceChildren(
    ...judged.map(({ label, verdict }) => classPanel(label, verdict, label === question?.label)),
  );
  at('others').replaceChildren(...review.others.map((words) => element('li', '', words)));
  at('left').hidden = review.others.length === 0;
  const shown = [...objects.values()].filter(({ object }) => object.picture !== undefined).length;
  at('told').textContent = String(told);
  at('not-asked').textContent =
    `${objects.size - told} of ${objects.size} differences${shown < objects.size ? `, ${objects.size - shown} of them without a picture` : ''}`;
  at('strip').replaceChildren(
    ...given
      .slice(-8)
      .map(({ id, answer }) => element('figure', '', picture(id, false), element('figcaption', '', WORDS[answer]))),
  );
  /** @type {HTMLButtonElement} */ (at('undo')).disabled = given.length === 0 || isStopped;
}

/** @param {ReturnType<typeof verdicts>} judged */
function endText(judged) {
  const { text: sentence } = verdictSentence(judged);
  if (isStopped) return `${sentence} The answers are saved; you may close this page.`;
  return IS_SERVED
    ? `${sentence} Stop and save takes the answers over.`
    : `${sentence} Save the answers, then run: sightline optimize --answers answers.json --report FOLDER`;
}

/** @param {number} us */
function mediaTime(us) {
  const seconds = us / 1e6;
  return `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(1).padStart(4, '0')} into the recording`;
}

async function stop() {
  if (isStopped) return;
  if (IS_SERVED) {
    await saving;
    // What was not saved must not be called saved.
    if (!(await send('PUT', '/answers.json', text()))) return;
    isStopped = await send('POST', '/done', '');
    show();
    return;
  }
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text()], { type: 'application/json' }));
  link.download = 'answers.json';
  link.click();
  URL.revokeObjectURL(link.href);
}

/** @type {Record<string, () => void>} */
const KEYS = {
  y: () => tell('yes'),
  n: () => tell('no'),
  ' ': () => tell('unknown'),
  u: undo,
  z: () => {
    isWhole = !isWhole;
    show();
  },
  Escape: () => void stop(),
};
document.addEventListener('keydown', (event) => {
  const act =
    event.ctrlKey || event.metaKey || event.altKey || event.repeat
      ? undefined
      : KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (act === undefined) return;
  event.preventDefault();
  act();
});
for (const [id, act] of /** @type {[string, () => void][]} */ ([
  ['answer-yes', () => tell('yes')],
  ['answer-no', () => tell('no')],
  ['answer-unknown', () => tell('unknown')],
  ['undo', undo],
  ['stop', () => void stop()],
  ['stage', () => KEYS.z?.()],
]))
  at(id).addEventListener('click', act);

at('stop-text').textContent = IS_SERVED ? 'Stop and save' : 'Save answers.json';
at('candidate').textContent = review.candidate;
void recall().then(show);
