import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { PACKET_OUTPUT, PACKET_PIPE } from '../../src/frame/decode/packet-tap.ts';
import { LaneTaps } from '../../src/frame/runtime/lane/lane-tap.ts';
import type { PacketFragment, PacketsOpened, StreamPackets } from '../../src/wire/protocol/packets.ts';
import { testFfmpeg } from './made-videos.ts';

/** The packets of a video as a lane posts them. */
export async function packetsOf(video: string, stream = 'cam'): Promise<StreamPackets[]> {
  const packets: StreamPackets[] = [];
  const post = (message: unknown): void => void packets.push(message as StreamPackets);
  const port = { post, addPreprocessMs: () => undefined };
  const refuse = (why: string): void => {
    throw new Error(why);
  };
  const taps = new LaneTaps({ streamId: stream, tapsPackets: true } as never, { shiftUs: 0 }, port, refuse);
  const tap = taps.open(refuse)!;
  const args = ['-hide_banner', '-loglevel', 'error', '-nostdin', '-i', video, ...PACKET_OUTPUT];
  const stdio = ['ignore', 'ignore', 'inherit', 'ignore', 'ignore', 'pipe'] as const;
  const child = spawn(testFfmpeg.path, args, { stdio: [...stdio] });
  ((child.stdio as readonly unknown[])[PACKET_PIPE] as Readable).on('data', (bytes: Uint8Array) => tap.push(bytes));
  await once(child, 'close');
  tap.end();
  return packets;
}

/** Plays the packets of a video again and again, as a camera without an end, with times of their own. */
export class EndlessPackets {
  readonly #opened: PacketsOpened;
  readonly #fragments: readonly PacketFragment[];
  readonly #lengthUs: number;
  #next = 0;
  #connection = 0;
  #skippedUs = 0;

  constructor(packets: readonly StreamPackets[]) {
    this.#opened = packets[0] as PacketsOpened;
    this.#fragments = packets.slice(1) as PacketFragment[];
    this.#lengthUs = this.#fragments.at(-1)!.endUs - this.#fragments[0]!.startUs;
  }

  /** The next connection. @param pauseUs - how long the camera was away. */
  open(gap: PacketsOpened['gap'] = 'reopened', pauseUs = 0): PacketsOpened {
    this.#connection += 1;
    this.#skippedUs += pauseUs;
    return { ...this.#opened, connection: `c${this.#connection}`, gap, shiftUs: this.#skippedUs };
  }

  /** @param atMs - wall clock at media time 0. */
  next(atMs = 0): PacketFragment {
    const fragment = this.#fragments[this.#next % this.#fragments.length]!;
    const addUs = Math.floor(this.#next / this.#fragments.length) * this.#lengthUs + this.#skippedUs;
    this.#next += 1;
    const [startUs, endUs, firstUs] = [fragment.startUs + addUs, fragment.endUs + addUs, fragment.firstUs + addUs];
    const connection = `c${this.#connection}`;
    // A player sees one time line: the ticks go on as well.
    const ticks = Math.round(((addUs - this.#skippedUs) / 1e6) * this.#opened.timescale);
    const bytes = Buffer.from(fragment.bytes);
    bytes.writeBigInt64BE(BigInt(fragment.baseTicks + ticks), fragment.baseAt);
    return {
      ...fragment,
      bytes,
      connection,
      startUs,
      endUs,
      firstUs,
      sha256: hash(bytes),
      baseTicks: fragment.baseTicks + ticks,
      firstTicks: fragment.firstTicks + ticks,
      endMs: atMs + Math.round(endUs / 1000),
    };
  }
}

function hash(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
