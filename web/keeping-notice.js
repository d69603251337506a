/** @import { EventMessage, PipelineReport } from './lib/client/index.js' */

import { byId, element, setText } from './element.js';
import { gateway } from './gateway.js';

/** Every open page learns of an event at the same moment. */
const SPREAD_MS = 2_000;
/** The problem whose notice this tab no longer shows. */
const HIDDEN = 'sightline.hidden-notice';

/** Says that changes of streams do not survive a restart, and why. */
export class KeepingNotice {
  #node = byId('notice');
  #text = element('p', {});
  #onPipeline;
  #timer = 0;
  #asked = 0;
  /** @type {string | null} */
  #problem = null;

  /** @param {(pipeline: PipelineReport) => void} onPipeline called with the settings whenever they were asked for */
  constructor(onPipeline) {
    this.#onPipeline = onPipeline;
    const hide = element('button', { type: 'button', class: 'button button-small' }, 'Hide');
    hide.addEventListener('click', () => {
      try {
        sessionStorage.setItem(HIDDEN, this.#problem ?? '');
      } catch {
        // Private windows may refuse. It then comes back with the next reload.
      }
      this.#node.hidden = true;
      byId('wall').focus();
    });
    this.#node.append(this.#text, hide);
  }

  /** Asks the gateway once; its events say when that changes. */
  async load() {
    this.#asked += 1;
    const asked = this.#asked;
    try {
      const pipeline = await gateway.pipeline.get();
      if (asked !== this.#asked) return;
      this.#show(pipeline.keepingProblem ?? null);
      this.#onPipeline(pipeline);
    } catch {
      // The page says that the connection is lost; it is asked again after the next one.
    }
  }

  /** @param {EventMessage} event */
  addEvent({ kind }) {
    if (kind === 'overlay-recovered') {
      clearTimeout(this.#timer);
      this.#asked += 1;
      this.#show(null);
    }
    if (kind === 'settings-reloaded') this.load();
    // Several come at once, and not each of them means that changes are not kept.
    if (kind !== 'overlay-failed') return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.load(), SPREAD_MS * Math.random());
  }

  /** @param {string | null} problem */
  #show(problem) {
    this.#problem = problem;
    this.#node.hidden = problem === null || isHidden(problem);
    setText(
      this.#text,
      problem === null ? '' : `Changes of streams end with this process and are not kept: ${problem}.`,
    );
  }
}

/** @param {string} problem */
function isHidden(problem) {
  try {
    return sessionStorage.getItem(HIDDEN) === problem;
  } catch {
    return false;
  }
}
