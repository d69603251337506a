import { monoNowMs } from '../../../base/core/clock.ts';
import { redact } from '../../../base/core/redact.ts';
import type { SourceInput } from '../../../base/core/source.ts';
import { REFUSED_SOURCE } from '../../../base/errors/error-codes.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { AFTER_REFUSAL, BackOff } from '../../../base/flow/back-off.ts';
import type { ChildExit } from '../../../base/process/child-group.ts';
import { type Ffmpeg, sandboxFor } from '../../../base/process/confinement.ts';
import { lowerPriority } from '../../../base/process/lower-priority.ts';
import type { Access } from '../../../base/process/sandbox-view.ts';
import type { LaneStream, LaneTuning } from '../../../wire/protocol/threads.ts';
import { countsPackets, decodeArguments, logsEachFrame } from '../../decode/decode-command.ts';
import { explainExit, FfmpegLog, type FrameHeader } from '../../decode/ffmpeg-log.ts';
import { type FfmpegCallbacks, FfmpegProcess, startFailure } from '../../decode/ffmpeg-process.ts';
import { otherTracksReach } from '../../decode/other-tracks.ts';
import { isTapProblem } from '../../decode/packet-tap.ts';
import { findResumePoint, type ResumePoint } from '../../decode/resume-point.ts';
import { accessOf } from '../../decode/sandbox-access.ts';
import { isReachable, openSource } from '../../source/open/open-source.ts';
import type { OpenedSource } from '../../source/open/opened-source.ts';
import { DecodeCounts } from './decode-counts.ts';
import { FilterCommands } from './filter-commands.ts';
import { type Connection, decodePlan, isSteady, newConnection, timed } from './lane-connection.ts';
import { LaneFrames, type LanePort } from './lane-frames.ts';
import { LaneTaps } from './lane-tap.ts';
import { PictureAge } from './picture-age.ts';

const WATCH_INTERVAL_MS = 100;
const PROBE_TIMEOUT_MS = 1000;
/**
 * Longest back-off: an absent camera is tried at least this often, so that its stream resumes within two seconds of its
 * return.
 */
const MAX_BACK_OFF_MS = 1000;
const PROBLEMS_KEPT = 20;
/** Exceptions in a row, without a steady connection between them, after which a live stream is not opened again. */
const MAX_FAULTS = 5;
/** A file from which nothing is decoded for this long is stuck. Long, since the disk may be slow. */
const FILE_STUCK_MS = 300_000;
/** Pictures are late from here on, beyond their usual delay, until they are half as late. */
const LATE_MS = 5_000;
/** How far they are late is told at most this often. */
const TELL_LATE_MS = 1_000;
/** Sources on a network whose pictures are older than this, beyond their usual delay, are opened again for the newest ones, ... */
const BEHIND_MS = 10_000;
/** ... at most this often. */
const REOPENED_MS = 60_000;
const NETWORK: ReadonlySet<SourceInput['kind']> = new Set(['http', 'rtsp', 'rtmp', 'srt']);

/**
 * Keeps one video running: starts ffmpeg, watches it, and starts another when it ends or stalls. It does not wait for a
 * stalled ffmpeg to exit, which is killed in the background while the next one connects.
 */
export class LaneVideo {
  readonly #source: SourceInput;
  readonly #port: LanePort;
  readonly #frames: LaneFrames;
  readonly #backOff = new BackOff({ firstMs: 200, maxMs: MAX_BACK_OFF_MS });
  /** Counts on its own: a camera that is also absent now and then must not get more attempts with a wrong password. */
  readonly #afterRefusal = new BackOff(AFTER_REFUSAL);
  readonly #children = new Set<FfmpegProcess>();
  readonly #commands: FilterCommands;
  #connection: Connection | null = null;
  #watch: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;
  /** Its video was said to end early, and no frame of another connection has come since. */
  #isCutShort = false;
  #hwaccel: string;
  #isWarned = false;
  readonly #taps: LaneTaps;
  readonly #counts: DecodeCounts;
  readonly #age = new PictureAge();
  /** How late its pictures are, as it was told last, and when; null: they are not. */
  #late: { readonly ms: number | null; readonly toldMs: number } = { ms: null, toldMs: Number.NEGATIVE_INFINITY };
  /** When it was opened again because of its age. */
  #reopenedMs = Number.NEGATIVE_INFINITY;
  #faults = 0;
  #durationUs: number | null = null;
  #lastPtsUs = 0;
  #lastGapUs = 0;
  #isClosed = false;
  #connecting: Promise<void> = Promise.resolve();
  #onChildGone: (() => void) | null = null;

  constructor(stream: LaneStream, source: SourceInput, port: LanePort) {
    this.#source = source;
    this.#port = port;
    this.#frames = new LaneFrames(stream, port, (fault) => this.#onFault(this.#connection, fault));
    this.#hwaccel = stream.hwaccel;
    this.#commands = new FilterCommands(this.#ringId, stream);
    this.#taps = new LaneTaps(stream, this.#frames, port, (why) => this.#warn(`${source.label}: ${why}`));
    this.#counts = new DecodeCounts(this.#ringId, (message) => this.#post(message));
  }

  get #stream(): LaneStream {
    return this.#frames.stream;
  }

  get policy(): LaneStream['policy'] {
    return this.#stream.policy;
  }

  open(): void {
    this.#watch = setInterval(() => this.#guard(this.#connection, () => this.#checkStall()), WATCH_INTERVAL_MS);
    if (this.#source.options.access?.isTlsInsecure === true)
      this.#warn(`${this.#source.label}: certificates are not verified (insecureTls)`);
    this.#connectSoon();
  }

  /** Called when a slot was released while the lane waited for one. */
  onSlotFree(): void {
    this.#guard(this.#connection, () => this.#connection?.process?.resume());
  }

  set isWatched(isWatched: boolean) {
    this.#frames.pictures.isWatched = isWatched;
  }

  /** Above 0, up to 1. Has no effect on a file, and before version 5 of ffmpeg. */
  set keepRatio(keepRatio: number) {
    this.#commands.keepRatio = keepRatio;
  }

  tune(tuning: LaneTuning): void {
    this.#commands.rate = tuning;
    this.#frames.tune(tuning);
  }

  /** Resolves when no child runs and no slot is held. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#watch);
    clearTimeout(this.#retry);
    this.#abandonConnection();
    await this.#frames.close();
    // Wait for a child that is being started or lists packets, or it would outlive the stream.
    await this.#connecting;
    if (this.#children.size > 0)
      await new Promise<void>((resolve) => {
        this.#onChildGone = resolve;
      });
    this.#counts.flush();
  }

  #connectSoon(): void {
    const connection = newConnection(this.#frames.pictureCount);
    this.#connection = connection;
    this.#connecting = this.#connect(connection).catch((fault: unknown) => this.#onConnectFault(connection, fault));
  }

  async #connect(connection: Connection): Promise<void> {
    if (this.#source.isLive && this.#source.probeAddress !== null) {
      const isOpen = await isReachable(this.#source, PROBE_TIMEOUT_MS);
      if (connection.isOver || this.#isClosed) return;
      if (!isOpen) {
        const { host, port } = this.#source.probeAddress;
        this.#reconnect(
          connection,
          new SightlineError('SOURCE_UNREACHABLE', `${this.#source.label}: nothing answers at ${host}:${port}`),
        );
        return;
      }
    }
    connection.opened = await openSource(this.#source);
    if (connection.isOver || this.#isClosed) return connection.opened.close();
    const from = await this.#resumePoint(connection, connection.opened);
    if (from === null) return;
    try {
      await this.#start(connection, from);
    } catch (error) {
      // It existed at the start: it is being replaced, or the system is temporarily out of processes.
      this.#lose(connection, startFailure(this.#stream.ffmpeg, error));
    }
  }

  /** @returns null if the connection ended meanwhile. */
  async #resumePoint(connection: Connection, { source }: OpenedSource): Promise<ResumePoint | null> {
    const { ffmpeg, after } = this.#stream;
    const { signal } = connection.abort;
    const onPacket = (): void => {
      connection.silentMs = 0;
    };
    try {
      return await findResumePoint({ ffmpeg, source, after, onPacket, signal });
    } catch (error) {
      if (signal.aborted) return null;
      throw error;
    }
  }

  async #start(connection: Connection, { source, afterUs, discard }: ResumePoint): Promise<void> {
    const { ffmpeg } = this.#stream;
    const access = accessOf(source, this.#hwaccel);
    this.#warnIfFree(ffmpeg, access);
    const tap = this.#taps.open((why) => this.#onOutOfStep(connection, why));
    connection.tap = tap;
    const plan = decodePlan(this.#stream, { afterUs, hwaccel: this.#hwaccel, tapsPackets: tap !== null });
    const log = new FfmpegLog(source.url, plan.headerTag);
    const assembler = this.#frames.assembler;
    this.#frames.discard = discard;
    this.#counts.onConnection();
    if (countsPackets(source, plan) && !logsEachFrame(plan)) this.#counts.loseCount();
    const args = decodeArguments(source, plan);
    const callbacks: FfmpegCallbacks = {
      nextBuffer: () => this.#guard(connection, () => (connection.isOver ? null : assembler.nextBuffer())),
      onBytes: (bytes) =>
        this.#guard(connection, () => {
          if (!connection.isOver) assembler.onBytes(bytes);
        }),
      ...(plan.takesCommands
        ? { onLookBytes: (bytes) => void this.#guard(connection, () => this.#onLookBytes(connection, bytes)) }
        : {}),
      ...(tap === null ? {} : { onPacketBytes: (bytes) => tap.push(bytes) }),
      onLogLine: (line) => void this.#guard(connection, () => this.#onLogLine(connection, log, line)),
      onExit: (exit) => {
        tap?.end();
        connection.opened?.close();
        this.#children.delete(process);
        this.#post({ type: 'child-gone', ringId: this.#ringId, pid: process.pid });
        if (this.#children.size === 0) this.#onChildGone?.();
        if (connection.isOver) return;
        this.#onExit(connection, exit).catch((fault: unknown) => this.#onFault(connection, fault));
      },
    };
    this.#commands.onStart();
    const stdin = plan.takesCommands ? 'pipe' : 'ignore';
    const process = await FfmpegProcess.start(ffmpeg, args, access, callbacks, stdin);
    if (this.#stream.isBackground) lowerPriority(process.pid);
    connection.process = process;
    connection.silentMs = 0;
    this.#children.add(process);
    this.#post({ type: 'child-started', ringId: this.#ringId, pid: process.pid });
    if (connection.isOver || this.#isClosed) process.kill();
    // A slot may have become free while it started.
    else this.#guard(connection, () => process.resume());
  }

  #onLookBytes({ isOver }: Connection, bytes: Uint8Array): void {
    if (!isOver) this.#frames.looks.onBytes(bytes);
  }

  /** Runs a callback; an exception ends this connection instead of the thread, which other streams share. */
  #guard<T>(connection: Connection | null, run: () => T): T | null {
    try {
      return run();
    } catch (fault) {
      this.#onFault(connection, fault);
      return null;
    }
  }

  /** A source that may not be opened now may be later: a name resolves differently, a link changes. */
  #onConnectFault(connection: Connection, fault: unknown): void {
    const isKnown = fault instanceof SightlineError && !connection.isOver && !this.#isClosed;
    if (isKnown) this.#lose(connection, fault);
    else this.#onFault(connection, fault);
  }

  #onFault(connection: Connection | null, fault: unknown): void {
    if (connection === null || connection.isOver || this.#isClosed) return;
    const failure = SightlineError.from(fault, 'INTERNAL_ERROR');
    this.#faults = isSteady(connection) ? 1 : this.#faults + 1;
    if (this.#faults < MAX_FAULTS) this.#lose(connection, failure);
    else this.#fail(failure);
  }

  /** Warns once if the sandbox does not hold for this stream. */
  #warnIfFree({ confinement }: Ffmpeg, access: Access): void {
    if (this.#isWarned || confinement.sandbox === null || sandboxFor(confinement, access) !== null) return;
    this.#isWarned = true;
    this.#warn(
      `hardware decoding (${this.#hwaccel}) runs outside the sandbox; decoder.sandbox: ${confinement.sandbox.kind} puts it inside`,
    );
  }

  #onLogLine(connection: Connection, log: FfmpegLog, line: string): void {
    const event = log.read(line);
    if (!connection.isOver) this.#commands.builds = log.builds;
    if (event === null || connection.isOver) return;
    switch (event.kind) {
      case 'pulse':
      case 'left-out':
        connection.silentMs = 0;
        if (event.kind === 'left-out') connection.decoded += 1;
        this.#frames.ring.noteDecoded(monoNowMs());
        this.#frames.looks.onPassed();
        break;
      case 'look':
        this.#frames.looks.onHeader(event.frame);
        break;
      case 'key':
        this.#counts.onKeyFrame(event.ptsUs, event.isNext, connection.decoded);
        break;
      case 'read':
        this.#counts.onRead(connection, event);
        break;
      case 'shed':
        connection.silentMs = 0;
        this.#frames.ring.noteDecoded(monoNowMs());
        connection.decoded += 1;
        this.#frames.onShed();
        // It missed the last command.
        this.#commands.onShed();
        break;
      case 'frame':
        this.#frames.ring.noteDecoded(monoNowMs());
        this.#lastGapUs = event.frame.ptsUs - this.#lastPtsUs;
        this.#lastPtsUs = event.frame.ptsUs;
        this.#onHeader(connection, event.frame);
        // A discarded picture frees its slot, and no other event reports that.
        connection.process?.resume();
        connection.decoded += 1;
        if (connection.frames++ > 0) break;
        this.#isCutShort = false;
        this.#post({ type: 'running', ringId: this.#ringId });
        break;
      case 'out-of-step':
        this.#onOutOfStep(connection, event.text);
        break;
      case 'duration':
        this.#durationUs = event.durationUs;
        this.#post({ type: 'duration', ringId: this.#ringId, durationUs: event.durationUs });
        break;
      case 'decode-error':
        this.#counts.onError();
        break;
      case 'truncated':
        // ffmpeg says it in several ways, and again each time that the source is opened and gives no frame.
        if (!this.#isCutShort) this.#warn(`${this.#source.label}: the file ends early (ffmpeg: ${event.text})`);
        this.#isCutShort = true;
        break;
      case 'hwaccel':
        if (this.#hwaccel === 'none') connection.problems.push(redact(event.text));
        else this.#fallBack(event.text);
        break;
      case 'problem':
        if (isTapProblem(event.text)) this.#taps.refuse(event.text);
        else connection.problems.push(redact(event.text));
        if (connection.problems.length > PROBLEMS_KEPT) connection.problems.shift();
        break;
    }
  }

  #onHeader(connection: Connection, frame: FrameHeader): void {
    const header = timed(connection, frame);
    if (connection.frames === 0) this.#age.onConnection();
    if (this.#isWatchedForAge) {
      const cameraMs = header.wallMs === undefined ? null : header.wallMs - Date.now() + monoNowMs();
      this.#age.onFrame({ nowMs: monoNowMs(), mediaMs: header.ptsUs / 1000, cameraMs });
    }
    this.#frames.onHeader(header);
  }

  get #isWatchedForAge(): boolean {
    return this.#source.isLive && NETWORK.has(this.#source.kind);
  }

  /** Pictures that come at the usual rate may be old: whoever keeps them back lets go of them with the connection. */
  #checkAge(connection: Connection): void {
    if (!this.#isWatchedForAge || connection.frames === 0) return;
    const nowMs = monoNowMs();
    this.#tellLate(nowMs);
    const behindMs = this.#age.behindMs(nowMs);
    if (behindMs < BEHIND_MS) return;
    const old = `${this.#source.label}: its pictures come ${(behindMs / 1000).toFixed(0)} s late`;
    if (nowMs - this.#reopenedMs < REOPENED_MS) {
      this.#age.accept(nowMs);
      this.#warn(`${old}, also after it was opened again: a server or the network keeps them back`);
      return;
    }
    this.#reopenedMs = nowMs;
    this.#lose(connection, new SightlineError('SOURCE_STALLED', `${old}; it is opened again for the newest ones`));
  }

  #tellLate(nowMs: number): void {
    const lateMs = this.#age.lateMs(nowMs);
    const { ms: before, toldMs } = this.#late;
    if (lateMs === null || nowMs - toldMs < TELL_LATE_MS) return;
    const ms = lateMs < (before === null ? LATE_MS : LATE_MS / 2) ? null : Math.round(lateMs / 1000) * 1000;
    if (ms === before) return;
    this.#late = { ms, toldMs: nowMs };
    this.#post({ type: 'late', ringId: this.#ringId, lateMs: ms });
  }

  /** ffmpeg itself falls back to software when a hardware decoder cannot start; warn, and use software next time. */
  #fallBack(logLine: string): void {
    this.#warn(`hardware decoding (${this.#hwaccel}) is not available, decoding in software (ffmpeg: ${logLine})`);
    this.#hwaccel = 'none';
  }

  /** Ends the connection: a frame with the time or size of another would silently give wrong boxes. */
  #onOutOfStep(connection: Connection, why: string): void {
    const text = `${this.#source.label}: frame headers and pictures do not match: ${why}`;
    this.#lose(connection, new SightlineError('DECODE_OUT_OF_STEP', text));
  }

  async #onExit(connection: Connection, exit: ChildExit): Promise<void> {
    await this.#frames.drained();
    if (connection.isOver) return;
    const { mismatch } = this.#frames.assembler;
    if (exit.code === 0 && mismatch !== null) return this.#onOutOfStep(connection, mismatch);
    const { code, cause, said } = explainExit(connection.problems);
    const isSoftware = this.#stream.hwaccel !== 'none' && this.#hwaccel === 'none';
    const isWithoutTap = connection.tap !== null && this.#taps.isRefused;
    if (exit.code !== 0 && connection.frames === 0 && (isSoftware || isWithoutTap)) {
      // The hardware decoder, or the output of packets, made ffmpeg fail: retry in software, or without.
      connection.isOver = true;
      this.#frames.startOver();
      return this.#connectSoon();
    }
    // Our side of the connection knows the reason more exactly than ffmpeg prints it.
    const known = exit.code === 0 && connection.frames > 0 ? null : (connection.opened?.failure ?? null);
    const how = exit.signal === null ? `exit code ${exit.code}` : exit.signal;
    // A file that plays once in real time ends like any other file.
    const isOver = this.#source.kind === 'file' && exit.code === 0 && connection.frames > 0;
    if (this.#source.isLive && !isOver) {
      const failure =
        known ??
        (exit.code === 0
          ? new SightlineError('DECODE_EXITED', `${this.#source.label}: the stream ended`)
          : new SightlineError(code, `${this.#source.label}: ${cause} (ffmpeg: ${said}; ${how})`));
      // Other failures are retried, even a missing file: it existed when it was added, so a device was unplugged or a
      // disk unmounted.
      const isHopeless = failure.code === 'SOURCE_TOO_LARGE' && connection.frames === 0;
      if (failure.code === 'SOURCE_NO_VIDEO' || isHopeless) this.#fail(failure);
      else this.#reconnect(connection, failure);
      return;
    }
    connection.isOver = true;
    this.#frames.startOver();
    // No frames are left after a pause, or a lost lane, at the very end: that is a normal end, too.
    const isWhole = exit.code === 0 && code !== 'SOURCE_TOO_LARGE';
    if (isWhole && (connection.frames > 0 || this.#stream.after !== null)) {
      // So that a close waits for it.
      this.#connecting = this.#warnIfShort(connection);
      await this.#connecting;
      this.#warnOfFailure(connection);
      this.#counts.flush();
      this.#post({ type: 'ended', ringId: this.#ringId, frames: connection.frames });
    } else if (known !== null) {
      this.#fail(known);
    } else if (isWhole) {
      this.#fail(new SightlineError('SOURCE_NO_VIDEO', `${this.#source.label}: it holds no video frame`));
    } else {
      this.#fail(
        new SightlineError(
          code,
          `${this.#source.label}: ${cause} (ffmpeg: ${said}; ${how}${connection.frames > 0 ? ` after ${connection.frames} frames` : ''})`,
        ),
      );
    }
  }

  /**
   * Warns if the video ends before the duration that its container states, unless that is the duration of another track. Tolerates
   * 1.5 s, 5 % and two frames: with `every` or `maxFps` frames are far apart. Not for a stretch of a file, which ends early by design.
   */
  async #warnIfShort({ abort }: Connection): Promise<void> {
    if (this.#durationUs === null || this.#source.window !== undefined) return;
    const toleranceUs = Math.max(1_500_000, this.#durationUs * 0.05, 2 * this.#lastGapUs);
    const endUs = Math.max(this.#lastPtsUs, this.#counts.readUntilUs);
    if (this.#durationUs - endUs < toleranceUs) return;
    const { kind, url } = this.#source;
    const { ffmpeg } = this.#stream;
    const reachesUs = this.#durationUs - toleranceUs;
    if (kind === 'file' && (await otherTracksReach(ffmpeg, url, reachesUs, abort.signal))) return;
    this.#warn(
      `${this.#source.label}: the file ends early, at ${(endUs / 1e6).toFixed(1)} s of ${(this.#durationUs / 1e6).toFixed(1)} s`,
    );
  }

  /** Warns once of something that could not be opened while pictures come all the same: ffmpeg leaves out such a segment. */
  #warnOfFailure(connection: Connection): void {
    const failure = connection.opened?.failure ?? null;
    if (failure === null || connection.frames === 0 || connection.isWarned) return;
    connection.isWarned = true;
    this.#warn(failure.message);
  }

  #checkStall(): void {
    this.#counts.flush();
    this.#frames.reportShed();
    const connection = this.#connection;
    const { process } = connection ?? {};
    const command = this.#commands.next(WATCH_INTERVAL_MS, process != null) ?? this.#frames.looks.command();
    if (command !== null) process?.command(command);
    if (connection === null || connection.isOver) return;
    this.#warnOfFailure(connection);
    const { pictureCount: pictures } = this.#frames;
    // While this side holds the source back, no frames are expected.
    if (pictures !== connection.pictures || connection.process?.isHeldBack === true) connection.silentMs = 0;
    else connection.silentMs += WATCH_INTERVAL_MS;
    connection.pictures = pictures;
    if (connection.silentMs < this.#stallLimitMs(connection)) {
      this.#checkAge(connection);
      return;
    }
    const known = connection.frames === 0 ? connection.opened?.failure : null;
    const silence = `no frame for ${connection.silentMs} ms`;
    this.#lose(connection, known ?? new SightlineError('SOURCE_STALLED', `${this.#source.label}: ${silence}`));
  }

  #stallLimitMs({ frames, process }: Connection): number {
    if (!this.#source.isLive) return FILE_STUCK_MS;
    // The probe of its address has a timeout of its own.
    if (process === null) return Number.POSITIVE_INFINITY;
    return frames === 0 ? this.#stream.openTimeoutMs : this.#stream.staleMs;
  }

  /** Opens a live source again; a file has failed. */
  #lose(connection: Connection, error: SightlineError): void {
    if (this.#source.isLive) this.#reconnect(connection, error);
    else this.#fail(error);
  }

  #reconnect(connection: Connection, error: SightlineError): void {
    if (connection.isOver) return;
    const backOffs = [this.#backOff, this.#afterRefusal];
    if (isSteady(connection)) for (const each of backOffs) each.reset();
    this.#abandonConnection();
    this.#post({ type: 'reconnecting', ringId: this.#ringId, error: error.toWire() });
    const waitMs = (REFUSED_SOURCE.has(error.code) ? this.#afterRefusal : this.#backOff).nextMs();
    this.#retry = setTimeout(() => this.#connectSoon(), waitMs);
  }

  #abandonConnection(): void {
    const connection = this.#connection;
    connection?.abort.abort();
    if (connection === null || connection.isOver) return;
    connection.tap?.end();
    connection.isOver = true;
    connection.process?.kill();
    connection.opened?.close();
    this.#frames.startOver();
  }

  #fail(error: SightlineError): void {
    this.#abandonConnection();
    this.#counts.flush();
    this.#post({ type: 'failed', ringId: this.#ringId, error: error.toWire() });
  }

  get #ringId(): number {
    return this.#stream.ring.ringId;
  }

  #warn(message: string): void {
    this.#post({ type: 'warning', ringId: this.#ringId, message: redact(message) });
  }

  #post(message: Parameters<LanePort['post']>[0]): void {
    this.#port.post(message);
  }
}
