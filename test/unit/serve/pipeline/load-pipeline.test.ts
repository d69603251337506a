import { mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { SightlineError } from '../../../../src/base/errors/sightline-error.ts';
import { inspectPipeline, loadPipeline, parsePipeline } from '../../../../src/serve/pipeline/load-pipeline.ts';
import { ENGINES } from '../../../../src/settings/config/model-config.ts';
import { parseStream } from '../../../../src/settings/config/parse-stream.ts';
import { makePipe } from '../../../support/made-pipe.ts';

const HEAD = 'name: a\ndescription: b\n';
const SHIPPED = 'pipelines';

/** The error message for a document, without the file name. */
function complaintOf(text: string): string {
  try {
    parsePipeline(text, 'p.yaml');
  } catch (error) {
    expect(error).toBeInstanceOf(SightlineError);
    expect((error as SightlineError).code).toBe('CONFIG_INVALID');
    return (error as SightlineError).message.replace(/^p\.yaml: /, '');
  }
  return 'accepted';
}

describe('an invalid pipeline is refused with the key, the expected and the received value', () => {
  it.each([
    ['a missing key', 'description: b', 'name: expected text, received nothing'],
    ['an empty document', '', 'document: expected a section, received null'],
    ['a document that is a list', '[1, 2]', 'document: expected a section, received [1,2] (list)'],
    [
      'a number with its unit',
      `${HEAD}batch: {maxDelayMs: 4ms}`,
      'batch.maxDelayMs: expected a number from 0 to 100, received "4ms" (string)',
    ],
    [
      'a number below its range',
      `${HEAD}batch: {maxBatch: 0}`,
      'batch.maxBatch: expected a whole number from 1 to 64, received 0 (number)',
    ],
    [
      'a number above its range',
      `${HEAD}batch: {maxBatch: 65}`,
      'batch.maxBatch: expected a whole number from 1 to 64, received 65 (number)',
    ],
    [
      'a fraction instead of a whole number',
      `${HEAD}gateway: {port: 80.5}`,
      'gateway.port: expected a whole number from 0 to 65535, received 80.5 (number)',
    ],
    [
      'not a number at all',
      `${HEAD}batch: {maxBatch: .nan}`,
      'batch.maxBatch: expected a whole number from 1 to 64, received NaN (number)',
    ],
    [
      'an unknown key similar to a known one',
      `${HEAD}batch: {maxbatch: 3}`,
      'batch.maxbatch: unknown key; did you mean "maxBatch"?',
    ],
    [
      'an unknown key similar to none',
      `${HEAD}batch: {zzzzzzzz: 3}`,
      'batch.zzzzzzzz: unknown key; known are maxBatch, maxDelayMs',
    ],
    ['an unknown key at the top', `${HEAD}modell: {}`, 'modell: unknown key; did you mean "model"?'],
    [
      'an unknown key of a stream',
      `${HEAD}streams: [{id: a, source: x, qeueSize: 3}]`,
      'streams[0].qeueSize: unknown key; did you mean "queueSize"?',
    ],
    [
      'an unknown key inside a union of boolean and section',
      `${HEAD}streams: [{id: a, source: x, track: {highscore: 1}}]`,
      'streams[0].track.highscore: unknown key; did you mean "highScore"?',
    ],
    [
      'a bad value inside a union of boolean and section',
      `${HEAD}streams: [{id: a, source: x, track: {highScore: 3}}]`,
      'streams[0].track.highScore: expected a number from 0 to 1, received 3 (number)',
    ],
    [
      'a value that matches no branch of a union',
      `${HEAD}streams: [{id: a, source: x, track: 3}]`,
      'streams[0].track: expected true or false, or a section, received 3 (number)',
    ],
    [
      'a word that is not allowed',
      `${HEAD}model: {engine: tensorrt}`,
      `model.engine: expected one of ${ENGINES.map((name) => `"${name}"`).join(', ')}, received "tensorrt" (string)`,
    ],
    [
      'a name that is not allowed',
      `${HEAD}models: {default: {}, "a b": {}}`,
      "models.default: expected another name: default is the pipeline's own model; models.a b: expected letters, digits, dot, dash and underscore, at most 64",
    ],
    [
      'an alert to a sink that does not exist, or sends results',
      `${HEAD}sinks: [{type: webhook, url: "http://h/"}, {type: webhook, url: "http://h/2", send: [events]}]\nalerts: [{on: [a], to: [webhook-1]}]`,
      'alerts[0].to[0]: expected a sink that sends new events alone (send: [events]), of all streams: webhook-2; received "webhook-1"',
    ],
    [
      'an alert without channels',
      `${HEAD}alerts: [{on: [a], to: [phone], hold: soon}]`,
      'alerts[0].hold: expected a time such as 15s, 10m or 2h, at most 7d, received "soon" (string)',
    ],
    [
      'two mistakes in one sink',
      `${HEAD}sinks: [{type: jsonl, pth: x}]`,
      'sinks[0].path: expected text, received nothing; sinks[0].pth: unknown key; did you mean "path"?',
    ],
    [
      'two sinks in one file',
      `${HEAD}sinks: [{type: jsonl, path: a.jsonl}, {type: jsonl, path: "-"}, {type: jsonl, path: "-"}, {type: coco, path: ./a.jsonl}]`,
      'sinks[3].path: expected a file of its own, received "./a.jsonl", which sinks[0] writes',
    ],
    [
      'a URL with another scheme',
      `${HEAD}sinks: [{type: webhook, url: "ftp://x"}]`,
      'sinks[0].url: expected an http or https URL, received "ftp://x" (string)',
    ],
    [
      'an invalid input size',
      `${HEAD}model: {inputSize: big}`,
      'model.inputSize: expected WIDTHxHEIGHT, as in 480x256, received "big" (string)',
    ],
    [
      'a stream id with a space',
      `${HEAD}streams: [{id: "a b", source: x}]`,
      'streams[0].id: expected letters, digits, dot, dash and underscore, at most 64, received "a b" (string)',
    ],
    [
      'two streams with the same id',
      `${HEAD}streams: [{id: a, source: x}, {id: b, source: x}, {id: a, source: y}]`,
      'streams[2].id: expected a name that no other stream has, received "a" again',
    ],
    [
      'a corner outside the picture',
      `${HEAD}streams: [{id: a, source: x, zones: [{id: z, polygon: [[0, 0], [1, 2], [1, 1]]}]}]`,
      'streams[0].zones[0].polygon[1][1]: expected a number from 0 to 1, received 2 (number)',
    ],
    [
      'a zone with two corners',
      `${HEAD}streams: [{id: a, source: x, zones: [{id: z, polygon: [[0, 0], [1, 1]]}]}]`,
      'streams[0].zones[0].polygon: expected at least 3 entries, received [[0,0],[1,1]] (list)',
    ],
    [
      'incomplete boxes of the fake engine',
      `${HEAD}model: {engine: fake, fake: {rows: [1, 2]}}`,
      'model.fake.rows: expected six numbers for each box, received [1,2] (list)',
    ],
    [
      'a mistake in the defaults, reported once and not for every stream',
      `${HEAD}defaults: {queueSize: 0}\nstreams: [{id: a, source: x}, {id: b, source: y}]`,
      'defaults.queueSize: expected a whole number from 1 to 64, received 0 (number)',
    ],
    [
      'a token, which has no place in a pipeline file, without repeating it',
      `${HEAD}gateway: {token: hunter2}`,
      'gateway.token: unknown key; known are host, port, basePath, publicUrl, tokensFile, tls, allowedOrigins, frameAncestors, trustedProxies, proxyUsers, audit',
    ],
    [
      'events of the gateway, which have moved',
      `${HEAD}gateway: {events: {maxMb: 5}}`,
      'gateway.events: unknown key; events are in the history: set history.path (an SQLite file) and history.maxMb',
    ],
    [
      'a URL in the wrong place, without its password',
      `${HEAD}streams: ["rtsp://user:hunter2@camera/x"]`,
      'streams[0]: expected a section, received "rtsp://***@camera/x" (string)',
    ],
  ])('%s', (_, text, complaint) => {
    expect(complaintOf(text)).toBe(complaint);
  });

  it.each([
    ['an open bracket', `${HEAD}streams: [`, /^line 3, column 11: not valid YAML: /],
    ['a key twice', 'name: a\nname: b\n', 'line 2, column 1: not valid YAML: Map keys must be unique'],
    ['a tab as indentation', 'name: a\nmodel:\n\tname: x\n', /^line 3, column 1: not valid YAML: /],
    ['an alias without its anchor', 'name: *x\n', /^not valid YAML: an alias without its anchor/],
    ['a list that contains itself', `${HEAD}streams: &a [*a]\n`, 'not valid YAML: something that contains itself'],
    [
      'a section that contains itself',
      `${HEAD}model: &a\n  b: { c: *a }\n`,
      'not valid YAML: something that contains itself',
    ],
    [
      'lists within lists',
      `${HEAD}streams: ${'['.repeat(64)}${']'.repeat(64)}\n`,
      'not valid YAML: more than 64 lists and sections within each other',
    ],
    [
      '40,000 lists',
      `${HEAD}streams: ${'['.repeat(40_000)}${']'.repeat(40_000)}\n`,
      /: more lists and sections within each other than can be read$/,
    ],
    [
      '40,000 lists that do not end',
      `${HEAD}streams: ${'['.repeat(40_000)}`,
      /: more lists and sections within each other than can be read$/,
    ],
    [
      '40,000 sections',
      `${HEAD}streams: ${'{"a":'.repeat(40_000)}1${'}'.repeat(40_000)}\n`,
      /: more lists and sections within each other than can be read$/,
    ],
  ])('syntax: %s', (_, text, complaint) => {
    if (typeof complaint === 'string') expect(complaintOf(text)).toBe(complaint);
    else expect(complaintOf(text)).toMatch(complaint);
  });

  it.each([
    [
      'a bracket too many before it',
      'sinks:\n  - {type: jsonl, path: r}}\n  - {type: webhook, url: "http://x/", secret: SECRET-text}\n',
    ],
    ['a list too many before it', 'streams:\n  - id: a\n    zones: []]\n    source: rtsp://bob:SECRET@cam/1\n'],
    ['an alias', 'sinks:\n  - {type: webhook, secret: *SECRET}\n'],
    ['an escape', 'sinks:\n  - {type: webhook, secret: "\\qSECRET"}\n'],
    ['its key forgotten', 'streams:\n  - {id: a, rtsp://bob:SECRET@10.0.0.1/x}\n'],
    ['a colon behind it', 'streams:\n  - rtsp://bob:SECRET@h/x: gate\n'],
    ['a long word as a key', 'sinks:\n  - {type: webhook, url: "http://x/", SECRETSECRETSECRETSECRETSECRET}\n'],
  ])('with %s, a secret is not quoted', (_, text) => {
    const complaint = complaintOf(HEAD + text);
    expect(complaint).not.toBe('');
    expect(complaint).not.toContain('SECRET');
  });
});

describe('all mistakes of a file are found at once', () => {
  it('of defaults, streams, sinks and repeated names', () => {
    const text = `${HEAD}
defaults: {maxFps: 0, every: 2, weigth: 3}
model: {engine: magic}
streams:
  - {id: a, source: x, priority: high}
  - {id: a, source: y, colour: red}
sinks:
  - {type: jsonl, path: out.jsonl}
  - {type: coco, path: ./out.jsonl}
`;
    const { config, faults } = inspectPipeline(text);
    expect(config).toBeNull();
    const places = faults.map((fault) => fault.split(': ')[0]);
    expect(places).toEqual([
      ...['defaults.maxFps', 'defaults.weigth', 'model.engine', 'streams[0].priority', 'streams[1].colour'],
      ...['streams[1].id', 'sinks[1].path'],
    ]);
    expect(complaintOf(text)).toBe(faults.join('; '));
  });

  it('of the syntax, each with its place', () => {
    const { faults } = inspectPipeline('name: a\nname: b\ndescription: c\ndescription: d\n');
    expect(faults).toEqual([
      'line 2, column 1: not valid YAML: Map keys must be unique',
      'line 4, column 1: not valid YAML: Map keys must be unique',
    ]);
  });

  it('also if there are more than a message lists', () => {
    const streams = Array.from({ length: 30 }, (_, i) => ({ id: `s${i}`, source: 'x', every: 0 }));
    const { faults } = inspectPipeline(JSON.stringify({ name: 'a', description: 'b', streams }));
    expect(faults).toHaveLength(30);
    expect(complaintOf(JSON.stringify({ name: 'a', description: 'b', streams }))).toMatch(/; and 10 more$/);
  });
});

describe('a pipeline file', () => {
  it('that does not exist has another message than one that is a folder', () => {
    expect(() => loadPipeline('/nowhere/p.yaml')).toThrowError(
      expect.objectContaining({ code: 'CONFIG_NOT_FOUND', message: '/nowhere/p.yaml: no such file' }),
    );
    expect(() => loadPipeline(tmpdir())).toThrowError(
      expect.objectContaining({ code: 'CONFIG_NOT_FOUND', message: `${tmpdir()}: it is a folder, expected a file` }),
    );
  });

  it('that is a pipe, a device or a huge file is refused at once', () => {
    const folder = mkdtempSync(join(tmpdir(), 'sightline-config-'));
    const huge = join(folder, 'huge.yaml');
    writeFileSync(huge, '');
    truncateSync(huge, 10e9);
    for (const [path, why] of [
      [makePipe(join(folder, 'pipe')), /it is a pipe, expected a regular file/],
      ['/dev/zero', /it is a device, expected a regular file/],
      [huge, /it has 9\.3 GiB, at most 16 MiB are read/],
    ] as const)
      expect(() => loadPipeline(path)).toThrowError(
        expect.objectContaining({ code: 'CONFIG_NOT_FOUND', message: expect.stringMatching(why) }),
      );
    rmSync(folder, { recursive: true });
  });

  it('needs only a name', () => {
    const path = join(mkdtempSync(join(tmpdir(), 'sightline-config-')), 'p.yaml');
    writeFileSync(path, HEAD);
    const config = loadPipeline(path);
    expect(config.model.name).toBe('centernet');
    expect(config.batch).toEqual({ maxBatch: 8, maxDelayMs: 5 });
    expect(config.gateway.host).toBe('127.0.0.1');
    expect(config.streams).toEqual([]);
    // What `optimize` writes and reads again has all that was left out.
    const bare = parsePipeline('name: a\n', 'p.yaml');
    expect(parsePipeline(JSON.stringify(bare), 'p.yaml')).toEqual(bare);
  });

  it('applies its defaults to every stream that does not set the key itself', () => {
    const config = parsePipeline(
      `${HEAD}defaults: {queueSize: 7, weight: 2}\nstreams: [{id: a, source: x, weight: 3}, {id: b, source: y}]`,
      'p',
    );
    expect(config.streams.map(({ queueSize, weight }) => [queueSize, weight])).toEqual([
      [7, 3],
      [7, 2],
    ]);
  });

  const shipped = readdirSync(SHIPPED, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.yaml'));

  it('is shipped for at least the most common task, detection on live streams', () => {
    expect(shipped).toContain('live-detect.yaml');
  });

  it.each(shipped)('shipped: %s loads, and describes when to use it', (name) => {
    const config = loadPipeline(join(SHIPPED, name));
    expect(config.description.length).toBeGreaterThan(20);
  });
});

describe('a stream added over REST', () => {
  it('takes the defaults of the pipeline and can override them', () => {
    const stream = parseStream({ id: 'a', source: 'x', weight: 3 }, { queueSize: 7, weight: 2 });
    expect([stream.queueSize, stream.weight, stream.maxAgeMs]).toEqual([7, 3, 500]);
  });

  it.each([
    ['text', 'rtsp://u:hunter2@h/', 'stream: document: expected a section, received "rtsp://***@h/" (string)'],
    ['a list', [1], 'stream: document: expected a section, received [1] (list)'],
    ['no source', { id: 'a' }, 'stream: source: expected text, received nothing'],
  ])('is refused if it is %s', (_, raw, message) => {
    expect(() => parseStream(raw, {})).toThrowError(expect.objectContaining({ code: 'CONFIG_INVALID', message }));
  });
});

describe('a document with thousands of faults', () => {
  it('or with thousands of lists in each other is refused as any other', () => {
    const nested = JSON.parse(`${'['.repeat(4_000)}${']'.repeat(4_000)}`) as unknown;
    expect(() => parseStream({ id: 'a', source: nested }, {})).toThrow(/source: expected text, received \[\[/);
  });

  it('is answered with the first twenty and the number of the others, in less than it was', () => {
    const keys = Array.from({ length: 20_000 }, (_, i) => [`${'k'.repeat(i === 0 ? 60_000 : 5)}${i}`, 1]);
    let complaint = '';
    try {
      parseStream({ id: 'a', source: 'a.mp4', ...Object.fromEntries(keys) }, {});
    } catch (error) {
      complaint = (error as SightlineError).message;
    }
    expect(complaint).toMatch(/; and 19980 more$/);
    expect(complaint.length).toBeLessThan(20 * 500);
    const streams = Array.from({ length: 500 }, (_, i) => `{id: s${i}, source: a.mp4, every: 0}`);
    expect(complaintOf(`${HEAD}streams: [${streams.join(', ')}]`)).toMatch(/; and 480 more$/);
  });
});
