/** @import { JobReport, QueueReport } from './lib/client/index.js' */

import { element, runBusy, setData, setText } from './element.js';
import { formatCount, formatDuration, formatName, formatNumber, formatShort } from './format.js';

/**
 * @typedef {object} JobActions
 * @property {(id: string) => Promise<void>} cancel
 * @property {(id: string) => Promise<void>} retry
 * @property {(id: string) => Promise<void>} showFailures shows the dead letters
 */

const TONES = { waiting: 'busy', running: 'good', done: 'idle', failed: 'bad', cancelled: 'idle' };

/** The bulk jobs of the fleet, one row each. */
export class FleetJobs {
  /** @type {Map<string, JobRow>} */
  #rows = new Map();
  #list = element('ul', { class: 'fleet-rows', tabindex: 0, 'aria-label': 'Jobs of the fleet' });
  #emptyRow = element('li', { class: 'none' }, 'No jobs. "sightline submit" creates one.');
  #queue = element('span', { class: 'fleet-note' });
  #actions;
  node = element(
    'section',
    { class: 'fleet-part' },
    element('div', { class: 'fleet-part-head' }, element('h2', {}, 'Jobs'), this.#queue),
    this.#list,
  );

  /** @param {JobActions} actions */
  constructor(actions) {
    this.#actions = actions;
  }

  /**
   * @param {readonly JobReport[]} jobs
   * @param {QueueReport} queue
   */
  update(jobs, { waiting, active, oldestWaitingMs }) {
    const age = waiting === 0 ? '' : `, oldest for ${formatDuration(oldestWaitingMs / 1000)}`;
    setText(this.#queue, `${active} tasks running, ${waiting} waiting${age}`);
    const ids = new Set(jobs.map(({ id }) => id));
    for (const [id, row] of this.#rows) {
      if (ids.has(id)) continue;
      row.node.remove();
      this.#rows.delete(id);
    }
    if (jobs.length === 0) this.#list.append(this.#emptyRow);
    else this.#emptyRow.remove();
    jobs.forEach((job, i) => {
      const row = this.#rows.get(job.id) ?? new JobRow(job.id, this.#actions);
      this.#rows.set(job.id, row);
      row.update(job);
      const { node } = row;
      if (this.#list.children[i] !== node) this.#list.insertBefore(node, this.#list.children[i] ?? null);
    });
  }
}

class JobRow {
  #state = element('span', { class: 'badge' });
  #note = element('span', { class: 'fleet-note' });
  #fill = element('i', { class: 'bulk' });
  #meter;
  #figures = element('p', { class: 'fleet-figure' });
  #letters;
  #cancel;
  #retry;

  /**
   * @param {string} id
   * @param {JobActions} actions
   */
  constructor(id, actions) {
    this.#meter = element(
      'div',
      {
        class: 'meter',
        role: 'progressbar',
        'aria-label': `Progress of ${id}`,
        'aria-valuemin': 0,
        'aria-valuemax': 100,
      },
      this.#fill,
    );
    this.#letters = element('button', {
      type: 'button',
      class: 'link link-bad',
      title: 'Show the failed tasks and the reasons',
    });
    this.#letters.addEventListener('click', () => actions.showFailures(id));
    this.#cancel = actionButton('Cancel', id, actions.cancel);
    this.#retry = actionButton('Retry', id, actions.retry);
    this.node = element(
      'li',
      { 'data-job': id },
      element(
        'div',
        { class: 'fleet-name' },
        element('p', {}, element('b', { title: id }, id), this.#state),
        element('p', {}, this.#note, this.#letters),
      ),
      element('div', { class: 'fleet-load' }, this.#meter, this.#figures),
      element('div', { class: 'fleet-buttons' }, this.#retry, this.#cancel),
    );
  }

  /** @param {JobReport} job */
  update({ state, inputs, filesDone, frames, progressRatio, secondsLeft, deadLetters, outDir }) {
    setData(this.node, 'tone', TONES[state]);
    setText(this.#state, formatName(state));
    setText(this.#note, `${filesDone}/${inputs} files, ${formatShort(frames)} frames`);
    this.#note.title = `${formatCount(frames)} frames, results in ${outDir}`;
    const percent = Math.floor(100 * progressRatio);
    this.#fill.style.width = `${100 * progressRatio}%`;
    this.#meter.setAttribute('aria-valuenow', String(percent));
    const isOpen = state === 'waiting' || state === 'running';
    const left = isOpen && secondsLeft !== null ? `, ${formatDuration(secondsLeft)} left` : '';
    setText(this.#figures, `${percent} %${left}`);
    setText(this.#letters, deadLetters === 0 ? '' : `${formatNumber(deadLetters, 'task')} failed`);
    this.#letters.hidden = deadLetters === 0;
    this.#retry.hidden = deadLetters === 0;
    this.#cancel.hidden = !isOpen;
  }
}

/**
 * Builds a button whose action runs once at a time.
 *
 * @param {string} label
 * @param {string} id of the job
 * @param {(id: string) => Promise<void>} action
 */
function actionButton(label, id, action) {
  const button = element(
    'button',
    { type: 'button', class: 'button button-small', 'aria-label': `${label} ${id}`, 'data-needs': 'operator' },
    label,
  );
  button.addEventListener('click', () => runBusy(button, () => action(id)));
  return button;
}
