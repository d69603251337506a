import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll } from 'vitest';
import { Recorder, type RecorderOptions } from '../../src/after/recording/recorder.ts';
import { passthrough } from '../../src/frame/decode/ffmpeg-arguments.ts';
import { openSource } from '../../src/frame/source/open/open-source.ts';
import { parseSource } from '../../src/frame/source/parse-source.ts';
import { parseStream } from '../../src/settings/config/parse-stream.ts';
import type { StreamPackets } from '../../src/wire/protocol/packets.ts';
import type { RuleEvent } from '../../src/wire/protocol/rule-event.ts';
import { EndlessPackets, packetsOf } from './made-packets.ts';
import { testFfmpeg, VideoFolder } from './made-videos.ts';
import { ManualClock } from './manual-clock.ts';
import { ruleEvent } from './rule-events.ts';

/** Id of the event of `event`. */
export const EVENT = 'e1'.repeat(12);
/** Wall clock at media time 0. */
export const T0_MS = Date.parse('2026-01-31T00:00:00Z');
export const RULES = [{ id: 'in', kind: 'appears', clip: { before: '5s', after: '3s' } }];

/** Returns a rig for the tests of a file, which ends each recorder after its test. */
export function recorderRig(): RecorderRig {
  const rig = new RecorderRig();
  beforeAll(() => rig.makePackets());
  afterEach(() => rig.close());
  afterAll(() => rig.remove());
  return rig;
}

/** Recorders of one stream, `cam`, and packets of a camera with B-frames. */
class RecorderRig {
  readonly root = mkdtempSync(join(tmpdir(), 'sightline-recordings-'));
  readonly videos = new VideoFolder();
  readonly #open: Recorder[] = [];
  #folders = 0;
  #packets: readonly StreamPackets[] = [];

  async makePackets(): Promise<void> {
    const shape = { frames: 250, width: 160, height: 96, bFrames: 2 };
    this.#packets = await packetsOf(await this.videos.make('v.mp4', shape));
  }

  camera(): EndlessPackets {
    return new EndlessPackets(this.#packets);
  }

  /** Its clock is advanced by the test. */
  recorderOf(settings: object, more: Partial<RecorderOptions> = {}) {
    const [clock, said] = [new ManualClock(), [] as string[]];
    const config = parseStream({ id: 'cam', source: 'a.mp4', track: true, ...settings }, {});
    const folder = more.folder ?? join(this.root, String(this.#folders++));
    const state = { wallMs: T0_MS };
    const recorder = new Recorder({
      folder,
      ringBytes: 2 ** 26,
      ffmpeg: testFfmpeg,
      clock,
      wallMs: () => state.wallMs,
      retention: { days: 1e4, eventDays: 1e4, clipDays: 1e4, labelDays: {}, maxBytes: 1e12 },
      configOf: (id) => (id === 'cam' ? config : null),
      onState: (problem) => void said.push(problem ?? 'recovered'),
      onNotice: (_, text) => void said.push(text),
      openTarget: (address) =>
        openSource(parseSource(address, { loop: false, realtime: false, rtspTransport: 'tcp', readTimeoutMs: 10_000 })),
      ...more,
    });
    this.#open.push(recorder);
    return { recorder, folder, clock, said, state };
  }

  /** Records so many seconds, then a lost connection, then again some seconds. @returns the folder. */
  async recordedWithGap(beforeS: number, gapUs: number, afterS: number): Promise<string> {
    const { recorder, folder } = this.recorderOf({ record: 'continuous' });
    const camera = this.camera();
    recorder.onPackets(camera.open('start'));
    play(recorder, camera, beforeS);
    recorder.onPackets(camera.open('reconnect', gapUs));
    while (!camera.next(T0_MS).isKey);
    play(recorder, camera, afterS);
    await recorder.close();
    return folder;
  }

  async close(): Promise<void> {
    await Promise.all(this.#open.splice(0).map((recorder) => recorder.close()));
  }

  remove(): void {
    rmSync(this.root, { recursive: true });
    this.videos.remove();
  }
}

/** Gives a recorder so many seconds of packets. @returns the last fragment. */
export function play(recorder: Recorder, camera: EndlessPackets, seconds: number) {
  let last = camera.next(T0_MS);
  const untilUs = last.startUs + seconds * 1e6;
  recorder.onPackets(last);
  while (last.endUs < untilUs) {
    last = camera.next(T0_MS);
    recorder.onPackets(last);
  }
  return last;
}

export function event(phase: RuleEvent['phase'], ptsUs: number, more: Partial<RuleEvent> = {}): RuleEvent {
  return ruleEvent(EVENT, phase === 'new' ? 0 : 1, phase, {
    rule: 'in',
    stream: 'cam',
    raised: { ptsUs },
    began: { ptsUs },
    ptsUs,
    ...more,
  });
}

/** How many frames ffmpeg decodes of a file. */
export function decoded(path: string): number {
  const args = [
    '-hide_banner',
    '-xerror',
    '-i',
    path,
    ...passthrough(testFfmpeg.major).flatMap((each) => each.split(' ')),
    '-f',
    'framecrc',
    '-',
  ];
  const text = execFileSync(testFfmpeg.path, args, {
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
    stdio: ['ignore', 'pipe', 'ignore'] as const,
  });
  return text.split('\n').filter((line) => /^\d/.test(line)).length;
}
