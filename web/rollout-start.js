/** @import { ModelSummary, RolloutRequest } from './lib/client/index.js' */

import { errorMessage } from './dialogs.js';
import { runBusy } from './element.js';
import { gateway } from './gateway.js';
import { html, nothing, repeat } from './html.js';

/** The start of a roll-out, from the models whose weights are on this machine. */
export class RolloutStart {
  /** null until the gateway has answered. @type {readonly ModelSummary[] | null} */
  #models = null;
  #error = '';
  #redraw;

  /** @param {() => void} redraw */
  constructor(redraw) {
    this.#redraw = redraw;
  }

  async load() {
    try {
      this.#models = await gateway.models();
      this.#error = '';
    } catch (error) {
      this.#error = errorMessage(error);
    }
    this.#redraw();
  }

  /** @param {string} inUse name of the model in use */
  show(inUse) {
    if (this.#models === null) return this.#error === '' ? nothing : html`<p class="form-error">${this.#error}</p>`;
    const here = this.#models.filter(({ name, isHere }) => isHere === true || name === inUse);
    const sorted = here.sort((a, b) => (b.reportedAp ?? 0) - (a.reportedAp ?? 0));
    return html`<form class="panel rollout-start" aria-label="Start a roll-out" data-needs="admin"
      @submit=${(/** @type {SubmitEvent} */ event) => this.#submit(event)}>
      <h2>Start a roll-out <small>to a model that is on this machine</small></h2>
      <div class="scroll"><table>
        <thead><tr><th scope="col">Model</th><th scope="col">Input</th><th scope="col">AP</th><th scope="col">Frame on this machine</th></tr></thead>
        <tbody>${repeat(
          sorted,
          ({ name }) => name,
          (model) => modelRow(model, model.name === inUse),
        )}</tbody>
      </table></div>
      <div class="rollout-how">
        <label>Steps, % of the cameras <input name="steps" value="1, 10, 50, 100" inputmode="decimal" autocomplete="off"></label>
        <label>Shortest step, minutes <input name="minutes" value="1" inputmode="decimal" autocomplete="off"></label>
        <label>First on recordings of the last hours <input name="hours" placeholder="none" inputmode="decimal" autocomplete="off"></label>
        <label class="check"><input type="checkbox" name="shadow"> Also compare both on the same frames</label>
        <button class="button button-primary" type="submit">Start</button>
      </div>
      <p class="form-error" role="alert">${this.#error}</p>
    </form>`;
  }

  /** @param {SubmitEvent} event */
  #submit(event) {
    event.preventDefault();
    const fields = new FormData(/** @type {HTMLFormElement} */ (event.currentTarget));
    return runBusy(/** @type {HTMLButtonElement} */ (event.submitter), async () => {
      try {
        await gateway.rollouts.start(requestOf(fields));
        this.#error = '';
      } catch (error) {
        this.#error = errorMessage(error);
      }
      this.#redraw();
    });
  }
}

/** The gateway says what is wrong with a number. @param {FormData} fields */
function requestOf(fields) {
  const text = (/** @type {string} */ name) => String(fields.get(name) ?? '');
  const steps = text('steps').split(',').map(Number);
  const model = fields.get('model') === null ? {} : { model: text('model') };
  const holdMs = 60_000 * Number(text('minutes'));
  const recorded =
    text('hours').trim() === '' ? {} : { recorded: { lastMs: Math.round(3_600_000 * Number(text('hours'))) } };
  return /** @type {RolloutRequest} */ ({ ...model, steps, holdMs, ...recorded, shadow: fields.has('shadow') });
}

/**
 * @param {ModelSummary} model
 * @param {boolean} isInUse
 */
function modelRow({ name, inputWidth, inputHeight, reportedAp, cost }, isInUse) {
  const choice = isInUse
    ? html`${name} <small>in use</small>`
    : html`<label class="check"><input type="radio" name="model" value=${name} required> ${name}</label>`;
  const frame = cost == null ? 'not measured' : `${cost.frameMs.toFixed(1)} ms, ${cost.engine} ${cost.precision}`;
  return html`<tr data-model=${name}><th scope="row">${choice}</th><td>${inputWidth} x ${inputHeight}</td><td>${reportedAp?.toFixed(3) ?? 'unknown'}</td><td>${frame}</td></tr>`;
}
