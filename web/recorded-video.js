import { element } from './element.js';
import { PAGE_URL } from './gateway.js';

/** Files are looked up so far ahead. */
const AHEAD_MS = 600_000;
/** What is shorter is not worth another request: it is still being written. */
const LEAST_MS = 1_000;

/** What is recorded of one stream, played file after file. */
export class RecordedVideo {
  #id;
  #onChange;
  #onError;
  /** Wall clock, milliseconds since 1970, at which each begins. @type {{ startMs: number, url: string }[]} */
  #files = [];
  #at = -1;
  #asked = 0;
  node;

  /**
   * @param {string} id of the stream
   * @param {() => void} onChange it plays, stops, or goes on
   * @param {(error: unknown) => void} onError
   */
  constructor(id, onChange, onError) {
    this.#id = id;
    this.#onChange = onChange;
    this.#onError = onError;
    const video = element('video', { class: 'recorded', controls: true, playsinline: true, hidden: true });
    video.setAttribute('aria-label', `Recording of ${id}`);
    video.muted = true;
    video.addEventListener('timeupdate', onChange);
    video.addEventListener('ended', () => this.#next());
    video.addEventListener('error', () => {
      if (this.#at < 0) return;
      this.stop();
      onError(new Error(`This browser cannot play the recording of ${id}. Export it to see it with another player.`));
    });
    this.node = video;
  }

  /** Wall clock of what is shown; null if nothing is. */
  get timeMs() {
    return this.#at < 0 ? null : this.#files[this.#at].startMs + this.node.currentTime * 1000;
  }

  /** Plays from a time on. @param {number} timeMs */
  async play(timeMs) {
    this.#asked += 1;
    const asked = this.#asked;
    try {
      const files = await filesFrom(this.#id, timeMs);
      if (asked !== this.#asked) return;
      this.#files = files;
      const at = files.findLastIndex(({ startMs }) => startMs <= timeMs);
      this.#open(Math.max(0, at), Math.max(0, timeMs - (files[at]?.startMs ?? timeMs)));
    } catch (error) {
      if (asked === this.#asked) this.#onError(error);
    }
  }

  stop() {
    this.#asked += 1;
    this.#at = -1;
    this.node.hidden = true;
    this.node.removeAttribute('src');
    this.node.load();
    this.#onChange();
  }

  /** @param {number} at @param {number} offsetMs */
  #open(at, offsetMs) {
    this.#at = at;
    this.node.hidden = false;
    // The browser begins there.
    this.node.src = `${this.#files[at].url}#t=${offsetMs / 1000}`;
    this.node.play().catch(() => {});
    this.#onChange();
  }

  async #next() {
    const endMs = this.timeMs;
    if (endMs === null) return;
    if (this.#at + 1 < this.#files.length) return this.#open(this.#at + 1, 0);
    const asked = this.#asked;
    const files = await filesFrom(this.#id, endMs + LEAST_MS).catch(() => []);
    if (asked !== this.#asked) return;
    if (files.length === 0) this.stop();
    else await this.play(Math.max(endMs, files[0].startMs));
  }
}

/**
 * The files that have a time or come after it, from the playlist.
 *
 * @param {string} stream
 * @param {number} fromMs
 */
async function filesFrom(stream, fromMs) {
  const query = new URLSearchParams({
    stream,
    from: String(Math.round(fromMs)),
    to: String(Math.round(fromMs + AHEAD_MS)),
  });
  const url = `${PAGE_URL}api/recordings/playlist.m3u8?${query}`;
  const reply = await fetch(url);
  if (!reply.ok) throw new Error((await reply.json()).error.message);
  const found = (await reply.text()).matchAll(/#EXT-X-MAP:URI="([^"]+)".*\n#EXT-X-PROGRAM-DATE-TIME:(\S+)/g);
  return [...found].map(([, file, began]) => ({ startMs: Date.parse(began), url: new URL(file, url).href }));
}
