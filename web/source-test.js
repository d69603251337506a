/** @import { SourceTest } from './lib/client/index.js' */

import { errorMessage } from './dialogs.js';
import { element, runBusy, setData } from './element.js';
import { formatDuration, formatMs } from './format.js';
import { gateway } from './gateway.js';

/** A button that opens a source for a moment, and what that has shown. */
export class SourceTester {
  button = element('button', { type: 'button', class: 'button button-small' }, 'Test');
  result = element('p', { class: 'source-test', role: 'status' });
  #count = 0;

  /**
   * @param {HTMLInputElement} input the address
   * @param {() => object} settings how it is opened, and the stream that it belongs to
   * @param {(typed: string) => string} [address] what is meant by what was typed
   */
  constructor(input, settings, address = (typed) => typed) {
    this.button.setAttribute('aria-label', 'Test the source');
    this.button.addEventListener('click', () =>
      runBusy(this.button, () => this.#test({ ...settings(), source: address(input.value.trim()) })),
    );
    input.addEventListener('input', () => this.clear());
  }

  clear() {
    this.#count += 1;
    this.#show('', null);
  }

  /** @param {{ source: string }} request */
  async #test(request) {
    this.clear();
    const count = this.#count;
    if (request.source === '') {
      this.#show('Type an address first.', 'bad');
      return;
    }
    this.#show('Opening it, for 15 seconds at most …', null);
    let text = '';
    /** @type {'good' | 'bad'} */
    let tone = 'good';
    try {
      text = resultText(await gateway.testSource(request));
    } catch (error) {
      [text, tone] = [`It cannot be used: ${errorMessage(error)}`, 'bad'];
    }
    // Another address may have been typed meanwhile.
    if (count === this.#count) this.#show(text, tone);
  }

  /** @param {string} text @param {'good' | 'bad' | null} tone */
  #show(text, tone) {
    this.result.textContent = text;
    setData(this.result, 'tone', tone);
  }
}

/** @param {SourceTest} test */
function resultText({
  codec,
  width,
  height,
  statedFps,
  measuredFps,
  firstFrameMs,
  durationMs,
  ignoredAudio,
  timeProblems,
}) {
  const rates = [
    ...(measuredFps === null ? [] : [`${measuredFps} frames/s`]),
    ...(statedFps === null ? [] : [`${statedFps} stated`]),
  ];
  const parts = [
    ...(codec === null ? [] : [codec]),
    `${width} x ${height}`,
    rates.length === 0 ? 'rate unknown' : rates.join(', '),
    `first frame after ${formatMs(firstFrameMs)} ms`,
    ...(durationMs === null ? [] : [`${formatDuration(durationMs / 1000)} long`]),
    ...(ignoredAudio.length === 0 ? [] : [`audio (${ignoredAudio.join(', ')}) is ignored`]),
    ...timeProblems,
  ];
  return `It works: ${parts.join('; ')}.`;
}
