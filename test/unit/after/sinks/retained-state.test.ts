import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { discoveryOf, identifierOf } from '../../../../src/after/sinks/home-assistant.ts';
import { RetainedState } from '../../../../src/after/sinks/retained-state.ts';
import { topicLevel } from '../../../../src/after/sinks/topic-level.ts';
import type { StreamReport } from '../../../../src/wire/protocol/report.ts';
import { streamReport } from '../../../support/sample-reports.ts';
import { frameOf, person } from './frames.ts';

/** Device discovery as Home Assistant documents it: unknown keys of the shared options, devices and entities are refused there too. */
const topic = z.string().regex(/^[^+#\p{Cc}]+$/u);
const template = z.string().startsWith('{{').endsWith('}}');
const availability = z.array(z.strictObject({ topic, value_template: template.optional() })).min(1);
const entity = { name: z.string().min(1), unique_id: z.string().regex(/^[\w-]+$/), value_template: template };
const shared = {
  availability: availability.optional(),
  availability_mode: z.enum(['all', 'any', 'latest']).optional(),
};
const DISCOVERY = z.strictObject({
  device: z.strictObject({
    identifiers: z.array(z.string()).min(1),
    name: z.string(),
    manufacturer: z.string(),
    model: z.string(),
  }),
  origin: z.strictObject({ name: z.string() }),
  availability,
  state_topic: topic,
  components: z.record(
    z.string(),
    z.union([
      z.strictObject({ platform: z.literal('sensor'), state_class: z.literal('measurement'), ...entity, ...shared }),
      z.strictObject({
        platform: z.literal('binary_sensor'),
        device_class: z.enum(['connectivity', 'problem', 'occupancy']),
        entity_category: z.literal('diagnostic').optional(),
        ...entity,
        ...shared,
      }),
      // Removes an entity.
      z.strictObject({ platform: z.enum(['sensor', 'binary_sensor']) }),
    ]),
  ),
});
/** What the topic of a discovery message may be. */
const DISCOVERY_TOPIC = /^homeassistant\/device\/[a-zA-Z0-9_-]+\/config$/;

const HOSTILE = 'a+b/#"}} {{ evil | $SYS \u0000\n\u{1f600}';

function reportOf(id: string, more: Partial<StreamReport> = {}): StreamReport {
  return { ...streamReport(id), state: 'running', zones: [{ id: 'yard', inside: 2 }], ...more };
}

function stateOf(discovery: string | false = 'homeassistant', labels: readonly string[] = ['person']): RetainedState {
  return new RetainedState({ topic: 'sightline', statusTopic: 'sightline/status/host', discovery, labels });
}

/** Publishes all that is missing. @returns payloads by topic. */
function publishAll(state: RetainedState): Record<string, string> {
  const messages = state.missing;
  for (const message of messages) state.published(message);
  return Object.fromEntries(messages.map((each) => [each.topic, each.payload]));
}

describe('the retained state of a stream', () => {
  it('has the counts of the newest result, and what the report says', () => {
    const state = stateOf(false);
    state.noteReports([reportOf('s')], 0);
    state.noteResult(frameOf(1, [person, person, { ...person, label: 'dog' }]));
    const isMissing = { fps: true, latency: false };
    state.noteReports([reportOf('s', { isMissing })], 1000);
    expect(JSON.parse(publishAll(state)['sightline/streams/s/state']!)).toEqual({
      up: true,
      state: 'running',
      targetMissed: true,
      labels: { person: 2, dog: 1 },
      zones: { yard: 2 },
    });
    state.noteReports([reportOf('s', { state: 'reconnecting' })], 2000);
    expect(JSON.parse(publishAll(state)['sightline/streams/s/state']!)).toMatchObject({
      up: false,
      labels: { person: 0, dog: 0 },
      zones: { yard: 0 },
    });
  });

  it('is published when it changes, again after a new connection and each minute, and removed with its stream', () => {
    const state = stateOf();
    const topics = ['sightline/streams/s/state', 'homeassistant/device/sightline__s/config'];
    state.noteReports([reportOf('s')], 0);
    expect(Object.keys(publishAll(state))).toEqual(topics);
    state.noteReports([reportOf('s')], 1000);
    expect(publishAll(state)).toEqual({});
    state.forget();
    expect(Object.keys(publishAll(state))).toEqual(topics);
    state.noteReports([reportOf('s')], 61_000);
    expect(Object.keys(publishAll(state))).toEqual(topics);
    // Also if it goes while the broker is away.
    state.forget();
    state.noteReports([], 62_000);
    expect(publishAll(state)).toEqual(Object.fromEntries(topics.map((each) => [each, ''])));
    expect(publishAll(state)).toEqual({});
  });

  it('of a stream that is gone keeps nothing, and labels are bounded', () => {
    const state = stateOf(false, []);
    const many = Array.from({ length: 300 }, (_, i) => ({ ...person, label: `label ${i}` }));
    state.noteReports([reportOf('s')], 0);
    state.noteResult(frameOf(1, many));
    state.noteReports([reportOf('s')], 1000);
    const { labels } = JSON.parse(publishAll(state)['sightline/streams/s/state']!) as { labels: object };
    expect(Object.keys(labels)).toHaveLength(100);
    state.noteReports([], 2000);
    state.noteReports([reportOf('s')], 3000);
    expect(JSON.parse(publishAll(state)['sightline/streams/s/state']!)).toMatchObject({ labels: {} });
  });
});

describe('the discovery of a stream by Home Assistant', () => {
  it('follows its documented schema, with hostile names too', () => {
    for (const name of ['door', HOSTILE]) {
      const state = stateOf('homeassistant', ['person', HOSTILE]);
      state.noteReports([reportOf(name, { zones: [{ id: HOSTILE, inside: 1 }] })], 0);
      const messages = publishAll(state);
      const [discovery] = Object.keys(messages).filter((each) => each.startsWith('homeassistant/'));
      expect(discovery).toMatch(DISCOVERY_TOPIC);
      const payload = DISCOVERY.parse(JSON.parse(messages[discovery!]!));
      expect(Object.keys(payload.components)).toHaveLength(6);
      const ids = Object.values(payload.components).map((each) => ('unique_id' in each ? each.unique_id : ''));
      expect(new Set(ids).size).toBe(6);
      // No name can end the literal that it is in.
      for (const component of Object.values(payload.components))
        if ('value_template' in component) expect(component.value_template).not.toMatch(/evil \||\n|\}\}.*\}\}/);
      expect(Object.keys(messages)).toContain(payload.state_topic);
    }
  });

  it('removes the entities of a zone that is gone', () => {
    const earlier = new Map<string, string>();
    const stream = { id: 'door', labels: ['person'], stateTopic: 't/s', statusTopic: 't/h' };
    discoveryOf('sightline__door', { ...stream, zones: ['yard', 'gate'] }, earlier);
    const { components } = DISCOVERY.parse(discoveryOf('sightline__door', { ...stream, zones: ['gate'] }, earlier));
    expect(components.zone__yard).toEqual({ platform: 'sensor' });
    expect(components.zone__yard__occupied).toEqual({ platform: 'binary_sensor' });
    expect(components.zone__gate).toMatchObject({ value_template: '{{ value_json.zones.get("gate", 0) }}' });
  });
});

describe('the templates of a stream', () => {
  it('give its values in the language of Home Assistant, with hostile names too, if Python has it', ({ skip }) => {
    if (spawnSync('python3', ['-c', 'import jinja2']).status !== 0) skip('Python has no jinja2');
    const stream = { id: 's', labels: ['person', HOSTILE], zones: [HOSTILE], stateTopic: 's', statusTopic: 'h' };
    const state = { up: true, targetMissed: false, labels: { person: 2, [HOSTILE]: 5 }, zones: { [HOSTILE]: 3 } };
    const { components } = DISCOVERY.parse(discoveryOf('sightline__s', stream, new Map()));
    const templates = Object.values(components).map((each) => ('value_template' in each ? each.value_template : ''));
    const script = `import sys, json, jinja2.sandbox as s
d = json.load(sys.stdin)
print(json.dumps([s.SandboxedEnvironment().from_string(t).render(value_json=d['state']) for t in d['templates']]))`;
    const { stdout, stderr } = spawnSync('python3', ['-c', script], {
      input: JSON.stringify({ state, templates }),
      encoding: 'utf8',
    });
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toEqual(['ON', 'OFF', '2', '5', '3', 'ON']);
  });
});

describe('a name', () => {
  it('never gives two streams one topic or one identifier, nor a character with a meaning', () => {
    const text = fc.string({ unit: 'binary', minLength: 1 }).filter((each) => Buffer.from(each).toString() === each);
    fc.assert(
      fc.property(text, text, (a, b) => {
        expect(topicLevel(a)).toMatch(/^[A-Za-z0-9_%-]+$/);
        expect(identifierOf(a)).toMatch(/^[A-Za-z0-9_-]+$/);
        expect(topicLevel(a) === topicLevel(b)).toBe(a === b);
        expect(identifierOf(a) === identifierOf(b)).toBe(a === b);
        expect(decodeURIComponent(topicLevel(a))).toBe(a);
      }),
    );
  });
});
