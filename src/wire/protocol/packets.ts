/** Undecoded packets of a stream, on their way from its lane to who keeps them. */

/**
 * Why packets are missing before a fragment. start: nothing was kept before; reopened: the stream was paused, or its settings changed;
 * reconnect: the camera went away; clock: the camera set its clock back; restart: the host was restarted; ring-full: memory was full;
 * disk-slow, disk-full, disk-failed: the disk did not take them; event: nothing was to be kept.
 */
export const GAP_REASONS = [
  ...(['start', 'reopened', 'reconnect', 'clock', 'restart', 'ring-full', 'disk-slow', 'disk-full'] as const),
  ...(['disk-failed', 'event'] as const),
] as const;
export type GapReason = (typeof GAP_REASONS)[number];

/** How the packets of one connection are to be read. */
export interface PacketsOpened {
  readonly type: 'packets-opened';
  readonly stream: string;
  /** Never repeated in a process. */
  readonly connection: string;
  /** `ftyp` and `moov`. */
  readonly init: Uint8Array;
  readonly codec: string;
  /** Ticks per second. */
  readonly timescale: number;
  /** Added to the times of the source for those of results, in microseconds. */
  readonly shiftUs: number;
  /** Why nothing came just before. */
  readonly gap: GapReason;
}

/** `moof` and `mdat`. */
export interface PacketFragment {
  readonly type: 'packets';
  readonly stream: string;
  readonly connection: string;
  readonly bytes: Uint8Array;
  /** Of `bytes`, hexadecimal. */
  readonly sha256: string;
  readonly isKey: boolean;
  readonly frames: number;
  /** Media time as in results, in microseconds: of the first picture that is shown, and when the last one is over. */
  readonly startUs: number;
  readonly endUs: number;
  /** Of its first picture: that of a key fragment is where decoding can begin. */
  readonly firstUs: number;
  readonly firstTicks: number;
  /** Decoding time of its first packet as it stands in `bytes`, and where: 8 bytes, big-endian. */
  readonly baseTicks: number;
  readonly baseAt: number;
  /** Wall clock when it was complete, milliseconds since 1970. */
  readonly endMs: number;
}

export type StreamPackets = PacketsOpened | PacketFragment;
