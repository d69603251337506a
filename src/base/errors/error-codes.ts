/** Refusals that only a person can end: the next attempt meets them again. */
export const REFUSED_SOURCE: ReadonlySet<string> = new Set([
  'SOURCE_UNAUTHORIZED',
  'SOURCE_UNTRUSTED',
  'SOURCE_FORBIDDEN',
]);

/** Every error that an operator can meet, in one table. `docs/errors.md` is checked against it. */
export const ERROR_CODES = {
  COMMAND_INVALID: { retryable: false, exit: 2, doc: 'A flag or an argument of the command was wrong.' },
  CONFIG_INVALID: { retryable: false, exit: 2, doc: 'A setting failed its schema.' },
  CONFIG_NOT_FOUND: {
    retryable: false,
    exit: 2,
    doc: 'A pipeline file, or a file that a setting names, does not exist or cannot be read.',
  },
  NODE_UNSUITABLE: {
    retryable: false,
    exit: 1,
    doc: 'This Node.js is too old: it has no `node:sqlite`, and no other one was found.',
  },
  SOURCE_NOT_FOUND: { retryable: false, exit: 1, doc: 'The file, folder or device of a source does not exist.' },
  SOURCE_EMPTY: { retryable: false, exit: 1, doc: 'A folder or pattern holds no video or picture.' },
  SOURCE_UNREADABLE: { retryable: false, exit: 1, doc: 'The source is not a video, or ffmpeg cannot read it.' },
  SOURCE_NO_VIDEO: { retryable: false, exit: 1, doc: 'The source holds no video frame.' },
  SOURCE_TOO_LARGE: {
    retryable: false,
    exit: 1,
    doc: 'A picture has more pixels, or needs more memory, than the settings of the decoder allow.',
  },
  SOURCE_UNREACHABLE: {
    retryable: true,
    exit: 1,
    doc: 'A camera or server does not answer, went away, or has nothing at this address.',
  },
  SOURCE_UNAUTHORIZED: { retryable: true, exit: 1, doc: 'A camera or server refuses the credentials.' },
  SOURCE_UNTRUSTED: {
    retryable: true,
    exit: 1,
    doc: 'The certificate of a camera or server is self-signed, expired, for another name, or from an unknown authority.',
  },
  SOURCE_STALLED: { retryable: true, exit: 1, doc: 'A live source sent no frame for longer than staleMs.' },
  DECODE_EXITED: { retryable: true, exit: 1, doc: 'ffmpeg ended before the stream did.' },
  DECODE_OUT_OF_STEP: {
    retryable: true,
    exit: 1,
    doc: 'Frame headers and pictures from ffmpeg do not match, so times and sizes would be wrong.',
  },
  FFMPEG_MISSING: { retryable: false, exit: 1, doc: 'No ffmpeg was found, or the one found cannot be run.' },
  MODEL_NOT_FOUND: { retryable: false, exit: 2, doc: 'No manifest has this name, or the manifest file is missing.' },
  MODEL_FORBIDDEN: {
    retryable: false,
    exit: 2,
    doc: 'A model that was named over the network is in a file that may not be read.',
  },
  MODEL_INVALID: { retryable: false, exit: 2, doc: 'A manifest or a weights file is malformed.' },
  MODEL_UNSUPPORTED: { retryable: false, exit: 2, doc: 'The network does something that no model here does.' },
  MODEL_AMBIGUOUS: { retryable: false, exit: 2, doc: 'A model file lacks information that is needed to run it.' },
  MODEL_WEIGHTS_MISSING: {
    retryable: false,
    exit: 1,
    doc: 'The weights are in no search folder and could not be fetched.',
  },
  MODEL_BUSY: {
    retryable: false,
    exit: 2,
    doc: 'A model cannot be loaded or ended: its name is taken, or streams use it.',
  },
  MODEL_INCOMPATIBLE: {
    retryable: false,
    exit: 2,
    doc: 'A model cannot take the place of another: it has other classes, or takes other inputs.',
  },
  MODEL_INTEGRITY: {
    retryable: false,
    exit: 1,
    doc: 'Weights, or a file made of them, do not have the hash that is recorded for them.',
  },
  COMPILE_UNSUPPORTED: {
    retryable: false,
    exit: 1,
    doc: 'The compiler does not support an operator, or this shape.',
  },
  QUANTISE_REFUSED: {
    retryable: false,
    exit: 1,
    doc: 'No layer of a network can be computed in INT8 within the allowed loss.',
  },
  ENGINE_UNAVAILABLE: { retryable: false, exit: 1, doc: 'The requested engine could not be loaded.' },
  ENGINE_FAILED: { retryable: true, exit: 1, doc: 'An inference failed or its thread ended.' },
  SETUP_FAILED: { retryable: false, exit: 1, doc: 'A step of `sightline setup` failed.' },
  LANE_FAILED: { retryable: true, exit: 1, doc: 'A lane thread ended.' },
  STREAM_NOT_FOUND: { retryable: false, exit: 1, doc: 'No stream has this id.' },
  LIMIT_REACHED: { retryable: true, exit: 1, doc: 'This host has no room for what was asked for.' },
  HOST_UNFIT: {
    retryable: true,
    exit: 1,
    doc: 'This host cannot load the second stages of a job; another one of its pipeline takes the task.',
  },
  REQUEST_EXPIRED: { retryable: true, exit: 1, doc: 'A request had no result before its deadline.' },
  STREAM_EXISTS: { retryable: false, exit: 1, doc: 'A stream with this id already runs.' },
  STREAM_CHANGED: { retryable: false, exit: 1, doc: 'The stream was changed after the request had read it.' },
  STREAM_STATE: { retryable: false, exit: 1, doc: 'The stream is in a state that does not allow this.' },
  SINK_FAILED: { retryable: true, exit: 1, doc: 'A result could not be written.' },
  SINK_BUSY: { retryable: true, exit: 1, doc: 'Another pipeline writes the same file.' },
  HISTORY_UNAVAILABLE: {
    retryable: true,
    exit: 1,
    doc: 'The history cannot be asked: its thread or its disk does not answer.',
  },
  RECORDING_NOT_FOUND: {
    retryable: false,
    exit: 1,
    doc: 'Nothing was recorded at this time, or an event has no clip, or its clip is not complete yet.',
  },
  RANGE_UNMET: { retryable: false, exit: 1, doc: 'The part of a file that `Range` asks for is not in it.' },
  RECORDING_MIXED: {
    retryable: false,
    exit: 1,
    doc: 'The format of a recorded video changes within the time to export.',
  },
  RECORDING_DAMAGED: { retryable: false, exit: 1, doc: 'A file or folder of recordings cannot be read.' },
  CONTROL_UNREACHABLE: { retryable: true, exit: 1, doc: 'Redis does not answer, or is out of memory.' },
  CONTROL_UNSUITABLE: { retryable: false, exit: 2, doc: 'Redis is too old, may evict keys, or refuses the user.' },
  LEASE_LOST: { retryable: true, exit: 1, doc: 'Another host may run the stream now.' },
  HOST_NOT_FOUND: { retryable: false, exit: 1, doc: 'No host of the fleet has this id.' },
  HOST_EXISTS: { retryable: false, exit: 1, doc: 'Another process of the fleet uses this host id.' },
  JOB_NOT_FOUND: { retryable: false, exit: 1, doc: 'No job has this id.' },
  JOB_EXISTS: { retryable: false, exit: 1, doc: 'Another job has this id.' },
  SOURCE_FORBIDDEN: {
    retryable: false,
    exit: 2,
    doc: 'The path, scheme, network, format or test picture is not allowed on this host.',
  },
  SEGMENT_MISMATCH: {
    retryable: false,
    exit: 1,
    doc: 'A segment of a file did not decode to the frames that its index lists.',
  },
  ROLLOUT_RUNNING: { retryable: false, exit: 1, doc: 'A roll-out of the pipeline runs already.' },
  ROLLOUT_NOT_FOUND: {
    retryable: false,
    exit: 1,
    doc: 'The pipeline has had no roll-out, or no version has this name.',
  },
  ROLLOUT_PARTIAL: { retryable: false, exit: 2, doc: 'Some settings cannot be rolled out.' },
  ROLLOUT_STATE: { retryable: false, exit: 1, doc: 'The roll-out is in a state that does not allow this.' },
  GATEWAY_UNREACHABLE: { retryable: true, exit: 1, doc: 'No gateway answers at the URL of a command or a client.' },
  PORT_IN_USE: { retryable: false, exit: 1, doc: 'Another program listens on the port.' },
  TOKEN_REQUIRED: { retryable: false, exit: 2, doc: 'The gateway listens beyond this machine and no token is set.' },
  UNAUTHORIZED: { retryable: false, exit: 1, doc: 'A request lacked a token, or had a wrong or expired one.' },
  FORBIDDEN: { retryable: false, exit: 1, doc: 'The role of the token does not allow this.' },
  TOO_MANY_ATTEMPTS: { retryable: true, exit: 1, doc: 'An address has sent too many wrong tokens.' },
  ORIGIN_REFUSED: { retryable: false, exit: 1, doc: 'A request came from a foreign page or host name.' },
  ROUTE_NOT_FOUND: { retryable: false, exit: 1, doc: 'The gateway has no such path or method.' },
  INTERNAL_ERROR: { retryable: false, exit: 1, doc: 'An unexpected failure: a bug in Sightline.' },
  PROTOCOL_INVALID: {
    retryable: false,
    exit: 1,
    doc: 'A message of a client, or of what it takes for a gateway, does not follow the protocol.',
  },
  DATASET_INVALID: {
    retryable: false,
    exit: 2,
    doc: 'An annotations or results file is not COCO, or names other images.',
  },
  FRAME_LEAKED: { retryable: false, exit: 1, doc: 'A slot was not released: a bug in Sightline.' },
} as const satisfies Record<string, ErrorCodeEntry>;

interface ErrorCodeEntry {
  /** Whether the same operation may succeed later. */
  readonly retryable: boolean;
  /** Exit code of a command that ends with this error: 1 failed while running, 2 wrong command or configuration. */
  readonly exit: 1 | 2;
  readonly doc: string;
}

/** One of `ERROR_CODES`. */
export type ErrorCode = keyof typeof ERROR_CODES;
