// Made from the schemas in src/config by: UPDATE_DOCS=1 npx vitest run test/rules/documented-settings.test.ts

import type { SinkSettings } from './sink-keys.ts';
import type { StreamDefaults, StreamSettings } from './stream-keys.ts';

/** Settings of the fake engine. In a pipeline file: `model.fake`. */
export interface FakeEngineSettings {
  /**
   * Time of one call, whatever the batch. Accepts: number from 0 to 10000, milliseconds.
   * @defaultValue `0`
   */
  readonly callMs?: number | undefined;
  /**
   * Time added for each frame of a batch. Accepts: number from 0 to 10000, milliseconds.
   * @defaultValue `0`
   */
  readonly frameMs?: number | undefined;
  /**
   * Boxes found in every frame: x, y, width, height in model pixels, score, class id, and so on.
   * @defaultValue `[]`
   */
  readonly rows?: readonly number[] | undefined;
  /**
   * Find one box, whose score is the time that a virtual camera draws into the picture.
   * @defaultValue `false`
   */
  readonly barcode?: boolean | undefined;
}

/** The detector and how it runs. In a pipeline file: `model`. */
export interface ModelSettings {
  /**
   * Name of a detector, path of a manifest, or path of an ONNX file.
   * @defaultValue `'centernet'`
   */
  readonly name?: string | undefined;
  /** ONNX files: how outputs become boxes; found in the file if absent. */
  readonly family?:
    | 'centernet'
    | 'yolox'
    | 'yolov5'
    | 'yolov8'
    | 'yolo-end2end'
    | 'detr'
    | 'deimv2'
    | 'ssd'
    | 'gfl'
    | undefined;
  /** ONNX files: list of class names, one per line, or coco; found in the file if absent. */
  readonly labels?: string | undefined;
  /** ONNX files: order of colours; the family's default if absent. */
  readonly colours?: 'rgb' | 'bgr' | undefined;
  /** ONNX files: value of white in the input; the family's default if absent. */
  readonly range?: 1 | 255 | undefined;
  /** ONNX files: how a picture is fitted into the input; the family's default if absent. */
  readonly resize?: 'stretch' | 'letterbox' | 'letterbox-top-left' | undefined;
  /**
   * Library that runs the network: auto uses tensorflow on an NVIDIA GPU, else the faster of openvino and onnx, else
   * wasm.
   * @defaultValue `'auto'`
   */
  readonly engine?: 'auto' | 'tensorflow' | 'openvino' | 'onnx' | 'wasm' | 'fake' | undefined;
  /**
   * Execution provider of the onnx engine; with openvino the device: cpu, gpu, npu or auto; with tensorflow, cuda
   * requires a GPU.
   * @defaultValue `'cpu'`
   */
  readonly provider?: 'cpu' | 'cuda' | 'tensorrt' | 'webgpu' | 'dml' | 'coreml' | 'gpu' | 'npu' | 'auto' | undefined;
  /**
   * Number format inside the network; auto uses bf16 or f16 if openvino has a device that supports it, f16 on CUDA and
   * TensorRT if the manifest says that it was measured to cost at most 0.005 AP, else f32. A format that the device
   * lacks is an error.
   * @defaultValue `'auto'`
   */
  readonly precision?: 'auto' | 'f32' | 'bf16' | 'f16' | 'int8' | undefined;
  /** Model input, WIDTHxHEIGHT; the manifest's if absent. */
  readonly inputSize?: string | undefined;
  /** Boxes below this are not reported; the manifest's if absent. Accepts: number from 0 to 1. */
  readonly scoreThreshold?: number | undefined;
  /** Classes reported for one box: the best only, or each that reaches the threshold; the manifest's if absent. */
  readonly classesPerBox?: 'best' | 'all' | undefined;
  /**
   * Inference threads; on CPUs one per core if absent; tensorflow always has one. Accepts: whole number from 1 to 64.
   */
  readonly threads?: number | undefined;
  /**
   * Results kept for pictures that come again: equal model inputs are inferred once, in whatever stream. 0 for none.
   * Accepts: whole number from 0 to 1000000.
   * @defaultValue `0`
   */
  readonly cacheResults?: number | undefined;
  /**
   * An inference that takes longer counts as hung, and its thread is replaced. Accepts: whole number from 100 to
   * 600000, milliseconds.
   * @defaultValue `10000`
   */
  readonly timeoutMs?: number | undefined;
  /** Settings of the fake engine. */
  readonly fake?: FakeEngineSettings | undefined;
}

/** Which models may be named over the network. In a pipeline file: `models`. */
export interface NamedModelsSettings {
  /**
   * Folders below which a roll-out may name a model or its class names by path; if empty, names of the model store
   * only.
   * @defaultValue `[]`
   */
  readonly roots?: readonly string[] | undefined;
}

/** How frames of different streams are batched. In a pipeline file: `batch`. */
export interface BatchSettings {
  /**
   * Most model inputs in one inference; a frame has one, or one for each of its tiles. Fewer are used if that is
   * faster. Accepts: whole number from 1 to 64.
   * @defaultValue `8`
   */
  readonly maxBatch?: number | undefined;
  /**
   * Longest time a frame waits for others to join its batch while the device is idle. Accepts: number from 0 to 100,
   * milliseconds.
   * @defaultValue `5`
   */
  readonly maxDelayMs?: number | undefined;
}

/**
 * What the ffmpeg processes that read media may use, since media may be made by anybody. In a pipeline file: `decoder`.
 */
export interface DecoderSettings {
  /**
   * What keeps ffmpeg from other files and the network. `auto`: bwrap, else landlock, whichever decodes a picture here.
   * One that is named must work.
   * @defaultValue `'auto'`
   */
  readonly sandbox?: 'auto' | 'bwrap' | 'landlock' | 'none' | undefined;
  /**
   * Largest picture that is decoded, width x height; a larger one is an error. Accepts: whole number from 4096 to
   * 2147483647, pixels.
   * @defaultValue `67108864`
   */
  readonly maxPixels?: number | undefined;
  /**
   * Most memory of one ffmpeg, on Linux; not for hardware decoders, which map that of the device. Accepts: whole number
   * from 128 to 1048576, MiB.
   * @defaultValue `4096`
   */
  readonly memoryMib?: number | undefined;
  /**
   * Whether the ffmpeg in an npm package, of 2018, is used where there is no other.
   * @defaultValue `true`
   */
  readonly packaged?: boolean | undefined;
}

/** Serves HTTPS; both files are read again when they change. In a pipeline file: `gateway.tls`. */
export interface GatewayTlsSettings {
  /** PEM file with the certificate and its intermediates. */
  readonly cert: string;
  /** PEM file with its private key. */
  readonly key: string;
}

/** The events that `GET /api/events` and the dashboard show. In a pipeline file: `gateway.events`. */
export interface EventsSettings {
  /**
   * JSONL file of the events; crossings of lines are beside it, in NAME-crossings. If absent, NAME-PORT.jsonl in the
   * folder events of the cache.
   */
  readonly path?: string | undefined;
  /**
   * Most megabytes of all files of events together. Accepts: whole number from 1 to 10000, megabytes.
   * @defaultValue `32`
   */
  readonly maxMb?: number | undefined;
}

/** The record of who did what over HTTP. In a pipeline file: `gateway.audit`. */
export interface AuditSettings {
  /**
   * JSONL file of who changed what; sign-ins, clients of the feed and refusals are beside it, in NAME-visits. If
   * absent, NAME-PORT.jsonl in the folder audit of the cache.
   */
  readonly path?: string | undefined;
  /**
   * Most megabytes of all its files together, a quarter of them for visits; older ones have .1 at the end of their
   * names. Accepts: whole number from 1 to 10000, megabytes.
   * @defaultValue `16`
   */
  readonly maxMb?: number | undefined;
}

/** HTTP and WebSocket. In a pipeline file: `gateway`. */
export interface GatewaySettings {
  /**
   * Address to listen on; any other than the loopback needs a token.
   * @defaultValue `'127.0.0.1'`
   */
  readonly host?: string | undefined;
  /**
   * Port of dashboard, WebSocket, REST and metrics; 0 takes a free one. Accepts: whole number from 0 to 65535.
   * @defaultValue `8080`
   */
  readonly port?: number | undefined;
  /**
   * Path below which a proxy serves the gateway and which it passes on, such as "/cams". One that removes the path
   * needs no setting.
   */
  readonly basePath?: string | undefined;
  /** File of the access tokens, written by sightline tokens; SIGHTLINE_TOKENS_FILE if absent. */
  readonly tokensFile?: string | undefined;
  /** Serves HTTPS; both files are read again when they change. */
  readonly tls?: GatewayTlsSettings | undefined;
  /**
   * Origins beside the own one that may open the feed and change something, such as that of a proxy.
   * @defaultValue `[]`
   */
  readonly allowedOrigins?: readonly string[] | undefined;
  /**
   * Origins of the pages that may show the dashboard in a frame; only from the same site does it stay signed in.
   * @defaultValue `[]`
   */
  readonly frameAncestors?: readonly string[] | undefined;
  /**
   * Addresses and networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed.
   * @defaultValue `[]`
   */
  readonly trustedProxies?: readonly string[] | undefined;
  /** The events that `GET /api/events` and the dashboard show. */
  readonly events?: EventsSettings | undefined;
  /** The record of who did what over HTTP. */
  readonly audit?: AuditSettings | undefined;
}

/** What this host accepts at most. In a pipeline file: `limits`. */
export interface LimitsSettings {
  /**
   * Most streams of this host; more are refused. Accepts: whole number from 1 to 10000.
   * @defaultValue `256`
   */
  readonly streams?: number | undefined;
  /**
   * A stream is refused while less memory than this is available on the machine or in its container, in MiB. Accepts:
   * whole number from 0 to 1000000, megabytes.
   * @defaultValue `200`
   */
  readonly freeMemoryMb?: number | undefined;
  /**
   * Most connections of the gateway at once. Accepts: whole number from 16 to 100000.
   * @defaultValue `1000`
   */
  readonly connections?: number | undefined;
  /**
   * Most connections at once from one address; that of a proxy counts as one address. Accepts: whole number from 4 to
   * 100000.
   * @defaultValue `128`
   */
  readonly connectionsPerAddress?: number | undefined;
}

/** How this host takes part in a fleet (sightline host). In a pipeline file: `fleet`. */
export interface FleetSettings {
  /** Name of this host in the fleet; the machine's name and the process id if absent. */
  readonly hostId?: string | undefined;
  /**
   * Inferences per second that this host can sustain; measured at the start if absent. Accepts: number from 0.1 to
   * 1000000, per second.
   */
  readonly capacityFps?: number | undefined;
  /**
   * Share of a host's capacity that the planner fills with live streams. Accepts: number from 0.1 to 1.
   * @defaultValue `0.8`
   */
  readonly fillRatio?: number | undefined;
  /**
   * A host that sends no heartbeat for this long loses its streams. Accepts: whole number from 1000 to 120000,
   * milliseconds.
   * @defaultValue `5000`
   */
  readonly leaseMs?: number | undefined;
  /**
   * Time between two heartbeats, at most half of leaseMs. A host that is slower would miss turns of a roll-out.
   * Accepts: whole number from 100 to 2000, milliseconds.
   * @defaultValue `1000`
   */
  readonly beatMs?: number | undefined;
  /**
   * Most streams that the planner places or moves per second. Accepts: number from 0.1 to 1000.
   * @defaultValue `10`
   */
  readonly movesPerSecond?: number | undefined;
  /**
   * Segments of jobs that this host processes at once; 0 takes none. Accepts: whole number from 0 to 64.
   * @defaultValue `2`
   */
  readonly bulkConcurrency?: number | undefined;
  /**
   * Folders below which files may be read and results written; none if empty.
   * @defaultValue `[]`
   */
  readonly roots?: readonly string[] | undefined;
  /**
   * Kinds of sources that may be added over REST or the fleet; file needs roots as well. Streams of the pipeline file
   * may have any.
   * @defaultValue `["rtsp","rtsps","http","https","synthetic","demo"]`
   */
  readonly schemes?:
    | readonly ('rtsp' | 'rtsps' | 'http' | 'https' | 'file' | 'device' | 'synthetic' | 'demo')[]
    | undefined;
  /**
   * Networks (CIDR) that URLs may point to, and what they lead to.
   * @defaultValue `["0.0.0.0/0","::/0"]`
   */
  readonly networks?: readonly string[] | undefined;
  /**
   * Smallest number of hosts that is recommended. Accepts: whole number from 0 to 10000.
   * @defaultValue `1`
   */
  readonly minHosts?: number | undefined;
  /**
   * Largest number of hosts that is recommended. Accepts: whole number from 1 to 10000.
   * @defaultValue `100`
   */
  readonly maxHosts?: number | undefined;
}

/** Which certificates of https:// and rtsps:// sources are trusted. In a pipeline file: `tls`. */
export interface SourceTlsSettings {
  /** PEM file of certificate authorities that sources may use besides the well-known ones. */
  readonly caFile?: string | undefined;
}

/** Where roll-outs are kept. In a pipeline file: `rollout`. */
export interface RolloutSettings {
  /**
   * Folder of the audit log and, without Redis, of the state of roll-outs; the folder rollouts in the cache if absent.
   */
  readonly folder?: string | undefined;
  /**
   * How long the other version stays loaded after a roll-out, so that undo takes effect at once. Accepts: whole number
   * from 0 to 86400000, milliseconds.
   * @defaultValue `600000`
   */
  readonly warmMs?: number | undefined;
}

/** Pictures for the dashboard. In a pipeline file: `preview`. */
export interface PreviewSettings {
  /**
   * Most pictures per second of a stream that a client watches. Accepts: number from 0.1 to 30, per second.
   * @defaultValue `5`
   */
  readonly fps?: number | undefined;
  /**
   * Largest width in pixels. Accepts: whole number from 64 to 1920, pixels.
   * @defaultValue `640`
   */
  readonly width?: number | undefined;
  /**
   * JPEG quality; at 50 a picture has about two thirds of the bytes that it has at 72. Accepts: whole number from 1 to
   * 100.
   * @defaultValue `72`
   */
  readonly quality?: number | undefined;
  /**
   * model shows the model's input, at no extra cost; source keeps a full picture of `width`, from which sharp makes the
   * input.
   * @defaultValue `'model'`
   */
  readonly picture?: 'model' | 'source' | undefined;
}

/** All settings of a pipeline file. */
export interface PipelineSettings {
  /** Name of the pipeline. */
  readonly name: string;
  /** When to use it, in a sentence. */
  readonly description: string;
  /** The detector and how it runs. */
  readonly model?: ModelSettings | undefined;
  /** Which models may be named over the network. */
  readonly models?: NamedModelsSettings | undefined;
  /** How frames of different streams are batched. */
  readonly batch?: BatchSettings | undefined;
  /** Threads that read and preprocess; half the cores if absent. Accepts: whole number from 1 to 64. */
  readonly lanes?: number | undefined;
  /** What the ffmpeg processes that read media may use, since media may be made by anybody. */
  readonly decoder?: DecoderSettings | undefined;
  /** Settings of every stream that does not set them itself. */
  readonly defaults?: StreamDefaults | undefined;
  /**
   * Where pictures come from; more can be added while it runs.
   * @defaultValue `[]`
   */
  readonly streams?: readonly StreamSettings[] | undefined;
  /**
   * Where results go besides the WebSocket.
   * @defaultValue `[]`
   */
  readonly sinks?: readonly SinkSettings[] | undefined;
  /** HTTP and WebSocket. */
  readonly gateway?: GatewaySettings | undefined;
  /** What this host accepts at most. */
  readonly limits?: LimitsSettings | undefined;
  /** How this host takes part in a fleet (sightline host). */
  readonly fleet?: FleetSettings | undefined;
  /** Which certificates of https:// and rtsps:// sources are trusted. */
  readonly tls?: SourceTlsSettings | undefined;
  /** Where roll-outs are kept. */
  readonly rollout?: RolloutSettings | undefined;
  /** Pictures for the dashboard. */
  readonly preview?: PreviewSettings | undefined;
}
