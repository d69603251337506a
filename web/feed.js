const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;
/** Stats come every second: silence for this long is a dead connection that TCP has not noticed yet. */
const SILENCE_MS = 8_000;
/** The page cannot read this protocol's successor. */
const PROTOCOL = 1;

/**
 * The connection to `/ws`: opens it, opens it again with growing waits after a loss, and says again what was
 * subscribed to. `onState` hears `{name: 'connecting' | 'open' | 'waiting', retryAtMs}`.
 */
export class FeedConnection {
  #socket = null;
  #waitMs = FIRST_WAIT_MS;
  #retryTimer = 0;
  #silenceTimer = 0;
  #previews = [];
  #onMessage;
  #onState;

  constructor({ onMessage, onState }) {
    this.#onMessage = onMessage;
    this.#onState = onState;
    addEventListener('online', () => this.#retryNow());
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) this.#retryNow();
    });
    this.#open();
  }

  /** Asks for pictures of these streams and no others. */
  watch(streams) {
    this.#previews = streams;
    this.#sayPreviews();
  }

  #open() {
    this.#onState({ name: 'connecting' });
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    const socket = new WebSocket(`${scheme}://${location.host}/ws`);
    this.#socket = socket;
    socket.addEventListener('open', () => {
      this.#say({ type: 'subscribe', topics: ['stats', 'events'] });
      this.#sayPreviews();
      this.#watchSilence();
    });
    socket.addEventListener('message', ({ data }) => {
      this.#watchSilence();
      this.#receive(JSON.parse(data));
    });
    socket.addEventListener('close', () => this.#lose(socket));
  }

  #receive(message) {
    if (message.type === 'hello') {
      // A gateway of another version serves another page.
      if (message.protocol !== PROTOCOL) location.reload();
      this.#waitMs = FIRST_WAIT_MS;
      this.#onState({ name: 'open' });
    }
    this.#onMessage(message);
  }

  #lose(socket) {
    if (socket !== this.#socket) return;
    this.#socket = null;
    clearTimeout(this.#silenceTimer);
    // Half of the wait is chance, so that a hundred pages do not return in the same instant.
    const waitMs = this.#waitMs * (0.5 + Math.random() / 2);
    this.#waitMs = Math.min(this.#waitMs * 2, LONGEST_WAIT_MS);
    this.#onState({ name: 'waiting', retryAtMs: Date.now() + waitMs });
    this.#retryTimer = setTimeout(() => this.#open(), waitMs);
  }

  #retryNow() {
    if (this.#socket !== null) return;
    clearTimeout(this.#retryTimer);
    this.#open();
  }

  #watchSilence() {
    clearTimeout(this.#silenceTimer);
    const socket = this.#socket;
    this.#silenceTimer = setTimeout(() => {
      socket?.close();
      // A dead connection never answers the closing handshake.
      if (socket !== null) this.#lose(socket);
    }, SILENCE_MS);
  }

  #sayPreviews() {
    if (this.#previews.length === 0) this.#say({ type: 'unsubscribe', topics: ['preview'] });
    else this.#say({ type: 'subscribe', topics: ['preview'], streams: this.#previews });
  }

  #say(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }
}
