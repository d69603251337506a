import { ResultSinks } from '../../src/after/sinks/result-sinks.ts';
import type { StreamSign } from '../../src/base/core/blind-sign.ts';
import type { PublishedFrame } from '../../src/base/core/frame.ts';
import type { ModelSpec } from '../../src/base/core/model.ts';
import { FREE_ACCESS } from '../../src/base/core/source.ts';
import { SightlineError } from '../../src/base/errors/sightline-error.ts';
import { SlotRing } from '../../src/base/flow/slot-ring.ts';
import { StreamRules } from '../../src/fleet/control/orders/stream-rules.ts';
import type { ModelInstances } from '../../src/frame/runtime/inference/model-instances.ts';
import { StreamArranger } from '../../src/frame/runtime/inference/stream-arranger.ts';
import type { LaneClient, LaneListener } from '../../src/frame/runtime/lane/lane-client.ts';
import type { Runtime } from '../../src/frame/runtime/runtime.ts';
import type { Arrangement } from '../../src/frame/runtime/stream/arrangement.ts';
import { RuntimeStream } from '../../src/frame/runtime/stream/runtime-stream.ts';
import { resolveStreamInput } from '../../src/frame/runtime/stream/stream-input.ts';
import type { StreamPort } from '../../src/frame/runtime/stream/stream-port.ts';
import { PartTimes } from '../../src/frame/telemetry/part-times.ts';
import { HostStreams } from '../../src/serve/host/host-streams.ts';
import { parseStream } from '../../src/settings/config/parse-stream.ts';
import type { StreamConfig } from '../../src/settings/config/stream.ts';
import type { LaneStream, LaneTuning } from '../../src/wire/protocol/threads.ts';
import { programAs } from './confinement.ts';
import { slotMeta } from './slot-meta.ts';

const SPEC: ModelSpec = {
  name: 'tiny',
  family: 'yolox',
  input: { width: 8, height: 8, resize: { mode: 'stretch' } },
  classes: ['person'],
  nmsIou: null,
  scoreThreshold: 0.5,
  maxDetections: 10,
  classesPerBox: 'best',
};
/** There is no such program: what would start it fails. */
export const FFMPEG = programAs('ffmpeg');
export const SOURCE = 'synthetic:testsrc2=size=64x64:rate=10';

/** A live stream of a host with everything real except the lane and the model. */
export class StreamRig {
  readonly stream: RuntimeStream;
  readonly host: HostStreams;
  readonly rules = new StreamRules({ defaults: {}, admit: () => undefined });
  /** The next opening of the source fails. */
  breaksNext = false;
  #opened: { readonly message: LaneStream; readonly listener: LaneListener } | null = null;
  #frame = 0;
  /** How the lane was told to go on, in place. */
  readonly tuned: LaneTuning[] = [];
  /** Connections so far. */
  openings = 0;
  readonly published: PublishedFrame[] = [];
  readonly signs: StreamSign[] = [];
  /** Messages and details of the events so far. */
  readonly events: [message: string, details: unknown][] = [];

  constructor(config: StreamConfig, input: Awaited<ReturnType<typeof resolveStreamInput>>) {
    const lane = {
      open: (message: LaneStream, listener: LaneListener) => {
        this.#opened = { message, listener };
        this.openings += 1;
        queueMicrotask(() => listener.onLaneMessage({ type: 'running', ringId: message.ring.ringId }));
      },
      close: (ringId: number) => queueMicrotask(() => this.#opened!.listener.onLaneMessage({ type: 'closed', ringId })),
      watch: () => undefined,
      shed: () => undefined,
      tune: (_: number, tuning: LaneTuning) => this.tuned.push(tuning),
      slotFree: () => undefined,
    } as unknown as LaneClient;
    const port: StreamPort = {
      primary: () => 'default',
      ffmpeg: FFMPEG,
      preview: { maxWidth: 64, fps: 1, quality: 72 },
      modelOf: () => ({
        spec: SPEC,
        scoreThreshold: 0.5,
        hashesInput: false,
        inferenceCalls: 1,
        inferenceInputs: 1,
        handOverInputs: 1,
      }),
      partTimes: new PartTimes(),
      pickLane: () => lane,
      attach: () => {
        if (!this.breaksNext) return;
        this.breaksNext = false;
        throw new RangeError('Array buffer allocation failed');
      },
      detach: () => undefined,
      scheduler: { serve: () => undefined, framesArrived: () => undefined, withdraw: () => [] },
      event: (_kind, _stream, message, details) => void this.events.push([message, details]),
      onTarget: (_stream, { message, details }) => void this.events.push([message, details]),
      room: () => null,
      publish: (result) => {
        this.published.push(result);
        return null;
      },
      onPreview: () => undefined,
      onSign: (sign) => void this.signs.push(sign),
    };
    this.stream = new RuntimeStream(config, input, port);
    this.stream.start();
    const models = {
      requireSameClasses: () => undefined,
      isSameInput: () => true,
      get: () => ({ spec: SPEC }),
      serve: () => undefined,
      move: (_: unknown, __: string, rename: () => void) => rename(),
    };
    const arranger = new StreamArranger(models as unknown as ModelInstances);
    const runtime = {
      ffmpeg: FFMPEG,
      spec: SPEC,
      specOf: () => SPEC,
      rearrange: (...next: Parameters<StreamArranger['rearrange']>) => arranger.rearrange(...next),
      stream: () => this.stream,
      retune: (stream: RuntimeStream, to: Arrangement) => stream.rearrange(to, stream.input),
      reopen: (stream: RuntimeStream, ...next: Parameters<RuntimeStream['reopen']>) => stream.reopen(...next),
    } as unknown as Runtime;
    this.host = new HostStreams({
      runtime,
      config: { sinks: [], preview: { picture: 'model', width: 64, fps: 1, quality: 72 } as never },
      sinks: new ResultSinks([]),
      environment: { ffmpegPath: undefined, searchPath: '', modelPath: [], cacheDir: '', token: undefined },
      onNotice: () => undefined,
      sourceRules: { accessOf: () => FREE_ACCESS },
    });
  }

  static async open(settings: object = {}): Promise<StreamRig> {
    const config = parseStream({ id: 'cam', source: SOURCE, ...settings }, {});
    const rig = new StreamRig(config, await resolveStreamInput(config, FFMPEG, null));
    await new Promise((resolve) => setImmediate(resolve));
    return rig;
  }

  patch(patch: unknown): Promise<RuntimeStream> {
    return this.host.change('cam', (current) => this.rules.changed(current, patch));
  }

  /** The lane loses its connection, as a camera that does not answer. */
  loseConnection(message: string): void {
    const error = new SightlineError('SOURCE_UNREACHABLE', message).toWire();
    const { message: opened, listener } = this.#opened!;
    listener.onLaneMessage({ type: 'reconnecting', ringId: opened.ring.ringId, error });
  }

  /** What the lane was asked for at its newest connection. */
  get connection(): LaneStream {
    return this.#opened!.message;
  }

  /** Number that the lane is asked to give the first frame of its newest connection. */
  get firstFrame(): number {
    return this.connection.firstFrame;
  }

  /** The lane hands over a frame, which is inferred at once. @returns its number. */
  frame(rows = new Float32Array(0)): number {
    const { message } = this.#opened!;
    const ring = SlotRing.attach(message.ring.buffer, message.ring.shape);
    const slot = ring.acquire();
    const frame = Math.max(this.#frame + 1, message.firstFrame);
    this.#frame = frame;
    ring.writeMeta(slot, slotMeta({ frame, ptsUs: frame * 40_000, width: 64, height: 64 }));
    ring.countCompleted();
    ring.hand(slot);
    const { ledger } = this.stream;
    const record = ledger.take()!;
    if (record.status === 'waiting') ledger.complete(record, rows, record.meta.decoded);
    else ledger.flush();
    return frame;
  }
}
