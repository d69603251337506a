/** Kind, tag and payload length, u32 little-endian each. */
const HEADER_BYTES = 12;

/** What the two ends of the pipe say to each other. Payloads are JSON, except those of `batch` and `output`. */
export const MESSAGE = {
  /** Host: `LoadRequest`. */
  load: 1,
  /** Host: pixels u8 `[tag, height, width, 3]`. */
  batch: 2,
  /** Child: `LibraryFacts`. */
  ready: 3,
  /** Child: `{ message }`; it cannot do what it was started for. */
  failed: 4,
  /** Child: `ResultHeader`; its outputs follow, one message each. */
  result: 5,
  /** Child: the data of output number `tag`. */
  output: 6,
  /** Child: `{ message }`; the oldest batch could not be run. */
  batchFailed: 7,
} as const;

export interface MessagePort {
  /** Memory for the payload of the message that begins. */
  memory(kind: number, tag: number, bytes: number): Uint8Array;
  onMessage(kind: number, tag: number, payload: Uint8Array): void;
}

export function messageHeader(kind: number, tag: number, bytes: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(kind, tag, bytes).buffer);
}

/**
 * Cuts a byte stream into messages. Bytes are put straight where they belong: whoever reads asks `target` for the memory of
 * the next read, and tells with `filled` how much of it was used.
 */
export class MessageReader {
  readonly #port: MessagePort;
  readonly #header = new Uint8Array(HEADER_BYTES);
  /** Null while a header is read. */
  #payload: Uint8Array | null = null;
  #at = 0;

  constructor(port: MessagePort) {
    this.#port = port;
  }

  /** Never empty. */
  target(): Uint8Array {
    return (this.#payload ?? this.#header).subarray(this.#at);
  }

  filled(bytes: number): void {
    this.#at += bytes;
    if (this.#payload === null) {
      if (this.#at < HEADER_BYTES) return;
      const [kind, tag, length] = this.#fields();
      this.#payload = this.#port.memory(kind, tag, length);
      this.#at = 0;
    }
    if (this.#at < this.#payload.length) return;
    const [kind, tag] = this.#fields();
    const payload = this.#payload;
    this.#payload = null;
    this.#at = 0;
    this.#port.onMessage(kind, tag, payload);
  }

  /** For bytes that lie somewhere already: copies them. */
  push(chunk: Uint8Array): void {
    for (let from = 0; from < chunk.length; ) {
      const target = this.target();
      const part = chunk.subarray(from, from + target.length);
      target.set(part);
      from += part.length;
      this.filled(part.length);
    }
  }

  #fields(): [kind: number, tag: number, bytes: number] {
    const view = new DataView(this.#header.buffer);
    return [view.getUint32(0, true), view.getUint32(4, true), view.getUint32(8, true)];
  }
}
