import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { ModelSpec } from '../../../../src/base/core/model.ts';
import { isSecretName } from '../../../../src/base/core/redact.ts';
import { StreamRules } from '../../../../src/fleet/control/orders/stream-rules.ts';
import { changesBetween, fixedBetween, rolledSettings } from '../../../../src/fleet/control/rollout/stream-changes.ts';
import { type Arrangement, laneKey } from '../../../../src/frame/runtime/stream/arrangement.ts';
import { laneStream } from '../../../../src/frame/runtime/stream/lane-stream.ts';
import { LEVERS } from '../../../../src/lab/optimize/levers/levers.ts';
import { pipelineConfig } from '../../../../src/serve/pipeline/pipeline.ts';
import { inspect } from '../../../../src/settings/config/check.ts';
import { parseStream } from '../../../../src/settings/config/parse-stream.ts';
import {
  jsonSchemaOf,
  keysMarked,
  mark,
  marksOf,
  optionsOf,
  type SchemaNode,
} from '../../../../src/settings/config/schema-text.ts';
import { shownSettings } from '../../../../src/settings/config/shown-settings.ts';
import { LANE_KEYS, type StreamConfig, streamConfig } from '../../../../src/settings/config/stream.ts';
import { OTHER_VALUES } from '../../../support/sample-steps.ts';

const SECRET = 'hunter2';
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

/** A sink as somebody may add one. */
const madeUp = z.strictObject({
  type: z.literal('made-up').describe('x'),
  password: z
    .string()
    .min(20)
    .meta(mark({ secret: true }))
    .optional()
    .describe('x'),
  pin: z
    .int()
    .min(9)
    .meta(mark({ secret: true }))
    .describe('x'),
  address: z
    .string()
    .meta(mark({ secret: 'receiver' }))
    .describe('x'),
  keyPath: z
    .string()
    .meta(mark({ secret: false }))
    .default('a')
    .describe('x'),
  logins: z
    .record(z.string(), z.array(z.string()))
    .meta(mark({ secret: true }))
    .default({})
    .describe('x'),
  apiKey: z.string().optional().describe('x'),
});
const withMadeUp = z.strictObject({
  sinks: z.array(z.discriminatedUnion('type', [madeUp, z.strictObject({ type: z.literal('other') })])),
});

describe('a setting that is marked as a secret', () => {
  const sink = {
    type: 'made-up',
    password: SECRET,
    pin: 12345,
    address: `https://hooks.example/${SECRET}`,
    keyPath: '/a/b',
    logins: { bob: [SECRET] },
    apiKey: SECRET,
  };

  it('is hidden wherever settings are shown, of whatever kind it is, with all that lies below it', () => {
    expect(shownSettings(withMadeUp, { sinks: [sink] })).toEqual({
      sinks: [
        {
          type: 'made-up',
          password: '***',
          pin: '***',
          address: 'https://hooks.example',
          keyPath: '/a/b',
          logins: { bob: ['***'] },
          apiKey: '***',
        },
      ],
    });
  });

  it('is not in the message that refuses it, nor in that about the section which has it', () => {
    const faults = [
      ...inspect(withMadeUp, { sinks: [{ ...sink, pin: 3 }] }).faults,
      ...inspect(withMadeUp, { sinks: { 0: sink } }).faults,
      ...inspect(z.strictObject({ sink: madeUp }), { sink: [sink] }).faults,
    ];
    expect(faults.join()).toMatch(/password: expected at least 20 characters, received 7 characters/);
    expect(faults.join()).toMatch(/pin: expected .*, received 1 characters/);
    expect(faults.join()).not.toMatch(/hunter2|12345/);
  });

  it('is known by its name where no schema has it', () => {
    const unknown = { type: 'x', token: [SECRET], headers: { 'X-Any': SECRET } };
    expect(shownSettings(pipelineConfig, { sinks: [unknown] })).toEqual({
      sinks: [{ type: 'x', token: ['***'], headers: { 'X-Any': '***' } }],
    });
  });

  it('cannot be forgotten: one whose name is like that of a secret says whether it is one', () => {
    const missing: string[] = [];
    const visit = (node: SchemaNode, at: string): void => {
      for (const option of optionsOf(node) ?? []) visit(option, at);
      if (typeof node.items === 'object') visit(node.items as SchemaNode, `${at}[]`);
      for (const [key, child] of Object.entries(node.properties ?? {})) {
        const marks = marksOf(child as SchemaNode);
        if (isSecretName(key) && marks.secret === undefined) missing.push(`${at}.${key}`);
        visit(child as SchemaNode, `${at}.${key}`);
      }
    };
    visit(jsonSchemaOf(pipelineConfig), '');
    expect(missing).toEqual([]);
  });

  it('still shows where files are', () => {
    const gateway = {
      tokensFile: '/etc/sightline/tokens.json',
      tls: { cert: '/etc/tls/a.pem', key: '/etc/tls/a.key' },
    };
    expect(shownSettings(pipelineConfig, { gateway })).toEqual({ gateway });
  });

  it('keeps its value if a client writes back what it was shown', async () => {
    const rules = new StreamRules({ defaults: {}, admit: () => undefined });
    const source = `rtsp://bob:${SECRET}@camera.example/1`;
    const stream = parseStream({ id: 'a', source, labels: ['person'] }, {});
    expect(await rules.rewritten(stream, { ...shownSettings(streamConfig, stream), every: 3 })).toEqual({
      ...stream,
      every: 3,
    });
  });

  it('and so does a part of a list of which another entry, or another key of the same entry, was edited', async () => {
    const rules = new StreamRules({ defaults: {}, admit: () => undefined });
    // It looks like the query of an address.
    const when = 'size > 0.2 ?label=="car":true';
    const events = ['a', 'b'].map((id) => ({ id, kind: 'appears', when, clip: { before: '5s' } }));
    const stream = parseStream({ id: 'a', source: 'a.mp4', events }, {});
    const shown = structuredClone(shownSettings(streamConfig, stream).events) as unknown as Record<string, unknown>[];
    expect(shown[0]!.when).toContain('***');
    const edited = [{ ...shown[1], cooldown: '9s' }, { id: 'new', kind: 'appears', when: 'age > 3' }, shown[0]];
    expect((await rules.changed(stream, { events: edited })).events).toMatchObject([
      { id: 'b', when, cooldown: '9s' },
      { id: 'new', when: 'age > 3' },
      { id: 'a', when, cooldown: '0s' },
    ]);
  });
});

describe('a setting of a stream', () => {
  const plain = parseStream({ id: 'cam', source: 'a.mp4' }, {});
  const keyOf = (config: StreamConfig): string =>
    laneKey({ config, instance: 'default', beside: null } satisfies Arrangement, () => SPEC);
  const withSetting = (key: string): StreamConfig => ({ ...plain, [key]: 'made up' });

  it.each(Object.keys(LANE_KEYS) as (keyof typeof LANE_KEYS)[])(
    'that is new in the group "%s" opens the source again when it changes',
    (group) => {
      const keys = LANE_KEYS[group] as unknown as string[];
      expect(keyOf(withSetting('madeUp'))).toBe(keyOf(plain));
      keys.push('madeUp');
      try {
        expect(keyOf(withSetting('madeUp'))).not.toBe(keyOf(plain));
      } finally {
        keys.pop();
      }
    },
  );

  it('that a lane may change while it reads is sent to it', () => {
    const keys = LANE_KEYS.pace as unknown as string[];
    const rest = { ffmpeg: null, preview: null, hashesInput: false } as never;
    const input = { source: null, imagePaths: null, label: 'a', policy: 'file', picture: null } as const;
    const place = { nextFrame: 0, mediaTime: () => null, after: null } as never;
    const shared = { second: null, changeGate: null, findsShift: false, keepsInput: false };
    keys.push('madeUp');
    try {
      const message = laneStream(withSetting('madeUp'), input, rest, rest, { handle: null } as never, place, shared);
      expect(message).toMatchObject({ madeUp: 'made up', maxFps: null, every: 1 });
    } finally {
      keys.pop();
    }
  });

  it('that a version of a roll-out changes, or must not, is marked', () => {
    const of = (marked: 'changes' | 'fixed') => keysMarked(streamConfig, 'rollout', marked);
    const [from, to] = [plain, { ...plain, every: 4, region: 'zones', labels: ['person'], priority: 9 }].map((stream) =>
      rolledSettings({ defaults: {}, streams: [stream] }),
    );
    expect(changesBetween(from!, to!).byId.cam).toEqual({ every: 4 });
    expect(fixedBetween(from!, to!)).toEqual(['region of cam']);
    const madeUpStream = z.strictObject({
      a: z
        .int()
        .default(1)
        .meta(mark({ rollout: 'changes' }))
        .describe('x'),
      b: z.int(),
    });
    expect(keysMarked(madeUpStream, 'rollout', 'changes')).toEqual(['a']);
    expect(of('fixed')).toEqual(['region', 'tiles', 'masks']);
  });

  it('that a lever of the optimiser writes can be rolled out', () => {
    const written = Object.values(LEVERS).flatMap((lever) =>
      Object.keys(lever.writeStream?.(plain, OTHER_VALUES) ?? {}),
    );
    const rolled = keysMarked(streamConfig, 'rollout', 'changes');
    expect(written.length).toBeGreaterThan(3);
    expect(written.filter((key) => !rolled.includes(key))).toEqual([]);
  });
});
