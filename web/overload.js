/** @import { LoweredReport, OverloadReport, Remedy, RemedyChange } from './lib/client/index.js' */

import { element, runBusy, setData, setText } from './element.js';
import { formatFps } from './format.js';
import { gateway } from './gateway.js';

/** After a remedy was applied, others are offered once it had this long to help. */
const HELPS_MS = 30_000;

/** The ways out of an overload that the host names: a button for each, and one that takes back what was lowered, by whomever. */
export class OverloadRemedies {
  node = element('span', { class: 'remedies', 'data-needs': 'operator', hidden: true });
  #onError;
  /** What the buttons were made for. */
  #shown = '';
  /** @type {Offer[]} */
  #offers = [];
  #undo = element('button', { type: 'button', class: 'button' }, 'Undo: as before');
  /** @type {LoweredReport | undefined} */
  #lowered;
  /** Whether this page has started another detector. */
  #hasStarted = false;
  /** What was applied last, and when this page saw it first. */
  #applied = { what: '', atMs: 0 };

  /** @param {(error: unknown) => void} onError */
  constructor(onError) {
    this.#onError = onError;
    this.#undo.addEventListener('click', () => runBusy(this.#undo, () => this.#takeBack()));
  }

  /**
   * @param {OverloadReport | undefined} overload undefined: there is none
   * @param {LoweredReport | undefined} lowered undefined: nothing is
   */
  update(overload, lowered) {
    this.#lowered = lowered;
    const what = `${lowered?.sinceMs ?? ''} ${this.#hasStarted}`;
    if (what !== this.#applied.what) this.#applied = { what, atMs: Date.now() };
    const isApplied = lowered !== undefined || this.#hasStarted;
    // What was applied takes a while to help. If it does not, there are other ways.
    const isWaiting = isApplied && Date.now() - this.#applied.atMs < HELPS_MS;
    const remedies = isWaiting ? [] : (overload?.remedies ?? []);
    // Its rates change a little with each report, and a button must not be replaced below a finger.
    const key = JSON.stringify([isApplied, remedies.map(({ kind, model }) => [kind, model])]);
    if (key === this.#shown) {
      for (const [i, remedy] of remedies.entries()) this.#offers[i]?.update(remedy);
      return;
    }
    this.#shown = key;
    this.#offers = remedies.map((remedy) => new Offer(remedy, (chosen, button) => this.#apply(chosen, button)));
    this.node.replaceChildren(...this.#offers.map(({ node }) => node), ...(isApplied ? [this.#undo] : []));
    this.node.hidden = this.node.childElementCount === 0;
  }

  /**
   * @param {Remedy} remedy
   * @param {HTMLButtonElement} button
   */
  async #apply({ model, changes }, button) {
    await runBusy(button, async () => {
      if (model === undefined) return this.#change(changes);
      await this.#each([() => gateway.rollouts.start({ model }).then(() => (this.#hasStarted = true))]);
    });
  }

  async #takeBack() {
    const isStarted = this.#hasStarted;
    this.#hasStarted = false;
    await this.#change(this.#lowered?.undo ?? []);
    if (isStarted) await this.#each([() => gateway.rollouts.undo()]);
  }

  /** @param {readonly RemedyChange[]} changes */
  #change(changes) {
    return this.#each(
      changes.flatMap(({ streams, body }) => streams.map((id) => () => gateway.streams.update(id, body))),
    );
  }

  /**
   * Does one after the other, whatever fails, and reports the first failure. Streams that are gone hold nothing back.
   *
   * @param {readonly (() => Promise<unknown>)[]} works
   */
  async #each(works) {
    const failures = [];
    for (const work of works)
      try {
        await work();
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'STREAM_NOT_FOUND')) failures.push(error);
      }
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

/** What it does and gives: the line beside the buttons does not repeat it. @param {Remedy} remedy */
function labelOf({ kind, fps, streamFps, model, changes }) {
  if (kind === 'model') return `Use ${model}: ${formatFps(streamFps ?? 0)}/s`;
  if (kind === 'decode')
    return `Decode ${changes[0]?.body.decode} frames${fps === null ? '' : `: ${formatFps(fps)}/s in all`}`;
  return `Lower rate to ${formatFps(streamFps ?? 0)}/s`;
}

/** Whether the person at the page has a button for it. @param {Remedy} remedy */
export function mayApply({ kind }) {
  const { role } = document.body.dataset;
  return role === 'admin' || (role === 'operator' && kind !== 'model');
}
