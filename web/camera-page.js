/** @import { DetectionsMessage, EventMessage, Preview, StatsMessage, StreamReport, StreamState } from './lib/client/index.js' */

import { CameraCharts } from './camera-charts.js';
import { CameraEvents } from './camera-events.js';
import { cameraFigures } from './camera-figures.js';
import { busy } from './element.js';
import { formatFps, formatMs, formatName } from './format.js';
import { HeatMap } from './heat-map.js';
import { HourBars } from './hour-bars.js';
import { html, nothing, render } from './html.js';
import { useModel } from './label-field.js';
import { LiveVideo } from './live-video.js';
import { PictureView } from './overlay.js';
import { RecordedVideo } from './recorded-video.js';
import { SettingsForm } from './settings-form.js';
import { TimeLine } from './time-line.js';
import { errorText, lateText, missText, signText, troubleOf } from './trouble.js';

/**
 * What the buttons of the page do with its stream.
 *
 * @typedef {object} StreamActions
 * @property {(id: string) => Promise<void>} pause
 * @property {(id: string) => Promise<void>} resume
 * @property {(id: string) => Promise<void>} remove
 * @property {() => void} watch what is needed of the feed has changed
 *
 * @typedef {keyof typeof TABS} Tab
 *
 * What is built for one camera.
 *
 * @typedef {object} Opened
 * @property {string} id
 * @property {PictureView} picture
 * @property {SettingsForm} settings
 * @property {CameraCharts} charts
 * @property {CameraEvents} events
 * @property {HourBars} hours
 * @property {HeatMap} heat
 * @property {LiveVideo} live
 * @property {RecordedVideo} recorded
 * @property {TimeLine} line
 */

/** The tabs beside the picture, by their name in the address. Another one is a line here and its content in `#side`. */
const TABS = { places: 'Zones and rules', events: 'Events', figures: 'Figures', settings: 'Settings' };
/** Colour of each state. @type {Record<StreamState, string>} */
const TONES = {
  starting: 'busy',
  running: 'good',
  reconnecting: 'warn',
  pausing: 'busy',
  paused: 'idle',
  ended: 'idle',
  failed: 'bad',
  removing: 'busy',
  removed: 'idle',
};
/** @type {ReadonlySet<StreamState>} */
const CAN_RESUME = new Set(['paused', 'pausing']);
/** @type {ReadonlySet<StreamState>} */
const CANNOT_PAUSE = new Set(['ended', 'failed', 'removing', 'removed']);
const LAYERS = /** @type {const} */ ({ boxes: 'Boxes', zones: 'Zones', paths: 'Paths' });

/** The page of one camera: its picture, and beside it zones and lines, events, figures and settings. Hidden until one is chosen. */
export class CameraPage {
  #node;
  #actions;
  #onError;
  /** @type {string | null} */
  #wanted = null;
  /** @type {Tab} */
  #tab = 'places';
  /** @type {Opened | null} */
  #opened = null;
  /** Those that were left with changes not saved, by stream: they are shown again with them. @type {Map<string, Opened>} */
  #drafts = new Map();
  /** What is drawn over the pictures of all cameras. */
  #wantsVideo = true;
  /** When the recording is to be played from. @type {number | undefined} */
  #atMs;
  #layers = { boxes: true, zones: true, paths: false };
  /** What of it lies over a recording that is played. @type {{ boxes: boolean, zones: boolean, paths: boolean } | null} */
  #playing = null;
  /** @type {StreamReport | null} */
  #report = null;

  /**
   * @param {HTMLElement} node
   * @param {StreamActions} actions
   * @param {(error: unknown) => void} onError
   */
  constructor(node, actions, onError) {
    this.#node = node;
    this.#actions = actions;
    this.#onError = onError;
    // The browser asks whether to leave.
    window.addEventListener('beforeunload', (event) => {
      if (this.#opened?.settings.isEdited === true || this.#drafts.size > 0) event.preventDefault();
    });
  }

  /**
   * @param {string | null} id of the stream, shown as soon as it is known; null hides the page
   * @param {string | undefined} [tab] of its address
   * @param {number | undefined} [atMs] of its recording, to be played
   */
  show(id, tab = 'places', atMs) {
    this.#wanted = id;
    this.#tab = Object.hasOwn(TABS, tab) ? /** @type {Tab} */ (tab) : 'places';
    if (id !== this.#opened?.id) this.#open(null);
    else if (atMs !== undefined && atMs !== this.#atMs) this.#opened?.line.playAt(atMs);
    this.#atMs = atMs;
    this.#draw();
  }

  /** @param {string | null} id */
  #open(id) {
    this.#leave();
    this.#node.hidden = id === null;
    if (id === null) return;
    const draft = this.#drafts.get(id);
    this.#drafts.delete(id);
    this.#opened = draft ?? this.#build(id);
    const { settings, events, line } = this.#opened;
    if (draft === undefined) settings.load();
    else settings.remind();
    events.load();
    if (this.#atMs !== undefined) line.playAt(this.#atMs);
  }

  /** @param {string} id @returns {Opened} */
  #build(id) {
    const picture = new PictureView();
    const settings = new SettingsForm(id, picture, (tab) => {
      location.hash = addressOf(id, tab);
    });
    const events = new CameraEvents(id, this.#onError);
    const hours = new HourBars(() => this.#draw(), this.#onError);
    const heat = new HeatMap(id, () => this.#draw(), this.#onError);
    const live = new LiveVideo(id, picture, () => {
      this.#actions.watch();
      this.#draw();
    });
    const recorded = new RecordedVideo(id, () => this.#draw(), this.#onError);
    const line = new TimeLine(
      id,
      (timeMs) => recorded.play(timeMs),
      () => this.#draw(),
      this.#onError,
    );
    return { id, picture, settings, charts: new CameraCharts(id), events, hours, heat, live, recorded, line };
  }

  #leave() {
    const opened = this.#opened;
    if (opened === null) return;
    this.#opened = null;
    this.#report = null;
    opened.settings.show(null);
    opened.live.stop();
    opened.recorded.stop();
    if (opened.settings.isEdited) this.#drafts.set(opened.id, opened);
    else destroy(opened);
  }

  /** Fetches events and charts, as after a loss of the connection. */
  reload() {
    this.#opened?.events.load();
    this.#opened?.charts.forget();
    this.#opened?.hours.forget();
  }

  /** The stream whose live video is wanted, and whether it is shown; null if none is. */
  get liveStream() {
    const { id, live } = this.#opened ?? {};
    return id !== undefined && live?.isRunning ? { id, isShown: live.isShown } : null;
  }

  /** @param {DetectionsMessage} message */
  showResult(message) {
    if (message.stream === this.#opened?.id) this.#opened.live.addResult(message);
  }

  /** @param {Preview} message */
  showPreview(message) {
    if (message.stream === this.#opened?.id) this.#opened.picture.show(message);
  }

  /** @param {StatsMessage} message */
  update({ timeMs, streams, host }) {
    for (const [id, draft] of this.#drafts)
      if (!streams.some((stream) => stream.id === id)) {
        destroy(draft);
        this.#drafts.delete(id);
      }
    const report = streams.find(({ id }) => id === this.#wanted);
    useModel(host.device.model, report?.model);
    const id = report?.id ?? null;
    if (id !== (this.#opened?.id ?? null)) this.#open(id);
    if (report === undefined || this.#opened === null) return;
    this.#report = report;
    this.#opened.picture.places = report;
    this.#opened.settings.places = report;
    this.#opened.charts.update(timeMs, report);
    this.#draw();
  }

  /** @param {EventMessage} event */
  addEvent(event) {
    this.#opened?.events.add(event);
  }

  #draw() {
    // An address that an operator has sent.
    if (this.#tab === 'settings' && document.body.dataset.role === 'viewer') this.#tab = 'places';
    const [opened, report] = [this.#opened, this.#report];
    if (opened === null || report === null) return;
    // Boxes, paths and the heat map are those of now, and would lie over what is played.
    const isPlaying = opened.recorded.timeMs !== null;
    if (!isPlaying) this.#playing = null;
    else if (this.#playing === null) this.#playing = { ...this.#layers, boxes: false, paths: false };
    opened.picture.layers = this.#playing ?? this.#layers;
    opened.picture.heat = isPlaying ? null : opened.heat.canvas;
    if (this.#tab === 'figures') opened.hours.show(opened.id, Date.now());
    opened.settings.show(this.#tab === 'places' || this.#tab === 'settings' ? this.#tab : null);
    opened.line.show();
    const { state } = report;
    const trouble = troubleOf(report);
    const isLive = this.#wantsVideo && opened.line.noLive === null && opened.recorded.timeMs === null;
    if (isLive && state === 'running' && !document.hidden) opened.live.start();
    else opened.live.stop();
    render(
      html`<article class="camera" aria-label="Camera ${opened.id}" data-camera=${opened.id} data-tone=${signText(report) === '' && lateText(report) === '' ? TONES[state] : 'warn'}>
        ${this.#head(report)}
        <div class="camera-main">
          <div class="camera-view">${opened.picture.node}${opened.recorded.node}<p class="veil" ?hidden=${trouble === null}><b>${trouble?.title}</b><span class="veil-next">${trouble?.next}</span></p></div>
          ${this.#bar(report, opened)}
          <p class="miss" role="status">${trouble === null ? missText(report) : ''}</p>
          <p class="card-warning" role="status">${report.trackProblem ?? ''}</p>
          <p class="card-error" data-past=${state === 'running' || nothing}>${errorText(report)}</p>
          ${opened.line.template(opened.recorded.timeMs)}
        </div>
        ${this.#side(report, opened)}
      </article>`,
      this.#node,
    );
  }

  /** @param {StreamReport} report */
  #head(report) {
    const { id, state, host, source, policy, width, height, startFailure } = report;
    const canResume = CAN_RESUME.has(state);
    const verb = canResume ? 'Resume' : 'Pause';
    // A stream that could not be started is tried again until it is paused.
    const canPause = !CANNOT_PAUSE.has(state) || startFailure !== undefined;
    const size = width === null ? '' : `${width} x ${height}, `;
    return html`<header class="camera-head">
      <a class="button" id="back" href="#wall" aria-label="All cameras" title="All cameras, Esc">\u2039</a>
      <h2 class="card-title">${id}</h2>
      <span class="badge">${signText(report) || lateText(report) || (state === 'running' ? 'Watching' : formatName(state))}</span>
      <span class="card-host" title="Runs on ${host}" ?hidden=${host === undefined}>${host}</span>
      <span class="source" title="${source}, ${policy}">${size}${source}${report.model === undefined ? '' : `, detector ${report.model}`}</span>
      <button type="button" class="button" data-needs="operator" aria-label="${verb} ${id}" ?hidden=${!canPause}
        @click=${busy(() => (canResume ? this.#actions.resume : this.#actions.pause)(id))}>${verb}</button>
      <button type="button" class="button camera-remove" data-needs="operator" aria-label="Remove ${id}"
        @click=${busy(() => this.#actions.remove(id))}>Remove</button>
    </header>`;
  }

  /**
   * @param {StreamReport} report
   * @param {Opened} opened
   */
  #bar({ fps, latencyMs: { window } }, { picture, heat, live, recorded, line }) {
    const isRecorded = recorded.timeMs !== null;
    const why = line.noLive ?? live.problem;
    const shown = isRecorded ? 'Recording' : live.isShown ? 'Live video' : 'Pictures';
    const video = isRecorded
      ? html`<button type="button" class="chip" @click=${() => recorded.stop()}>Back to live</button>`
      : line.noLive === null
        ? html`<button type="button" class="chip" aria-pressed=${this.#wantsVideo} @click=${() => {
            this.#wantsVideo = !this.#wantsVideo;
            this.#draw();
          }}>Video</button>`
        : nothing;
    const chip = (/** @type {keyof typeof LAYERS} */ layer) => html`<button type="button" class="chip"
      aria-pressed=${this.#layers[layer]} @click=${() => {
        this.#layers = { ...this.#layers, [layer]: !this.#layers[layer] };
        this.#playing = null;
        this.#draw();
      }}>${LAYERS[layer]}</button>`;
    return html`<div class="camera-bar">
      <fieldset aria-label="Shown on the picture">${isRecorded ? nothing : chip('boxes')} ${chip('zones')} ${
        isRecorded
          ? nothing
          : html`${chip('paths')}
        <button type="button" class="chip" aria-pressed=${heat.isOn} @click=${() => heat.toggle()}>${heat.label}</button>`
      } ${video}
        <span class="shown-as" title=${why}>${shown}${shown === 'Pictures' && live.problem !== '' ? `: ${live.problem}` : ''}</span></fieldset>
      <span>${formatFps(fps.published)} frames/s</span> <span>${window.count === 0 ? '' : `${formatMs(window.p99)} ms`}</span>
      <button type="button" class="chip" @click=${() => (isRecorded ? recorded.node : picture.node).requestFullscreen().catch(this.#onError)}>Full screen</button>
    </div>`;
  }

  /**
   * @param {StreamReport} report
   * @param {Opened} opened
   */
  #side(report, { id, settings, charts, events, hours, heat }) {
    const link = (/** @type {Tab} */ tab) => html`<a href=${addressOf(id, tab)} data-camera-tab=${tab}
      data-needs=${tab === 'settings' ? 'operator' : nothing} aria-current=${tab === this.#tab ? 'page' : nothing}>${TABS[tab]}</a>`;
    return html`<div class="camera-side">
      <nav class="camera-tabs" aria-label="Camera">${/** @type {Tab[]} */ (Object.keys(TABS)).map(link)}</nav>
      ${settings.node}
      <div class="pane" ?hidden=${this.#tab !== 'events'}>${events.node}</div>
      <div class="pane" ?hidden=${this.#tab !== 'figures'}>${cameraFigures(
        report,
        html`${charts.node} ${hours.template('Counts by hour, today', report)} ${heat.template()}`,
      )}</div>
    </div>`;
  }
}

/**
 * @param {string} id
 * @param {string} tab
 */
const addressOf = (id, tab) => `#stream=${encodeURIComponent(id)}/${tab}`;

/** @param {Opened} opened */
function destroy({ picture, charts }) {
  picture.destroy();
  charts.destroy();
}
