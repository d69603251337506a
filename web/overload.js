/** @import { OverloadReport, Remedy, RemedyChange } from './lib/client/index.js' */

import { element, runBusy, setData, setText } from './element.js';
import { formatFps } from './format.js';
import { gateway } from './gateway.js';

/** After a remedy was applied, others are offered once it had this long to help. */
const HELPS_MS = 30_000;

/**
 * The ways out of an overload that the host names: a button for each, and afterwards one that takes it back.
 */
export class OverloadRemedies {
  node = element('span', { class: 'remedies', 'data-needs': 'operator', hidden: true });
  #onError;
  /** What the buttons were made for. */
  #shown = '';
  /** @type {Offer[]} */
  #offers = [];
  /** Takes back what was applied, and when that was; null before that. @type {{ button: HTMLElement, atMs: number } | null} */
  #undo = null;

  /** @param {(error: unknown) => void} onError */
  constructor(onError) {
    this.#onError = onError;
  }

  /** @param {OverloadReport | undefined} overload undefined: there is none */
  update(overload) {
    // What was applied takes a while to help. If it does not, there are other ways.
    if (this.#undo !== null && (overload === undefined || Date.now() - this.#undo.atMs < HELPS_MS)) return;
    const remedies = overload?.remedies ?? [];
    // Its rates change a little with each report, and a button must not be replaced below a finger.
    const key = JSON.stringify(remedies.map(({ kind, model }) => [kind, model]));
    if (key === this.#shown) {
      for (const [i, remedy] of remedies.entries()) this.#offers[i]?.update(remedy);
      return;
    }
    this.#shown = key;
    this.#offers = remedies.map((remedy) => new Offer(remedy, (chosen, button) => this.#apply(chosen, button)));
    this.#show([...this.#offers.map(({ node }) => node), ...(this.#undo === null ? [] : [this.#undo.button])]);
  }

  /** @param {readonly HTMLElement[]} buttons */
  #show(buttons) {
    this.node.replaceChildren(...buttons);
    this.node.hidden = buttons.length === 0;
  }

  /**
   * @param {Remedy} remedy
   * @param {HTMLButtonElement} button
   */
  async #apply(remedy, button) {
    await runBusy(button, async () => {
      /** @type {(() => Promise<unknown>)[]} */
      const back = [];
      const { model } = remedy;
      const work =
        model === undefined
          ? remedy.changes.flatMap((change) => change.streams.map((id) => () => changeStream(id, change, back)))
          : [() => gateway.rollouts.start({ model }).then(() => back.push(() => gateway.rollouts.undo()))];
      this.#report(await each(work));
      if (back.length > 0) this.#offerUndo(back);
    });
  }

  /** @param {readonly (() => Promise<unknown>)[]} back */
  #offerUndo(back) {
    const button = element('button', { type: 'button', class: 'button' }, 'Undo: as before');
    this.#undo = { button, atMs: Date.now() };
    this.#shown = '';
    button.addEventListener('click', () =>
      runBusy(button, async () => {
        const failures = await each(back);
        this.#undo = null;
        this.#shown = '';
        this.#show([]);
        this.#report(failures);
      }),
    );
    this.#show([button]);
  }

  /** @param {readonly unknown[]} failures */
  #report(failures) {
    if (failures.length > 0) this.#onError(failures[0]);
  }
}

/** A button that applies a remedy as the newest report has it. */
class Offer {
  node = element('button', { type: 'button', class: 'button' });
  #remedy;

  /**
   * @param {Remedy} remedy
   * @param {(remedy: Remedy, button: HTMLButtonElement) => void} onChosen
   */
  constructor(remedy, onChosen) {
    this.#remedy = remedy;
    // Roll-outs are for administrators.
    if (remedy.kind === 'model') setData(this.node, 'needs', 'admin');
    this.node.addEventListener('click', () => onChosen(this.#remedy, this.node));
    this.update(remedy);
  }

  /** @param {Remedy} remedy */
  update(remedy) {
    this.#remedy = remedy;
    setText(this.node, labelOf(remedy));
    this.node.title = `${remedy.text} (${remedy.basis})`;
  }
}

/** @param {Remedy} remedy */
function labelOf({ kind, streamFps, model, changes }) {
  if (kind === 'model') return `Use ${model}`;
  if (kind === 'decode') return `Decode ${changes[0]?.body.decode} frames`;
  return `Lower rate to ${formatFps(streamFps ?? 0)}/s`;
}

/**
 * @param {string} id
 * @param {RemedyChange} change
 * @param {(() => Promise<unknown>)[]} back gets what takes it back
 */
async function changeStream(id, { body, undo }, back) {
  const { etag } = await gateway.streams.update(id, body);
  // What somebody has changed since then stays.
  back.push(() => gateway.streams.update(id, undo, { etag }));
}

/**
 * Does one after the other, whatever fails.
 *
 * @param {readonly (() => Promise<unknown>)[]} works
 * @returns {Promise<unknown[]>} errors, without those of streams that are gone
 */
async function each(works) {
  const failures = [];
  for (const work of works)
    try {
      await work();
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'STREAM_NOT_FOUND')) failures.push(error);
    }
  return failures;
}
