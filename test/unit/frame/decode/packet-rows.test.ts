import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Packet, PacketRows } from '../../../../src/frame/decode/packet-rows.ts';

const HEAD = [
  '#extradata 0:       44, 0x22e50eb7',
  '#software: Lavf59.27.100',
  '#tb 0: 1/10240',
  '#media_type 0: video',
  '#codec_id 0: h264',
  '#dimensions 0: 768x576',
].join('\n');

// Output of ffmpeg 5.1; the flags that no test clip has are added by hand.
const ROWS = [
  '0,      -2048,          0,     1024,    59324, 0x98c66010',
  '1,      -2048,          0,     1024,    58634, 0x77e27770',
  '0,      -1024,       1024,     1024,    17998, 0x97130f19, F=0x0',
  '0,          0,       2048,     1024,    25688, 0x8009fef3, F=0x10',
  '0,       1024,       3072,     1024,    25688, 0x8009fef3',
];

function read(text: string, mustConfirm = false, pieces = [text]): { rows: PacketRows; packets: Packet[] } {
  const packets: Packet[] = [];
  const rows = new PacketRows(mustConfirm, (packet) => packets.push(packet));
  for (const piece of pieces) rows.read(piece);
  rows.end();
  return { rows, packets };
}

const one = (row: string): Packet => read(`${HEAD}\n${row}`).packets[0]!;

describe('PacketRows', () => {
  it('reads the time base from the header', () => {
    const { rows } = read(HEAD);
    expect(rows.tickUs).toBe((1 / 10240) * 1e6);
  });

  it('reports times in microseconds, and key frames unless flags say otherwise', () => {
    expect(read(`${HEAD}\n${ROWS.join('\n')}`).packets.map(({ ptsUs, isKey }) => [ptsUs, isKey])).toEqual([
      [0, true],
      [100_000, false],
      [200_000, false],
      [300_000, true],
    ]);
  });

  it('confirms a key frame only if the second stream has it, in either order', () => {
    const swapped = [ROWS[1]!, ROWS[0]!, ...ROWS.slice(2)];
    for (const rows of [ROWS, swapped])
      expect(read(`${HEAD}\n${rows.join('\n')}\n`, true).packets.map(({ isKey }) => isKey)).toEqual([
        true,
        false,
        false,
        false,
      ]);
  });

  it('gives the same result for any chunking of the text', () => {
    const text = `${HEAD}\n${ROWS.join('\n')}\n`;
    const whole = read(text, true).packets;
    fc.assert(
      fc.property(fc.array(fc.nat(text.length), { maxLength: 8 }), (at) => {
        const marks = [0, ...at.sort((a, b) => a - b), text.length];
        const pieces = marks.slice(1).map((end, i) => text.slice(marks[i], end));
        expect(read(text, true, pieces).packets).toEqual(whole);
      }),
    );
  });

  it.each([
    ['a packet that is not for display', '0, 0, 0, 1024, 9, 0x1, F=0x5', { isOdd: true, isKey: true }],
    ['a damaged packet', '0, 0, 0, 1024, 9, 0x1, F=0x2', { isOdd: true, isKey: false }],
    ['a disposable one', '0, 0, 0, 1024, 9, 0x1, F=0x10', { isOdd: false, isKey: false }],
    ['one without a time', '0, 0, -9223372036854775808, 1024, 9, 0x1', { ptsUs: null, isOdd: false }],
    ['one without a decoding time', '0, -9223372036854775808, 0, 1024, 9, 0x1', { ptsUs: 0, isOdd: true }],
    ['one presented later than decoded', '0, 0, 512, 1024, 9, 0x1', { isReordered: true }],
    ['one presented when decoded', '0, 512, 512, 1024, 9, 0x1', { isReordered: false }],
    ['one with side data', '0, 0, 0, 1024, 9, 0x1, F=0x0, S=1, 8, 0xaf4', { isOdd: false, isKey: false }],
  ])('reports %s as such', (_, row, expected) => {
    expect(one(row)).toMatchObject(expected);
  });
});
