import { z } from 'zod';
import { BLIND_SIGNS } from '../../base/core/blind-sign.ts';
import { redactSource } from '../../base/core/redact.ts';
import { namesOf, ruleConfig, ruleProblems } from './event-rules.ts';
import { id } from './id.ts';
import { range, whole } from './number.ts';
import { regionConfig, tilesConfig } from './region.ts';
import { mark, mayHoldPlaceholders } from './schema-text.ts';
import { skipConfig } from './skip.ts';
import { labels, lineConfig, maskConfig, trackConfig, uniqueIds, zoneConfig } from './track.ts';
import { weeklyTimes } from './weekly-times.ts';

const target = z.strictObject({
  fps: range(0.1, 1000).optional().describe('Published frames per second that the stream should reach.'),
  latencyMs: range(1, 60_000)
    .optional()
    .describe('Upper limit for the 99th percentile of the time from captured to published.'),
});

/** Most zones or lines that a report can carry. */
const MAX_COUNTERS = 1000;
const MAX_MASKS = 100;
/** Each rule looks at each frame. */
const MAX_RULES = 200;

/** Which frames are decoded: all; those that others depend on; those that depend on no other. */
export const DECODED_FRAMES = ['all', 'reference', 'key'] as const;

// The settings of each stream and, under `defaults`, of all streams, by what a change of them takes.

/** How a source is read. A change opens it again. */
const reading = {
  policy: z
    .enum(['auto', 'live', 'file'])
    .default('auto')
    .describe('live drops frames that are too old, file waits and loses nothing; auto decides by the kind of source.'),
  loop: z.boolean().default(false).describe('Play a file again and again, as a live source.'),
  realtime: z
    .boolean()
    .optional()
    .describe(
      "Read no faster than the media's own clock. If absent: true for a file that loops or is live, else false.",
    ),
  insecureTls: z
    .boolean()
    .default(false)
    .describe(
      'Accept any certificate of an https://, rtsps:// or rtmps:// source. Better: its authority in `tls.caFile`.',
    ),
  transport: z.enum(['tcp', 'udp']).default('tcp').describe('Transport protocol for RTSP.'),
  decode: z
    .enum(DECODED_FRAMES)
    .default('all')
    .describe(
      'Which frames ffmpeg decodes: all; `reference`, those that others depend on; `key`, those that depend on no other. The others cost next to nothing. `every`, `maxFps` and frame numbers count decoded frames.',
    )
    .meta(mark({ rollout: 'changes' })),
  decodeThreads: whole(0, 64)
    .default(1)
    .describe("ffmpeg's decoder threads; 0 lets ffmpeg choose.")
    .meta(mark({ rollout: 'changes' })),
};

/** What a model sees of a picture. A change opens the source again. */
const seen = {
  hwaccel: z
    .string()
    .regex(/^[a-z0-9_]{1,32}$/, 'expected the name of a hardware decoder, such as cuda')
    .default('none')
    .describe(
      'Hardware decoder as ffmpeg names it (auto, cuda, vaapi, qsv, videotoolbox), or cuda_scale, which also scales on the GPU; falls back to software with a warning.',
    )
    .meta(mark({ rollout: 'changes' })),
  resizeBy: z
    .enum(['auto', 'ffmpeg', 'sharp'])
    .default('auto')
    .describe(
      "What resizes pictures for the model if nothing needs them full-size. `ffmpeg`: faster. `sharp`: the model's own kernel. `auto`: ffmpeg, unless that costs over 0.005 AP.",
    )
    .meta(mark({ rollout: 'changes' })),
  region: regionConfig
    .optional()
    .describe(
      'Infer only this rectangle, or `zones` (their bounding box plus 5 %). Default: whole picture. Objects get another size in the input, so other boxes are found.',
    )
    .meta(mark({ rollout: 'fixed' })),
  tiles: tilesConfig
    .optional()
    .describe(
      'Infers the picture, or its region, in parts, to find small objects; each part costs an inference. Not divided if absent.',
    )
    .meta(mark({ rollout: 'fixed' })),
};

/** What a lane may be able to change while it reads, see `laneTuning`. */
const pace = {
  every: whole(1, 1000)
    .default(1)
    .describe('Take every n-th frame.')
    .meta(mark({ rollout: 'changes' })),
  maxFps: range(0.1, 1000)
    .optional()
    .describe('Take at most this many frames per second.')
    .meta(mark({ rollout: 'changes' })),
  staleMs: whole(100, 600_000)
    .default(3_000)
    .describe(
      'A live source from which no frame is decoded for this long is opened again; frames that every and maxFps leave out count.',
    ),
  openTimeoutMs: whole(100, 600_000).default(10_000).describe('Longest wait for the first frame of a connection.'),
  signs: z
    .array(z.enum(BLIND_SIGNS))
    .max(BLIND_SIGNS.length)
    .default([...BLIND_SIGNS])
    .describe(
      'Signs of a blind camera that are looked for in its pictures; `[]` for none. A test picture is never frozen.',
    ),
  masks: z
    .array(maskConfig)
    .max(MAX_MASKS)
    .check(uniqueIds('mask'))
    .default([])
    .describe('Areas that nobody sees: they are hidden in every picture, before the detector and all others get it.')
    .meta(mark({ rollout: 'fixed' })),
};

const modelChoice = z
  .strictObject({
    model: id.describe('Name of a detector among `models`.'),
    times: weeklyTimes.optional().describe('At these times of the week.'),
    event: id.optional().describe('While an event of this rule of the stream is open.'),
  })
  .refine(({ times, event }) => times !== undefined || event !== undefined, {
    message: 'expected times, event, or both, which then have to apply together',
  });

/** What a lane does not know, apart from the change gate in `skip`. A change takes effect between two frames. */
const afterwards = {
  model: id.optional().describe('Name of its detector among `models`; `model` of the pipeline if absent.'),
  stages: z
    .array(id)
    .max(100)
    .optional()
    .describe(
      'Names of the second stages of the pipeline that look at its objects, `[]` for none; all if absent. They need tracks and pictures of up to 1920 pixels in width, which costs time.',
    ),
  labels: labels.describe('Only objects with these labels are reported, tracked and counted; all if absent.'),
  scoreThreshold: range(0, 1)
    .optional()
    .describe('Boxes below this are not reported: at least the threshold of the model, which holds if absent.'),
  priority: whole(-100, 100)
    .default(0)
    .describe(
      'Streams of higher priority go first. A tenth of the inferences is for the others, in turn, so none stands still.',
    ),
  weight: range(0.01, 100).default(1).describe('Share of the inferences among streams of the same priority.'),
  queueSize: whole(1, 64)
    .default(2)
    .describe(
      'Frames of a live stream that may wait for a batch; if more come, the oldest is dropped. Fewer wait while frames are shed.',
    )
    .meta(mark({ rollout: 'changes' })),
  maxAgeMs: whole(1, 60_000)
    .default(500)
    .describe('A live frame older than this when its batch closes is dropped.')
    .meta(mark({ rollout: 'changes' })),
  target: target.prefault({}).describe('What the operator expects; a miss that lasts 5 s raises an event.'),
  track: z
    .union([z.boolean(), trackConfig])
    .default(false)
    .describe('Follow objects from frame to frame: true, or settings of the tracker.'),
  skip: skipConfig
    .prefault({})
    .describe('Frames that need no inference.')
    .meta(mark({ rollout: 'changes' })),
  zones: z
    .array(zoneConfig)
    .max(MAX_COUNTERS)
    .check(uniqueIds('zone'))
    .default([])
    .describe('Areas in which objects are counted: each reported box in the newest frame, with or without a track.'),
  lines: z
    .array(lineConfig)
    .max(MAX_COUNTERS)
    .check(uniqueIds('line'))
    .default([])
    .describe('Lines whose crossings are counted.'),
  events: z
    .array(ruleConfig)
    .max(MAX_RULES)
    .check(uniqueIds('rule'))
    .default([])
    .describe(
      'Rules that raise events: what objects do, how many there are, what is wrong with the picture or the stream.',
    ),
  modelWhen: z
    .array(modelChoice)
    .max(10)
    .default([])
    .describe(
      'Other detectors for some times, or while an event lasts: the first that applies is used instead of `model`.',
    ),
  record: z
    .enum(['events', 'continuous'])
    .optional()
    .describe(
      'Keeps the video as it comes, in the folder of `recording`: around events of its rules, or all of it; none if absent.',
    ),
  recordMasked: z
    .enum(['refused', 'allowed'])
    .default('refused')
    .describe(
      'Whether a stream with masks may be recorded and have clips. These are packets as the camera sends them: masks do not hide anything in them.',
    ),
  live: z
    .boolean()
    .default(false)
    .describe(
      'The page shows live video instead of pictures, and there is `live.m3u8`. Streams with `record` or a `clip` have both anyway.',
    ),
};

const settings = { ...reading, ...seen, ...pace, ...afterwards };

/** Keys of the settings that a lane needs, by what a change of them takes. */
export const LANE_KEYS = {
  reading: keysOf(reading),
  seen: keysOf(seen),
  pace: keysOf(pace),
} as const;

function keysOf<T extends object>(group: T): readonly (keyof T)[] {
  return Object.keys(group) as (keyof T)[];
}

const PUSHED_TO = /^(rtsps?|rtmps?|srt):\/\/([^/?#]*)/i;

/** Returns what is expected of an address of a media server that this one is not; null if nothing is. */
function expectedTarget(text: string): string | null {
  const [, scheme = '', authority = ''] = PUSHED_TO.exec(text) ?? [];
  if (scheme === '') return 'an address that begins with rtsp://, rtsps://, rtmp://, rtmps:// or srt://';
  if (/\s/.test(text)) return 'an address without white space (%20 in a password)';
  const [, host = '', port] = /^(?:.*@)?(\[[^\]]*\]|[^:]*)(?::(.*))?$/.exec(authority) ?? [];
  if (host === '') return `a host after ${scheme}://`;
  if (port === undefined ? /^srt$/i.test(scheme) : !/^\d{1,5}$/.test(port) || Number(port) > 65_535)
    return `a port from 1 to 65535 after ${host}:`;
  return URL.canParse(text) ? null : 'an address such as rtsp://user:password@server:8554/path';
}

const everyKey = z.strictObject({
  id: id.describe('Name of the stream.'),
  source: mayHoldPlaceholders(z.string().min(1).max(16_384))
    .meta(mark({ secret: 'source' }))
    .describe(
      'A file, http(s)://, rtsp(s)://, rtmp(s)://, srt://, device:/dev/video0, synthetic:GENERATOR (a test picture, such as synthetic:testsrc2=size=1280x720:rate=30), or demo for the demonstration clip.',
    ),
  restream: mayHoldPlaceholders(
    z
      .string()
      .max(16_384)
      .check(({ value, issues }) => {
        const expected = value.includes('${') ? null : expectedTarget(value);
        if (expected !== null) issues.push({ code: 'custom', input: value, message: `expected ${expected}` });
      }),
  )
    .optional()
    .meta(mark({ secret: 'source' }))
    .describe('A media server that gets the video as the camera sends it, undecoded; none if absent.'),
  ...settings,
});

/** A stored order is read with this schema: rules about time that came later must not make a running stream disappear. */
export const storedStreamConfig = everyKey.refine(({ region, zones }) => region !== 'zones' || zones.length > 0, {
  path: ['region'],
  message: 'expected a rectangle, since the stream has no zones',
});

/** The settings of a stream, and the rules about several of them, checked once their defaults are filled in. */
export const streamConfig = storedStreamConfig.check(({ value, issues }) => {
  if (issues.length > 0) return;
  const refuse = (path: (string | number)[], input: unknown, limit: string): void =>
    void issues.push({ code: 'custom', input, path, message: `expected ${limit}` });
  for (const { path, input, expected } of ruleProblems(value)) refuse(['events', ...path], input, expected);
  if (!mayCopyPackets(value))
    for (const { path, input, what } of copiesOf(value))
      refuse(
        path,
        input,
        `no ${what} of a stream with masks, which cannot hide anything in undecoded video, unless recordMasked is allowed`,
      );
  const { maxFps, track, modelWhen, events } = value;
  for (const [i, { event }] of modelWhen.entries())
    if (event !== undefined && !events.some(({ id }) => id === event))
      refuse(['modelWhen', i, 'event'], event, namesOf('rule', events));
  if (maxFps === undefined) return;
  // Every track would be deleted before the next frame arrives, so no object would ever get an id.
  const leastMs = Math.ceil(1000 / maxFps);
  if (typeof track === 'object' && track.lostMs !== undefined && track.lostMs < leastMs)
    refuse(['track', 'lostMs'], track.lostMs, `at least ${leastMs}, the time between two frames at maxFps ${maxFps}`);
});

type Settings = typeof settings;
type WithoutDefault<S> = S extends z.ZodDefault<infer Inner> | z.ZodPrefault<infer Inner> ? Inner : S;
type Optional<S> = WithoutDefault<S> extends z.core.SomeType ? z.ZodOptional<WithoutDefault<S>> : never;

/** The same settings without default values: keys that are not written stay absent. */
export const streamDefaults = z.strictObject(
  Object.fromEntries(Object.entries(settings).map(([key, schema]) => [key, optionalOf(schema)])) as {
    [K in keyof Settings]: Optional<Settings[K]>;
  },
);

function optionalOf(schema: z.ZodType): z.ZodOptional {
  const inner =
    schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault ? (schema.def.innerType as z.ZodType) : schema;
  return z.optional(inner).meta(schema.meta() ?? {});
}

export type StreamConfig = z.infer<typeof streamConfig>;

/** Returns the detectors that a stream may use; undefined: the pipeline's own. */
export function modelsOf({ model, modelWhen }: Pick<StreamConfig, 'model' | 'modelWhen'>): (string | undefined)[] {
  return [model, ...modelWhen.map((choice) => choice.model)];
}

type CopySettings = Pick<StreamConfig, 'live' | 'record' | 'events' | 'restream'> &
  Partial<Pick<StreamConfig, 'masks' | 'recordMasked'>>;

/** Returns the settings of a stream that ask for its packets. */
function copiesOf({
  live,
  record,
  events,
  restream,
}: CopySettings): { path: (string | number)[]; input: unknown; what: string }[] {
  return [
    ...(live ? [{ path: ['live'], input: live, what: 'live video' }] : []),
    ...(record === undefined ? [] : [{ path: ['record'], input: record, what: 'recording' }]),
    ...(restream === undefined ? [] : [{ path: ['restream'], input: redactSource(restream), what: 'restream' }]),
    ...events.flatMap(({ clip }, i) =>
      clip === undefined ? [] : [{ path: ['events', i, 'clip'], input: clip, what: 'clip' }],
    ),
  ];
}

/** Returns the addresses that a stream connects to. */
export function addressesOf({ source, restream }: Pick<StreamConfig, 'source' | 'restream'>): readonly string[] {
  return restream === undefined ? [source] : [source, restream];
}

/** Returns whether anybody may get the packets of a stream, in which nothing can be hidden. */
function mayCopyPackets({ masks = [], recordMasked }: Pick<CopySettings, 'masks' | 'recordMasked'>): boolean {
  return masks.length === 0 || recordMasked === 'allowed';
}

/** Returns whether a rule of a stream keeps clips. */
export function hasClips({ events }: Pick<StreamConfig, 'events'>): boolean {
  return events.some(({ clip }) => clip !== undefined);
}

/** Returns whether something keeps the packets of a stream. */
export function tapsPackets(config: CopySettings): boolean {
  return mayCopyPackets(config) && copiesOf(config).length > 0;
}
