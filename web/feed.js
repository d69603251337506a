/** @import { ServerMessage } from '../src/protocol/feed.ts' */

import { decode } from '/vendor/msgpack/decode.mjs';

const FIRST_WAIT_MS = 500;
const MAX_WAIT_MS = 15_000;
/** Stats arrive every second. Without a message for this long the connection is dead, though TCP has not noticed yet. */
const SILENCE_MS = 8_000;
/** Close code of a connection whose token was removed, changed or has expired. */
const TOKEN_ENDED = 4401;
/** The only protocol version that this page can read. */
const PROTOCOL = 1;

/**
 * @typedef {{ name: 'connecting' | 'open' } | { name: 'waiting', retryAtMs: number }} ConnectionState
 *
 * @typedef {object} FeedListener
 * @property {(message: ServerMessage<Uint8Array<ArrayBuffer>>) => void} onMessage
 * @property {(state: ConnectionState) => void} onState
 */

/** The connection to `/ws`. After a loss it reconnects with growing delays and subscribes again. */
export class FeedConnection {
  /** @type {WebSocket | null} */
  #socket = null;
  #waitMs = FIRST_WAIT_MS;
  #retryTimer = 0;
  #silenceTimer = 0;
  /** @type {string[]} */
  #previews = [];
  /** Whether this connection got its `hello`. */
  #hasGreeted = false;
  #onMessage;
  #onState;

  /** @param {FeedListener} listener */
  constructor({ onMessage, onState }) {
    this.#onMessage = onMessage;
    this.#onState = onState;
    addEventListener('online', () => this.#retryNow());
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) this.#retryNow();
    });
    this.#open();
  }

  /**
   * Subscribes to the pictures of exactly these streams.
   *
   * @param {string[]} streams
   */
  watch(streams) {
    this.#previews = streams;
    this.#sendPreviews();
  }

  #open() {
    this.#onState({ name: 'connecting' });
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    const socket = new WebSocket(`${scheme}://${location.host}/ws`);
    socket.binaryType = 'arraybuffer';
    this.#socket = socket;
    socket.addEventListener('open', () => {
      this.#send({ type: 'subscribe', topics: ['stats', 'events'] });
      this.#sendPreviews();
      this.#restartSilenceTimer();
    });
    socket.addEventListener('message', ({ data }) => {
      this.#restartSilenceTimer();
      this.#receive(typeof data === 'string' ? JSON.parse(data) : /** @type {any} */ (decode(data)));
    });
    socket.addEventListener('close', ({ code }) => this.#handleClose(socket, code));
  }

  /** @param {ServerMessage<Uint8Array<ArrayBuffer>>} message */
  #receive(message) {
    if (message.type === 'hello') {
      // A gateway of another version serves another page: load it.
      if (message.protocol !== PROTOCOL) location.reload();
      this.#waitMs = FIRST_WAIT_MS;
      this.#hasGreeted = true;
      this.#onState({ name: 'open' });
    }
    this.#onMessage(message);
  }

  /**
   * @param {WebSocket} socket
   * @param {number} [code]
   */
  #handleClose(socket, code) {
    if (socket !== this.#socket) return;
    this.#socket = null;
    // Shows the sign-in page, or what the token may do now.
    if (code === TOKEN_ENDED) location.reload();
    else if (!this.#hasGreeted) this.#signInIfRefused();
    this.#hasGreeted = false;
    clearTimeout(this.#silenceTimer);
    // Half of the delay is random, so that a hundred pages do not reconnect at the same instant.
    const waitMs = this.#waitMs * (0.5 + Math.random() / 2);
    this.#waitMs = Math.min(this.#waitMs * 2, MAX_WAIT_MS);
    this.#onState({ name: 'waiting', retryAtMs: Date.now() + waitMs });
    this.#retryTimer = setTimeout(() => this.#open(), waitMs);
  }

  /** A browser does not say why an upgrade was refused, so this asks. */
  async #signInIfRefused() {
    const status = await fetch('/readyz').then(
      (response) => response.status,
      () => 0,
    );
    if (status === 401 || status === 403) location.reload();
  }

  #retryNow() {
    if (this.#socket !== null) return;
    clearTimeout(this.#retryTimer);
    this.#open();
  }

  #restartSilenceTimer() {
    clearTimeout(this.#silenceTimer);
    const socket = this.#socket;
    this.#silenceTimer = setTimeout(() => {
      socket?.close();
      // A dead connection never answers the closing handshake.
      if (socket !== null) this.#handleClose(socket);
    }, SILENCE_MS);
  }

  #sendPreviews() {
    if (this.#previews.length === 0) this.#send({ type: 'unsubscribe', topics: ['preview'] });
    // Pictures as bytes are a quarter smaller than as base64, and need no decoding before the JPEG's own.
    else this.#send({ type: 'subscribe', topics: ['preview'], streams: this.#previews, format: 'msgpack' });
  }

  /** @param {object} message */
  #send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }
}
