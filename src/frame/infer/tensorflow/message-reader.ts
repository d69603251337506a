/** Kind, tag and payload length, u32 little-endian each. */
const HEADER_BYTES = 12;

/** Kinds of messages on the pipe. Payloads are JSON, except those of `batch` and `output`. */
export const MESSAGE = {
  /** From the parent: `LoadRequest`. */
  load: 1,
  /** From the parent: pixels u8 `[tag, height, width, 3]`. */
  batch: 2,
  /** From the child: `LibraryFacts`. */
  ready: 3,
  /** From the child: `{ message }`; loading failed or its thread ended. */
  failed: 4,
  /** From the child: `ResultHeader`; its outputs follow, one message each. */
  result: 5,
  /** From the child: the data of output number `tag`. */
  output: 6,
  /** From the child: `{ message }`; the oldest batch failed. */
  batchFailed: 7,
} as const;

/** Receives the messages of a `MessageReader`. */
export interface MessagePort {
  /** Returns memory for the payload of the message that begins. */
  memory(kind: number, tag: number, bytes: number): Uint8Array;
  onMessage(kind: number, tag: number, payload: Uint8Array): void;
}

/** Returns the bytes before a payload. */
export function messageHeader(kind: number, tag: number, bytes: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(kind, tag, bytes).buffer);
}

/**
 * Splits a byte stream into messages without copying: the caller reads into the memory that `target` returns, and reports the
 * number of bytes with `filled`.
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

  /** Returns the memory for the next read; never empty. */
  target(): Uint8Array {
    return (this.#payload ?? this.#header).subarray(this.#at);
  }

  /** Call it after this many bytes were read into `target()`. */
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

  /** Copies bytes that are already in memory. */
  push(chunk: Uint8Array): void {
    for (let from = 0; from < chunk.length; ) {
      const target = this.target();
      const piece = chunk.subarray(from, from + target.length);
      target.set(piece);
      from += piece.length;
      this.filled(piece.length);
    }
  }

  #fields(): [kind: number, tag: number, bytes: number] {
    const view = new DataView(this.#header.buffer);
    return [view.getUint32(0, true), view.getUint32(4, true), view.getUint32(8, true)];
  }
}
