import { PassThrough } from 'node:stream';
import type { Clock } from '../../base/core/clock.ts';
import { redact, redactSource } from '../../base/core/redact.ts';
import type { SourceInput } from '../../base/core/source.ts';
import { MIB } from '../../base/disk/given-file.ts';
import type { ErrorCode } from '../../base/errors/error-codes.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { AFTER_REFUSAL, backOffMs } from '../../base/flow/back-off.ts';
import type { ChildGroup } from '../../base/process/child-group.ts';
import type { Ffmpeg } from '../../base/process/confinement.ts';
import { LogTail } from '../../base/process/log-tail.ts';
import { lowerPriority } from '../../base/process/lower-priority.ts';
import { startReader } from '../../base/process/start-reader.ts';
import { ffmpegArguments, NO_TAGS } from '../../frame/decode/ffmpeg-arguments.ts';
import { explainExit } from '../../frame/decode/ffmpeg-log.ts';
import type { OpenedSource } from '../../frame/source/open/opened-source.ts';
import type { PacketFragment } from '../../wire/protocol/packets.ts';
import type { RestreamReport } from '../../wire/protocol/report.ts';
import type { KeptFragment } from './packet-ring.ts';

/** A server that has twice as much to take is slow. */
const MOST_WAITING_BYTES = 4 * MIB;
/** A server that takes none of so many fragments in this time hangs. ffmpeg says what it wrote when it gets the next one. */
const HUNG = { ms: 15_000, fragments: 3 };
/** After this time, an end is not one more failure in a row. */
const STEADY_MS = 30_000;
const RETRY = { firstMs: 1000, maxMs: 60_000 };
/** For its last packets and its goodbye. */
const END_MS = 2000;
const LOG_CHARS = 4000;

/** Opens what an address leads to, as `openSource`. @throws SOURCE_*, CONFIG_INVALID */
export type OpenTarget = (address: string) => Promise<OpenedSource>;

interface RestreamOptions {
  readonly ffmpeg: Ffmpeg;
  readonly clock: Clock;
  readonly openTarget: OpenTarget;
  readonly onNotice: (text: string) => void;
}

/** What was pushed of a stream since its host began. */
export type PushCounts = {
  -readonly [K in 'connections' | 'sentFrames' | 'skippedFrames']: RestreamReport[K];
};

/** How ffmpeg writes to each kind of server. */
const OUTPUTS: Readonly<Record<string, { readonly format: string; readonly options: readonly string[] }>> = {
  rtsp: { format: 'rtsp', options: ['-rtsp_transport tcp'] },
  rtmp: { format: 'flv', options: ['-flvflags no_duration_filesize'] },
  srt: { format: 'mpegts', options: ['-muxdelay 0', '-muxpreload 0'] },
};

/** Pushes the packets of a stream to a media server. Whatever the server does, nobody waits for it: it is tried again, and what it misses is counted. */
export class Restream {
  readonly address: string;
  readonly #options: RestreamOptions;
  #push: Push | null = null;
  #running: Promise<void> = Promise.resolve();
  /** Not null while the next attempt has to wait. */
  #cancelRetry: (() => void) | null = null;
  readonly #counts: PushCounts;
  #failures = 0;
  #problem: string | null = null;

  /** @param counts - go on from those of an earlier address of the stream. */
  constructor(address: string, options: RestreamOptions, counts: PushCounts) {
    this.address = address;
    this.#options = options;
    this.#counts = counts;
  }

  get figures(): RestreamReport {
    const [to, state] = [redactSource(this.address), this.#push?.state ?? 'waiting'] as const;
    return { to, state, ...this.#counts, problem: this.#problem };
  }

  push({ fragment, opened }: KeptFragment): void {
    // Another connection of the camera has times of its own, and maybe another format.
    if (this.#push !== null && this.#push.connection !== opened.connection) this.#push.end();
    if (this.#push === null && this.#cancelRetry === null && fragment.isKey) this.#start(opened);
    if (this.#push?.take(fragment) !== true) this.#counts.skippedFrames += fragment.frames;
  }

  /** Says goodbye until the next packets. @returns once ffmpeg has ended. */
  async pause(): Promise<void> {
    this.#push?.end();
    await this.#running;
  }

  async close(): Promise<void> {
    await this.pause();
    this.#cancelRetry?.();
  }

  #start({ init, connection }: KeptFragment['opened']): void {
    const push = new Push(init, connection, this.#options.clock, (...sent) => this.#onSent(...sent));
    this.#push = push;
    this.#running = push.run(this.address, this.#options).then((failure) => {
      this.#push = null;
      this.#counts.skippedFrames += push.waitingFrames;
      if (failure !== null) this.#onFailed(failure, push.isSteady);
    });
  }

  #onSent(frames: number, isFirst: boolean): void {
    if (isFirst) {
      this.#counts.connections += 1;
      if (this.#problem !== null) this.#options.onNotice(`${redactSource(this.address)} takes its video again`);
      this.#problem = null;
    }
    this.#counts.sentFrames += frames;
  }

  #onFailed({ message, isRetryable }: SightlineError, wasSteady: boolean): void {
    const { clock, onNotice } = this.#options;
    if (this.#problem === null) onNotice(`its video is not pushed on: ${message}`);
    this.#problem = message;
    this.#failures = wasSteady ? 1 : this.#failures + 1;
    const waitMs = backOffMs(this.#failures, isRetryable ? RETRY : AFTER_REFUSAL);
    this.#cancelRetry = clock.setTimer(() => {
      this.#cancelRetry = null;
    }, waitMs);
  }
}

/** One ffmpeg that pushes packets of one connection of a camera. */
class Push {
  readonly connection: string;
  readonly #input = new PassThrough({ highWaterMark: MOST_WAITING_BYTES });
  readonly #clock: Clock;
  readonly #onSent: (frames: number, isFirst: boolean) => void;
  #group: ChildGroup | null = null;
  /** It gets nothing more. */
  #isOver = false;
  #wasAsked = false;
  #isBehind = false;
  #hung: string | null = null;
  #progress = '';
  /** Of what it got since ffmpeg last said that it wrote something. */
  #unanswered = 0;
  #unansweredSinceMs = 0;
  #sendsSinceMs = Number.POSITIVE_INFINITY;
  /** Frames that ffmpeg has written, as it says. */
  #sentFrames = 0;
  /** Frames that it has got, and not written. */
  waitingFrames = 0;

  constructor(init: Uint8Array, connection: string, clock: Clock, onSent: (frames: number, isFirst: boolean) => void) {
    this.connection = connection;
    this.#clock = clock;
    this.#onSent = onSent;
    this.#input.write(init);
  }

  get state(): RestreamReport['state'] {
    return this.#sentFrames > 0 ? 'sending' : 'connecting';
  }

  get isSteady(): boolean {
    return this.#clock.now() - this.#sendsSinceMs > STEADY_MS;
  }

  /** @returns whether these packets are on their way. */
  take({ bytes, frames, isKey }: PacketFragment): boolean {
    const nowMs = this.#clock.now();
    if (this.#unanswered === 0) this.#unansweredSinceMs = nowMs;
    this.#unanswered += 1;
    const silentMs = nowMs - this.#unansweredSinceMs;
    if (silentMs > HUNG.ms && this.#unanswered > HUNG.fragments && !this.#isOver) {
      this.#hung = `it took nothing for ${Math.round(silentMs / 1000)} s`;
      this.#isOver = true;
      this.#group?.kill();
    }
    this.#isBehind = this.#input.writableNeedDrain || (this.#isBehind && !isKey);
    if (this.#isOver || this.#isBehind) return false;
    this.waitingFrames += frames;
    this.#input.write(bytes);
    return true;
  }

  end(): void {
    if (this.#isOver) return;
    [this.#isOver, this.#wasAsked] = [true, true];
    this.#input.end();
    this.#group?.killAfter(END_MS);
  }

  /** @returns why it ended, once it has; null if it was asked to. Never rejects. */
  async run(address: string, { ffmpeg, openTarget }: RestreamOptions): Promise<SightlineError | null> {
    const label = redactSource(address);
    let opened: OpenedSource | null = null;
    try {
      opened = await openTarget(address);
      if (this.#isOver) return this.#failure(label, null);
      const { group, pid } = await startReader(ffmpeg, argumentsFor(opened.source), { network: true }, 'pipe');
      this.#group = group;
      const { child } = group;
      const log = new LogTail(child.stderr!, LOG_CHARS);
      child.stdout!.setEncoding('utf8').on('data', (text: string) => this.#onProgress(text));
      // Its exit has the reason.
      child.stdin!.on('error', () => undefined);
      this.#input.pipe(child.stdin!);
      const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
      if (this.#isOver) group.killAfter(END_MS);
      lowerPriority(await pid);
      await closed;
      return this.#failure(label, opened.failure ?? pushFailure(log.text, opened.source, this.#sentFrames > 0));
    } catch (error) {
      return this.#failure(label, SightlineError.from(error, 'SOURCE_UNREACHABLE'));
    } finally {
      this.#isOver = true;
      this.#input.destroy();
      opened?.close();
    }
  }

  #failure(label: string, error: SightlineError | null): SightlineError | null {
    if (this.#hung !== null) return new SightlineError('SOURCE_UNREACHABLE', `${label}: ${this.#hung}`);
    return this.#wasAsked ? null : error;
  }

  #onProgress(text: string): void {
    this.#progress = (this.#progress + text).slice(-LOG_CHARS);
    const written = Number(this.#progress.match(/(?<=^frame= *)\d+(?=\n)/gm)?.at(-1) ?? 0);
    const more = written - this.#sentFrames;
    if (more <= 0) return;
    const isFirst = this.#sentFrames === 0;
    if (isFirst) this.#sendsSinceMs = this.#clock.now();
    this.#onSent(more, isFirst);
    this.#sentFrames = written;
    this.waitingFrames -= more;
    this.#unanswered = 0;
  }
}

function argumentsFor({ kind, url, label, tcUrl }: SourceInput): string[] {
  const output = OUTPUTS[kind];
  if (output === undefined) throw new SightlineError('CONFIG_INVALID', `${label}: expected rtsp://, rtmp:// or srt://`);
  return ffmpegArguments(['-hide_banner', '-nostats', '-loglevel', 'error', '-progress', 'pipe:1'], {
    input: 'pipe:0',
    inputOptions: ['-protocol_whitelist pipe', '-f mov', '-analyzeduration 0', '-fpsprobesize 0'],
    outputOptions: [
      ...['-map 0:v:0', '-c copy', ...NO_TAGS, '-flush_packets 1', ...output.options],
      ...(tcUrl === undefined ? [] : [`-rtmp_tcurl ${tcUrl}`]),
    ],
    format: output.format,
    output: url,
  });
}

/** What ffmpeg prints of an end that only the server explains. */
const SERVER_ENDED = /Invalid data found|handshake|End of file|Broken pipe|Connection reset/i;
/** The lines that give a reason; those after them only say that there was one. */
const REASON = /failed: \d|handshake|\): |refused|timed out|passphrase/i;
const NO_REASON = /Could not write header|Error initializing output|Error writing trailer/i;

/** Why a push ended. @param log - what ffmpeg printed. @param hasSent - whether the server had taken video. */
export function pushFailure(log: string, { kind, url, label }: SourceInput, hasSent: boolean): SightlineError {
  const lines = log
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => redact(line.replaceAll(url, label)));
  const reason = lines.findLast((line) => REASON.test(line) && !NO_REASON.test(line));
  const { code, cause } = causeOf(lines, kind.toUpperCase(), hasSent);
  return new SightlineError(code, `${label}: ${cause}${reason === undefined ? '' : ` (ffmpeg: ${reason})`}`);
}

function causeOf(lines: readonly string[], kind: string, hasSent: boolean): { code: ErrorCode; cause: string } {
  const text = lines.join('\n');
  const code = 'SOURCE_UNREACHABLE';
  if (/\b404 Not Found|failed: 404\b/.test(text)) return { code, cause: 'the media server has no such path' };
  if (!SERVER_ENDED.test(text)) return explainExit(lines);
  if (hasSent) return { code, cause: 'the server ended the connection' };
  return {
    code,
    cause: `the server takes no video: it ended the connection, redirects, or does not answer as ${kind} servers do that take video`,
  };
}
