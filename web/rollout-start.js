/** @import { ModelSummary, RolloutRequest } from './lib/client/index.js' */

import { errorMessage } from './dialogs.js';
import { runBusy } from './element.js';
import { gateway } from './gateway.js';
import { html, nothing, repeat } from './html.js';
import { needOf, verdictOf } from './rollout-labels.js';

/** The start of a roll-out, from the models whose weights are on this machine. */
export class RolloutStart {
  /** null until the gateway has answered. @type {readonly ModelSummary[] | null} */
  #models = null;
  #error = '';
  #redraw;
  /** The model that is chosen. */
  #chosen = '';

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
    const control = here.find(({ name }) => name === inUse);
    const chosen = here.find(({ name }) => name === this.#chosen);
    const needsLabels = chosen !== undefined && needOf(control, chosen) === 'labels';
    const sorted = here.sort((a, b) => (b.reportedAp ?? 0) - (a.reportedAp ?? 0));
    return html`<form class="panel rollout-start" aria-label="Start a roll-out" data-needs="admin"
      @change=${(/** @type {Event} */ { target }) => {
        const { name, value } = /** @type {HTMLInputElement} */ (target);
        if (name !== 'model') return;
        this.#chosen = value;
        this.#redraw();
      }}
      @submit=${(/** @type {SubmitEvent} */ event) => this.#submit(event)}>
      <h2>Start a roll-out <small>to a model that is on this machine</small></h2>
      <div class="scroll"><table>
        <thead><tr><th scope="col">Model</th><th scope="col">Input</th><th scope="col">AP</th><th scope="col">Frame on this machine</th></tr></thead>
        <tbody>${repeat(
          sorted,
          ({ name }) => name,
          (model) => modelRow(model, model.name === inUse, needOf(control, model)),
        )}</tbody>
      </table></div>
      ${
        needsLabels
          ? html`<div class="rollout-labels">
              <label>Figures of both on labelled pictures <input type="file" name="labels" accept="application/json,.json" required></label>
              <p class="hint">${chosen.name} is another detector, so its boxes rightly differ: labels must show that it is as good. Make the file with
                <code>sightline eval instances.json --images DIR --model ${inUse} --model ${chosen.name} --json &gt; eval.json</code></p>
            </div>`
          : nothing
      }
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
        await gateway.rollouts.start(await requestOf(fields));
        this.#error = '';
      } catch (error) {
        this.#error = errorMessage(error);
      }
      this.#redraw();
    });
  }
}

/** The gateway says what is wrong with a number. @param {FormData} fields */
async function requestOf(fields) {
  const text = (/** @type {string} */ name) => String(fields.get(name) ?? '');
  const steps = text('steps').split(',').map(Number);
  const model = fields.get('model') === null ? {} : { model: text('model') };
  const holdMs = 60_000 * Number(text('minutes'));
  const recorded =
    text('hours').trim() === '' ? {} : { recorded: { lastMs: Math.round(3_600_000 * Number(text('hours'))) } };
  const file = fields.get('labels');
  const labelled = file instanceof File ? { labelled: verdictOf(await file.text(), file.name, text('model')) } : {};
  const shadow = fields.has('shadow');
  return /** @type {RolloutRequest} */ ({ ...model, steps, holdMs, ...recorded, ...labelled, shadow });
}

/**
 * @param {ModelSummary} model
 * @param {boolean} isInUse
 * @param {ReturnType<typeof needOf>} need
 */
function modelRow({ name, inputWidth, inputHeight, reportedAp, cost }, isInUse, need) {
  const choice = isInUse
    ? html`${name} <small>in use</small>`
    : need === 'other'
      ? html`${name} <small>finds other classes: cannot take its place</small>`
      : html`<label class="check"><input type="radio" name="model" value=${name} required> ${name}${need === 'labels' ? html` <small>needs labels</small>` : nothing}</label>`;
  const frame = cost == null ? 'not measured' : `${cost.frameMs.toFixed(1)} ms, ${cost.engine} ${cost.precision}`;
  return html`<tr data-model=${name}><th scope="row">${choice}</th><td>${inputWidth} x ${inputHeight}</td><td>${reportedAp?.toFixed(3) ?? 'unknown'}</td><td>${frame}</td></tr>`;
}
