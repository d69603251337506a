/** @import { Preview, StreamReport } from './lib/client/index.js' */

import { element, setData, setText } from './element.js';
import { formatFps, formatMs } from './format.js';
import { kindOf, PictureView } from './overlay.js';
import { lateText, missText, signText, troubleOf } from './trouble.js';

/** One and many of each kind of object, in the order in which they are counted over the picture. */
const WORDS = { person: ['person', 'people'], vehicle: ['vehicle', 'vehicles'], object: ['object', 'objects'] };

/** One camera of the wall: its picture, and one line below it. It is a link to the page of the camera. */
export class Tile {
  id;
  node;
  isVisible = false;
  /** @type {StreamReport | null} */
  report = null;
  picture = new PictureView({ hasLabels: false });
  #host = element('span', { class: 'tile-host' });
  #rate = element('span', {});
  #latency = element('span', { class: 'tile-latency' });
  #title = element('b', {});
  #cause = element('span', { class: 'veil-error' });
  #next = element('span', { class: 'veil-next' });
  #veil = element('span', { class: 'veil' }, this.#title, this.#cause, this.#next);
  #alert = element('span', { class: 'alert-sign' });
  #inView = element('span', { class: 'in-view' });
  #sign = element('span', { class: 'sign' });

  /** @param {string} id */
  constructor(id) {
    this.id = id;
    this.picture.node.append(this.#inView, this.#sign, this.#veil, this.#alert);
    this.node = element(
      'a',
      { class: 'wall-tile', href: `#stream=${encodeURIComponent(id)}`, 'data-stream': id, tabindex: -1 },
      this.picture.node,
      element(
        'span',
        { class: 'bar' },
        element('b', { class: 'tile-name' }, id),
        this.#host,
        this.#rate,
        this.#latency,
      ),
    );
  }

  /** @param {StreamReport} report */
  update(report) {
    this.report = report;
    if (this.isVisible) this.draw();
  }

  draw() {
    const { report } = this;
    if (report === null) return;
    const trouble = troubleOf(report);
    const sign = signText(report);
    const late = lateText(report);
    setData(this.node, 'state', report.state);
    setData(this.node, 'sign', sign === '' ? null : (report.sign?.name ?? null));
    setText(this.#sign, [sign, late].filter(Boolean).join(', '));
    this.#veil.hidden = trouble === null;
    if (trouble !== null) {
      setText(this.#title, trouble.title);
      setText(this.#cause, trouble.cause);
      setText(this.#next, trouble.next);
    }
    const isSeeing = trouble === null && sign === '';
    this.#inView.hidden = !isSeeing || late !== '';
    // Figures of a camera that shows nothing would look current.
    const { window } = report.latencyMs;
    setText(this.#host, report.host ?? '');
    setText(this.#rate, isSeeing ? `${formatFps(report.fps.published)}/s` : '');
    setText(this.#latency, isSeeing && window.count > 0 ? `${formatMs(window.p99)} ms` : '');
    const dashed =
      trouble === null && this.picture.node.hasAttribute('data-older')
        ? 'Dashed boxes were found in an earlier picture.'
        : '';
    const why = trouble === null ? missText(report) || dashed : [trouble.cause, trouble.next].filter(Boolean).join(' ');
    if (this.node.title !== why) this.node.title = why;
    this.picture.places = report;
  }

  /** @param {string} title of an open alert; empty without one */
  set alert(title) {
    setText(this.#alert, title);
    setData(this.node, 'alert', title === '' ? null : 'true');
  }

  /** @param {Preview} message */
  showPreview(message) {
    if (!this.isVisible) return;
    this.picture.show(message);
    const kinds = message.detections.map(({ label }) => kindOf(label));
    const texts = Object.entries(WORDS).flatMap(([kind, [one, many]]) => {
      const count = kinds.filter((each) => each === kind).length;
      return count === 0 ? [] : [`${count} ${count === 1 ? one : many}`];
    });
    setText(this.#inView, texts.join('  '));
  }

  destroy() {
    this.picture.destroy();
    this.node.remove();
  }
}
