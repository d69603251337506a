import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { DROP_REASONS } from '../../../../src/base/core/frame.ts';
import { ERROR_CODES } from '../../../../src/base/errors/error-codes.ts';
import { clientMessage, EVENT_KINDS, FEED_PROTOCOL, TOPICS } from '../../../../src/wire/protocol/feed.ts';
import { deadLetter, JOB_STATES } from '../../../../src/wire/protocol/fleet.ts';
import { FLEET_HOST_STATES } from '../../../../src/wire/protocol/fleet-report.ts';
import { LATENCY_STAGES } from '../../../../src/wire/protocol/latency.ts';
import { BUSY_STAGES, STREAM_STATES } from '../../../../src/wire/protocol/report.ts';
import { GUARD_VERDICTS, ROLLOUT_STATES, type VersionReport } from '../../../../src/wire/protocol/rollout-records.ts';
import { FeedSocket } from '../../../support/feed-socket.ts';
import { FleetRig } from '../../../support/fleet-rig.ts';
import { openGateway } from '../../../support/open-gateways.ts';
import { RolloutPortDouble } from '../../../support/rollout-port-double.ts';
import { publishedFrame, RuntimeDouble } from '../../../support/runtime-double.ts';

const textOf = (...names: string[]): string =>
  names.map((name) => readFileSync(new URL(`../../../../docs/${name}.md`, import.meta.url), 'utf8')).join('\n');
const page = textOf('wire-protocol', 'rest');
const all = page + textOf('reports', 'metrics', 'results', 'troubleshooting');
const CODE_SPANS = new Set([...all.matchAll(/`([^`\n]+)`/g)].map((match) => match[1]!));
/** Indented blocks with one JSON document each, or one per line. */
const EXAMPLES = [...page.matchAll(/(?:^ {4}.*\n)+/gm)].map(([block]) => block.trim());

/** Names of all fields at any depth; keys of `dropped`, `histogram` and `details` are data and not fields. */
function fieldNames(value: unknown, into = new Set<string>()): Set<string> {
  if (Array.isArray(value)) for (const item of value) fieldNames(item, into);
  else if (typeof value === 'object' && value !== null) {
    for (const [name, inner] of Object.entries(value)) {
      into.add(name);
      if (!['dropped', 'histogram', 'batches', 'details'].includes(name)) fieldNames(inner, into);
    }
  }
  return into;
}

function undocumented(names: Iterable<string>): string[] {
  return [...names].filter((name) => !CODE_SPANS.has(name));
}

describe('docs/wire-protocol.md, rest.md, reports.md and metrics.md', () => {
  it('describes every field of every message that a gateway sends', async () => {
    const port = new RuntimeDouble(['gate']);
    const { url } = await openGateway(port);
    const client = await FeedSocket.open(url);
    client.say({ type: 'subscribe', topics: TOPICS });
    await client.settle();
    const person = { classId: 0, label: 'person', score: 0.9, box: [1, 2, 3, 4], trackId: 7 } as const;
    port.publish(publishedFrame('gate', 1, [person]));
    port.preview(publishedFrame('gate', 1, [person]), Uint8Array.of(1));
    port.emitEvent({
      type: 'event',
      timeMs: 1,
      kind: 'stream-state',
      stream: 'gate',
      message: 'It runs.',
      details: {},
    });
    await client.until(() => new Set(client.messages.map(({ type }) => type)).size === 6);

    expect(undocumented(fieldNames(client.messages))).toEqual([]);
    expect(undocumented(client.messages.map(({ type }) => type))).toEqual([]);
  });

  it('describes every field of the fleet that a gateway sends', async () => {
    const rig = await FleetRig.open();
    const { url } = await openGateway(rig.view, { fleet: rig.view });
    const client = await FeedSocket.open(url);
    client.say({ type: 'subscribe', topics: ['stats', 'events'] });
    await client.settle();
    await rig.view.addStream({ id: 'gate', source: 'rtsp://camera.example/gate' });
    await rig.view.submitJob({ inputs: ['/videos/a.mp4'], outDir: '/results' });
    await rig.takeOver('host-1', 'gate', 1, 24);
    const body = {
      type: 'event',
      timeMs: 1,
      kind: 'stream-placed',
      stream: 'gate',
      message: 'It goes to host-1.',
      host: 'host-1',
    };
    rig.plane.bus.publish({ topic: 'events', hostId: 'host-1', stream: null, fence: null, body });
    await rig.second();
    await client.until(
      () => client.of('event').length > 0 && client.of('stats').some(({ fleet }) => fleet !== undefined),
    );
    rig.view.close();

    const names = fieldNames(client.messages);
    for (const name of ['fence', 'lastSeenMs', 'progressRatio', 'recommendedHosts', 'placement']) {
      expect(names).toContain(name);
    }
    expect(undocumented(names)).toEqual([]);
    expect(undocumented([...FLEET_HOST_STATES, ...JOB_STATES, ...Object.keys(deadLetter.shape)])).toEqual(['jobId']);
  });

  it('describes every field of a roll-out, of its versions and of its frames', async () => {
    const rollouts = new RolloutPortDouble();
    const port = new RuntimeDouble(['gate']);
    const { url } = await openGateway(port, { rollouts });
    const client = await FeedSocket.open(url);
    client.say({ type: 'subscribe', topics: ['stats', 'preview'] });
    await client.settle();
    port.tick();
    port.preview(publishedFrame('gate', 1, []), Uint8Array.of(1));
    rollouts.shadow({ stream: 'gate', frame: 1, control: [], candidate: [] });
    await client.until(() => client.messages.some(({ type }) => type === 'shadow'));
    const names = fieldNames(client.messages);
    for (const name of ['candidateStreams', 'verdict', 'heldBy', 'candidate']) expect(names).toContain(name);
    expect(undocumented(names)).toEqual([]);
    const fields: readonly (keyof VersionReport)[] = ['hash', 'label', 'inputSize', 'createdMs', 'role'];
    expect(undocumented([...fields, ...ROLLOUT_STATES, ...GUARD_VERDICTS])).toEqual([]);
  });

  it('describes every field that a client can send', () => {
    const names = clientMessage.options.flatMap((option) => Object.keys(option.shape));
    expect(names).toContain('streams');
    expect(undocumented(names)).toEqual([]);
  });

  it('names every topic, event kind, state, stage and drop reason', () => {
    const words = [...TOPICS, ...EVENT_KINDS, ...STREAM_STATES, ...LATENCY_STAGES, ...BUSY_STAGES];
    expect(undocumented([...words, ...Object.keys(DROP_REASONS)])).toEqual([]);
  });

  it('names every route of the API', () => {
    const groups = ['streams', 'pipeline', 'host', 'fleet', 'rollouts', 'sign-in'];
    const source = groups.map((group) =>
      readFileSync(new URL(`../../../../src/serve/gateway/routes-${group}.ts`, import.meta.url), 'utf8'),
    );
    const routes = [...source.join().matchAll(/(?:app|scope)\.(get|post|patch|put|delete)\S*\(\s*'([^']+)'/g)];
    expect(routes.length).toBeGreaterThanOrEqual(22);
    expect(undocumented(routes.map(([, method, path]) => `${method!.toUpperCase()} ${path}`))).toEqual([]);
  });

  it('names every metric, and only existing error codes', async () => {
    const rig = await FleetRig.open();
    const urls = [
      (await openGateway(new RuntimeDouble(['gate']))).url,
      (await openGateway(rig.view, { fleet: rig.view })).url,
    ];
    rig.view.close();
    const texts = await Promise.all(urls.map(async (url) => (await fetch(`${url}/metrics`)).text()));
    const names = [...texts.join('\n').matchAll(/^# TYPE (\S+)/gm)].map((match) => match[1]!);
    const documented = new Set([...CODE_SPANS].map((span) => span.replace(/\{.*/, '')));
    expect(names.length).toBeGreaterThan(20);
    expect(names.filter((name) => !documented.has(name))).toEqual([]);

    const codes = [...CODE_SPANS].filter((span) => /^[A-Z]+_[A-Z_]+$/.test(span));
    expect(codes.filter((code) => !(code in ERROR_CODES))).toEqual([]);
  });

  it('has examples that are valid JSON, and client messages that the gateway accepts', () => {
    expect(EXAMPLES.length).toBeGreaterThanOrEqual(8);
    let accepted = 0;
    for (const example of EXAMPLES) {
      const documents = isJson(example) ? [example] : example.split('\n');
      for (const document of documents) {
        const message = JSON.parse(document) as { type?: string };
        if (message.type !== 'subscribe' && message.type !== 'unsubscribe') continue;
        expect(clientMessage.safeParse(message).success).toBe(true);
        accepted += 1;
      }
    }
    expect(accepted).toBe(5);
  });

  it('states the version of the protocol', () => {
    expect(page).toContain(`"protocol":${FEED_PROTOCOL}`);
  });
});

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
