import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Detection } from '../src/base/core/detection.ts';
import type { PublishedFrame } from '../src/base/core/frame.ts';
import { startGateway } from '../src/serve/gateway/server.ts';
import type { SubscribeMessage } from '../src/wire/protocol/feed.ts';
import type { Received } from './feed-clients.process.ts';
import type { BenchContext } from './support/bench-context.ts';
import { FeedPort, type Recording, recordClip } from './support/feed-port.ts';
import type { Section, SectionResult, Table } from './support/section.ts';

const CLIENTS = [1, 10, 100] as const;
/** Faster than cameras, so that the cost of a frame stands out from that of an idle process. */
const DETECTIONS_FPS = 100;
const PREVIEW_FPS = 10;
/** Rounds; the one with the least CPU time counts, since other work on the machine only adds to it. */
const ROUNDS = 3;
/** A camera that mostly sees things at rest: a person walks by during a tenth of the time. */
const STILL_FRAMES = 300;
const WALK_FRAMES = 30;
const WALK_PX = 3;
/** Detectors move the box of a thing at rest by about a pixel. */
const JITTER_PX = 1.5;

type Settings = Omit<SubscribeMessage, 'type'>;

interface Form {
  readonly name: string;
  readonly scene: 'clip' | 'still' | 'pictures';
  readonly settings: Settings;
}

const DETECTIONS: Settings = { topics: ['detections'] };
const PREVIEW: Settings = { topics: ['preview'] };
const FORMS: readonly Form[] = [
  { name: 'json', scene: 'clip', settings: DETECTIONS },
  { name: 'msgpack', scene: 'clip', settings: { ...DETECTIONS, format: 'msgpack' } },
  { name: 'json, changes', scene: 'clip', settings: { ...DETECTIONS, detections: 'changes' } },
  { name: 'msgpack, changes', scene: 'clip', settings: { ...DETECTIONS, format: 'msgpack', detections: 'changes' } },
  { name: 'json', scene: 'still', settings: DETECTIONS },
  { name: 'json, changes', scene: 'still', settings: { ...DETECTIONS, detections: 'changes' } },
  { name: 'msgpack, changes', scene: 'still', settings: { ...DETECTIONS, format: 'msgpack', detections: 'changes' } },
  { name: 'json', scene: 'pictures', settings: PREVIEW },
  { name: 'msgpack', scene: 'pictures', settings: { ...PREVIEW, format: 'msgpack' } },
];

interface FeedRun {
  readonly form: Form;
  readonly clients: number;
  readonly frames: number;
  /** Messages that a client got for each frame, 0 to 1. */
  readonly messageRatio: number;
  /** For each client and frame. */
  readonly bytes: number;
  /** CPU of the gateway's process for each frame, without that of publishing to nobody. */
  readonly cpuUs: number;
}

/** Measures what output over the feed costs: bytes and CPU of the gateway, with real sockets and clients in another process. */
export const feed: Section = {
  id: 'feed',
  title: 'The feed: JSON, MessagePack, changes only',
  async run(context): Promise<SectionResult> {
    const recording = await recordClip(context);
    const runs: FeedRun[] = [];
    for (const form of FORMS) {
      const idleUs = await measure(context, recording, form, 0).then(({ cpuUs }) => cpuUs);
      for (const clients of CLIENTS) {
        const run = await measure(context, recording, form, clients);
        runs.push({ ...run, cpuUs: Math.max(0, run.cpuUs - idleUs) });
      }
    }
    const objects = recording.frames.reduce((sum, { detections }) => sum + detections.length, 0);
    const mean = (objects / recording.frames.length).toFixed(1);
    return {
      tables: (['clip', 'still', 'pictures'] as const).map((scene) => feedTable(scene, runs)),
      targets: [],
      notes: [
        `clip: the tracked results of ${context.model} on the clip, ${mean} objects a frame, ${DETECTIONS_FPS} frames/s.`,
        `still: the objects of one frame at rest, with boxes that jitter by ${JITTER_PX} px; a person walks by during a tenth of the time.`,
        `pictures: previews of the clip with their detections, ${PREVIEW_FPS} a second.`,
        `Bytes are WebSocket frames. CPU is that of the process of the gateway, system calls included, the least of ${ROUNDS} rounds; publishing to nobody is subtracted.`,
      ],
      data: runs,
    };
  },
};

function feedTable(scene: Form['scene'], runs: readonly FeedRun[]): Table {
  return {
    caption: `${scene}: for each frame`,
    rows: [
      ['form', 'clients', 'messages a client', 'bytes a client', 'CPU a client', 'CPU'],
      ...runs
        .filter(({ form }) => form.scene === scene)
        .map(({ form, clients, messageRatio, bytes, cpuUs }) => [
          form.name,
          String(clients),
          messageRatio.toFixed(2),
          bytes.toFixed(0),
          `${(cpuUs / clients).toFixed(1)} us`,
          `${cpuUs.toFixed(0)} us`,
        ]),
    ],
  };
}

async function measure(context: BenchContext, recording: Recording, form: Form, clients: number): Promise<FeedRun> {
  const port = new FeedPort(recording.report);
  const gateway = await startGateway(port, { port: 0 });
  const child = clients === 0 ? null : await startClients(`${gateway.url}/ws`, clients, form.settings);
  try {
    const publish = publisher(port, recording, form.scene);
    const framesPerSecond = form.scene === 'pictures' ? PREVIEW_FPS : DETECTIONS_FPS;
    await publishFor(1, framesPerSecond, publish);
    if (child !== null) await received(child);
    let frames = 0;
    let cpuUs = Number.POSITIVE_INFINITY;
    for (let round = 0; round < ROUNDS; round += 1) {
      const before = process.cpuUsage();
      const published = await publishFor(context.seconds, framesPerSecond, publish);
      const { user, system } = process.cpuUsage(before);
      frames += published;
      cpuUs = Math.min(cpuUs, (user + system) / published);
    }
    const { messages, bytes } = child === null ? { messages: 0, bytes: 0 } : await received(child);
    const perClient = Math.max(1, clients) * frames;
    return {
      form,
      clients,
      frames,
      messageRatio: messages / perClient,
      bytes: bytes / perClient,
      cpuUs,
    };
  } finally {
    child?.kill();
    await gateway.close();
  }
}

/** Returns a function that publishes the next frame. */
function publisher(port: FeedPort, { frames, jpegs }: Recording, scene: Form['scene']): () => void {
  let next = 0;
  return () => {
    const frame = frames[next % frames.length]!;
    if (scene === 'clip') port.publish(frame);
    else if (scene === 'still') port.publish(stillFrame(frames[0]!, next));
    else port.preview({ frame, jpeg: jpegs[next % jpegs.length]! });
    next += 1;
  };
}

function stillFrame(base: PublishedFrame, index: number): PublishedFrame {
  const tremble = (): number => (2 * Math.random() - 1) * JITTER_PX;
  const detections: Detection[] = base.detections.map((detection) => {
    const [x, y, width, height] = detection.box;
    return { ...detection, box: [x + tremble(), y + tremble(), width, height] };
  });
  const step = index % STILL_FRAMES;
  if (step < WALK_FRAMES)
    detections.push({ classId: 0, label: 'person', score: 0.8, box: [WALK_PX * step, 100, 40, 100], trackId: 100_000 });
  return { ...base, frame: index, detections };
}

/** Publishes at an even pace. @returns the number of frames. */
async function publishFor(seconds: number, framesPerSecond: number, publish: () => void): Promise<number> {
  const frames = seconds * framesPerSecond;
  const startMs = performance.now();
  for (let frame = 0; frame < frames; frame += 1) {
    const waitMs = startMs + (frame * 1000) / framesPerSecond - performance.now();
    if (waitMs > 0) await sleep(waitMs);
    publish();
  }
  // The sockets write the last frames.
  await sleep(50);
  return frames;
}

async function startClients(url: string, clients: number, settings: Settings): Promise<ChildProcess> {
  const entry = fileURLToPath(new URL('./feed-clients.process.js', import.meta.url));
  const subscribe = JSON.stringify({ type: 'subscribe', ...settings });
  const child = fork(entry, [url.replace(/^http/, 'ws'), String(clients), subscribe], { execArgv: [] });
  const [first] = (await Promise.race([once(child, 'message'), once(child, 'exit')])) as [unknown];
  if (first !== 'ready') throw new Error(`the clients ended with ${String(first)}`);
  return child;
}

async function received(child: ChildProcess): Promise<Received> {
  const answer = once(child, 'message');
  child.send('count');
  return ((await answer) as [Received])[0];
}
