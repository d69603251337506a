import { describe, expect, it } from 'vitest';
import { matroskaHeader, pictureHeader } from '../../../../src/after/sinks/video-matroska.ts';

interface Element {
  readonly id: number;
  readonly size: number;
  readonly content: Uint8Array;
}

/** Reads one EBML element (RFC 8794): id and size have their length in their leading zero bits. */
function readElement(bytes: Uint8Array, at: number): { element: Element; next: number } {
  const idLength = Math.clz32(bytes[at]!) - 23;
  const id = Number(`0x${Buffer.from(bytes.subarray(at, at + idLength)).toString('hex')}`);
  const sizeAt = at + idLength;
  const sizeLength = Math.clz32(bytes[sizeAt]!) - 23;
  const digits = [bytes[sizeAt]! & (0xff >> sizeLength), ...bytes.subarray(sizeAt + 1, sizeAt + sizeLength)];
  const size = digits.reduce((sum, digit) => sum * 256 + digit, 0);
  const from = sizeAt + sizeLength;
  return { element: { id, size, content: bytes.subarray(from, from + size) }, next: from + size };
}

function readAll(bytes: Uint8Array): Element[] {
  const elements: Element[] = [];
  for (let at = 0; at < bytes.length; ) {
    const { element, next } = readElement(bytes, at);
    elements.push(element);
    at = next;
  }
  return elements;
}

describe('the header of a picture', () => {
  it('is a cluster with the absolute time in microseconds, whose sizes include the pixels', () => {
    const header = pictureHeader(1_234_567_890, 1000);
    const { element: cluster } = readElement(header, 0);
    expect(cluster.id).toBe(0x1f43b675);
    expect(cluster.content.length + 1000).toBe(cluster.size);
    const { element: time, next } = readElement(cluster.content, 0);
    expect([time.id, Number(`0x${Buffer.from(time.content).toString('hex')}`)]).toEqual([0xe7, 1_234_567_890]);
    const { element: block } = readElement(cluster.content, next);
    expect([block.id, block.size]).toEqual([0xa3, 1004]);
    // Track 1, no offset from the cluster's time, a key frame.
    expect([...block.content]).toEqual([0x81, 0, 0, 0x80]);
  });

  it('can hold a time of a year and the size of an 8K picture', () => {
    const { element } = readElement(pictureHeader(31_536_000_000_000, 7680 * 4320 * 3), 0);
    expect(element.size).toBeGreaterThan(7680 * 4320 * 3);
  });
});

describe('the header of the file', () => {
  it('states the size and the layout of the pixels', () => {
    const header = matroskaHeader(1920, 1080);
    const { element: ebml, next } = readElement(header, 0);
    expect(ebml.id).toBe(0x1a45dfa3);
    // The segment has no known size: four bytes of id and eight of size, all ones.
    expect([...header.subarray(next + 4, next + 12)]).toEqual([1, 255, 255, 255, 255, 255, 255, 255]);
    const [info, tracks] = readAll(header.subarray(next + 12));
    expect([info!.id, tracks!.id]).toEqual([0x1549a966, 0x1654ae6b]);
    const track = readAll(readAll(tracks!.content)[0]!.content);
    const video = readAll(track.find(({ id }) => id === 0xe0)!.content);
    expect(video.map(({ content }) => Buffer.from(content).toString('hex'))).toEqual(['0780', '0438', '52474218']);
  });
});
