import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MessageReader, messageHeader } from '../../../../../src/frame/infer/tensorflow/message-reader.ts';

interface Message {
  readonly kind: number;
  readonly tag: number;
  readonly payload: Uint8Array;
}

function reader(messages: Message[], memory = (bytes: number) => new Uint8Array(bytes)): MessageReader {
  return new MessageReader({
    memory: (_, __, bytes) => memory(bytes),
    onMessage: (kind, tag, payload) => messages.push({ kind, tag, payload }),
  });
}

function bytesOf({ kind, tag, payload }: Message): Buffer {
  return Buffer.concat([messageHeader(kind, tag, payload.length), payload]);
}

const message = fc.record({
  kind: fc.nat(10),
  tag: fc.nat(0xffff_ffff),
  payload: fc.uint8Array({ maxLength: 40 }).map((bytes) => Uint8Array.from(bytes)),
});

describe('MessageReader', () => {
  it('returns the same messages for any chunking of the stream', () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 8 }), fc.integer({ min: 1, max: 60 }), (sent, step) => {
        const stream = Buffer.concat(sent.map(bytesOf));
        const got: Message[] = [];
        const pushed = reader(got);
        for (let at = 0; at < stream.length; at += step) pushed.push(stream.subarray(at, at + step));
        expect(got).toEqual(sent);
      }),
    );
  });

  it('requests memory for each payload, so that it is read in place without a copy', () => {
    const place = new Uint8Array(8);
    const got: Message[] = [];
    const direct = reader(got, (bytes) => place.subarray(0, bytes));
    const stream = bytesOf({ kind: 2, tag: 1, payload: Uint8Array.of(5, 6, 7) });
    for (let at = 0; at < stream.length; ) {
      const target = direct.target();
      expect(target.length).toBeGreaterThan(0);
      // The kernel may return less than the buffer size.
      const part = stream.subarray(at, at + Math.min(2, target.length));
      target.set(part);
      direct.filled(part.length);
      at += part.length;
    }
    expect([...place.subarray(0, 3)]).toEqual([5, 6, 7]);
    expect(got[0]!.payload.buffer).toBe(place.buffer);
  });
});
