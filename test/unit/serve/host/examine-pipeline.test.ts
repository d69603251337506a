import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { emitOnnx } from '../../../../src/network/compile/onnx/emit-onnx.ts';
import { examinePipeline, type PipelineCheck } from '../../../../src/serve/host/examine-pipeline.ts';
import { overlayPath } from '../../../../src/serve/host/overlay/overlay-file.ts';
import { manifestText, tinyYolov8 } from '../../../support/tiny-models.ts';

describe('the check of a pipeline file', () => {
  let folder: string;
  let path: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sightline-check-'));
    path = join(folder, 'p.yaml');
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const check = (parts: object, usesOverlay = true, variables = {}): Promise<PipelineCheck> => {
    const model = { engine: 'fake', inputSize: '160x96' };
    writeFileSync(path, JSON.stringify({ name: 'day', description: 'Some cameras.', model, ...parts }));
    const environment = {
      ffmpegPath: undefined,
      searchPath: '',
      modelPath: [],
      cacheDir: folder,
      token: undefined,
      variables,
    };
    return examinePipeline(path, { environment, usesOverlay, address: {} });
  };

  it('lists what would be opened, without passwords', async () => {
    const result = await check({
      streams: [
        { id: 'door', source: 'rtsp://bob:hunter2@camera.example/1', restream: 'rtsp://bob:hunter3@media.example/1' },
      ],
      sinks: [
        { type: 'jsonl', path: '/out/day.jsonl' },
        { type: 'webhook', url: 'https://bob:hunter2@hooks.example/a', streams: ['door'] },
      ],
      gateway: { port: 9000 },
    });
    expect(result).toEqual({
      path,
      isValid: true,
      mistakes: [],
      warnings: [],
      opens: {
        name: 'day',
        model: { name: 'centernet', input: '160x96', engine: 'fake', provider: 'cpu', precision: 'auto' },
        streams: [
          {
            id: 'door',
            source: 'rtsp://***@camera.example/1',
            isPaused: false,
            from: 'file',
            restream: 'rtsp://***@media.example/1',
          },
        ],
        sinks: [
          { id: 'jsonl-1', to: '/out/day.jsonl', streams: null },
          { id: 'webhook-2', to: 'https://***@hooks.example', streams: ['door'] },
        ],
        models: [],
        stages: [],
        gateway: { host: '127.0.0.1', port: 9000, tls: false },
        overlay: null,
      },
    });
  });

  it('finds second stages that do not fit: models, labels, zones, chains, attributes', async () => {
    const manifest = (name: string, outputs: object, more: object = {}): string => {
      const text = {
        name,
        family: 'heads',
        description: 'd',
        licence: null,
        reported: null,
        format: 'onnx',
        files: [{ name: 'none.onnx', sha256: null, sources: ['file:none.onnx'] }],
        input: {
          tensor: 'x',
          layout: 'nchw',
          width: 8,
          height: 8,
          colours: 'rgb',
          range: [0, 1],
          resize: { mode: 'stretch' },
        },
        outputs,
        batch: 1,
        classes: ['a', 'b'],
        nmsIou: null,
        scoreThreshold: 0.3,
        maxDetections: 1,
        ...more,
      };
      writeFileSync(join(folder, `${name}.yaml`), JSON.stringify(text));
      return join(folder, `${name}.yaml`);
    };
    const one = { name: manifest('one', { one: 'x' }), engine: 'fake' };
    const two = { name: manifest('two', { type: 'x', b: 'y' }), engine: 'fake' };
    const stages = [
      { name: 'b', model: one, on: { labels: ['pers'], zone: 'yard' } },
      { name: 'more', model: two },
      { name: 'last', model: { engine: 'fake' }, on: { from: 'b' } },
      { name: 'none', model: { name: 'no-such-model' } },
    ];
    const { mistakes } = await check({ stages, streams: [{ id: 's', source: 'demo', zones: [] }] });
    expect(mistakes).toEqual([
      expect.stringMatching(/^stages\[3\]\.model: model no-such-model: no manifest has this name/),
      'stages[0].on.zone: expected a zone of a stream: there is none; received "yard"',
      expect.stringMatching(
        /^stages\[0\]\.on\.labels\[0\]: expected a class of the model, received "pers"; it has person/,
      ),
      'stages[1].name: expected an attribute of its own; "b" gives b, too',
      'stages[2].on.from: expected detector, or a second stage whose model is a detector; "b" is of family heads',
    ]);
    const aligned = async (model: object, on: object = {}) =>
      (await check({ model, stages: [{ name: 'b', model: one, on: { align: 'keypoints', ...on } }] })).mistakes;
    const template = [[0, 0], null, [1, 1]];
    const poses = (keypoints: number): object => ({
      name: manifest(`poses-${keypoints}`, { predictions: 'x' }, { family: 'yolov8-pose', keypoints }),
      engine: 'fake',
    });
    expect(await aligned({ engine: 'fake' })).toEqual([
      'stages[0].on.align: expected a detector with key points; "detector" finds boxes',
    ]);
    expect(await aligned(poses(17))).toEqual([
      'stages[0].on.template: expected one, since only faces of 5 points have one of their own; "detector" finds 17 points',
    ]);
    expect(await aligned(poses(5), { template })).toEqual([
      'stages[0].on.template: expected 5 points, one for each key point; received 3',
    ]);
    expect([await aligned(poses(5)), await aligned(poses(3), { template })]).toEqual([[], []]);
    // Of a second stage that finds faces.
    const faces = { name: 'face', model: poses(5) };
    const from = async (model: object, on: object) =>
      (
        await check({
          stages: [
            { ...faces, model },
            { name: 'b', model: one, on: { from: 'face', ...on } },
          ],
        })
      ).mistakes;
    expect(await from(poses(5), { align: 'keypoints' })).toEqual([]);
    expect(await from({ engine: 'fake' }, { align: 'keypoints' })).toEqual([
      'stages[1].on.align: expected a detector with key points; "face" finds boxes',
    ]);
    const masks = {
      name: manifest('masks', { predictions: 'x', prototypes: 'y' }, { family: 'yolov8-seg' }),
      engine: 'fake',
    };
    expect(await from(masks, {})).toEqual([
      'stages[0].model: expected boxes, key points, oriented boxes, classes, text or a vector; it finds masks',
    ]);
    const { mistakes: own } = await check({ model: one });
    expect(own).toEqual([
      expect.stringContaining('model: expected a detector; one reads crops of objects (family heads)'),
    ]);
  });

  it('warns of second stages that have nothing to look at on a stream that names them, and of no others', async () => {
    const model = { engine: 'fake', inputSize: '160x96' };
    const stages = [
      { name: 'look', model, on: { labels: ['car', 'person'] } },
      { name: 'yard', model, on: { zone: 'yard' } },
      { name: 'inner', model, on: { from: 'yard' } },
      { name: 'last', model, on: { from: 'inner', labels: ['person'] } },
      { name: 'pose', model, on: { from: 'look' } },
    ];
    const stream = (id: string, settings: object): object => ({ id, source: 'demo', ...settings });
    const yard = { id: 'yard', polygon: [[0, 0], [1, 0], [1, 1]] }; // biome-ignore format: a triangle
    const { mistakes, warnings } = await check({
      stages,
      streams: [
        stream('all', { zones: [yard], stages: stages.map(({ name }) => name) }),
        stream('any', {}),
        stream('one', { labels: ['person'], stages: ['look'] }),
        stream('other', { labels: ['dog'], stages: ['look', 'pose'] }),
        stream('zone', { stages: ['last', 'inner', 'yard'] }),
        stream('chain', { stages: ['pose'] }),
      ],
    });
    expect(mistakes).toEqual([]);
    expect(warnings).toEqual(
      [
        'stream "other": stages[0].on.labels[0]: expected a class of the model, received "car"; it has dog; "look"',
        'stream "other": stages[4].on.from: "look" finds nothing here; "pose"',
        'stream "zone": stages[1].on.zone: expected a zone of the stream: there is none; received "yard"; "yard"',
        'stream "zone": stages[2].on.from: "yard" finds nothing here; "inner"',
        'stream "zone": stages[3].on.from: "inner" finds nothing here; "last"',
        'stream "chain": stages[4].on.from: expected one that the stream names, too; received "look"; "pose"',
      ].map((text) => `${text} looks at nothing here`),
    );
  });

  it('reads the files of models and second stages: outputs and sizes that they do not have are mistakes', async () => {
    const manifest = (name: string, text: string): string => {
      writeFileSync(join(folder, `${name}.yaml`), text);
      return join(folder, `${name}.yaml`);
    };
    writeFileSync(join(folder, 'tiny.onnx'), emitOnnx(tinyYolov8(2)));
    const text = manifestText('tiny', 'tiny.onnx');
    const small = { name: manifest('small', text.replace('tensor: images', 'tensor: picture')), engine: 'onnx' };
    const other = { name: manifest('other', text.replaceAll('64', '640').replace(': out }', ': boxes }')) };
    const { mistakes } = await check({ model: small, stages: [{ name: 'look', model: other }] });
    expect(mistakes).toEqual([
      expect.stringMatching(/^model: .*: expected the network to have the input picture; it has images$/),
      expect.stringMatching(/^stages\[0\]\.model: .*: expected the network to have the output boxes; it has out$/),
    ]);
  });

  it('finds a number format in which a quantised file cannot be computed', async () => {
    const tiny = tinyYolov8(1);
    const quantiser = {
      ...tiny.nodes[0]!,
      op: 'QuantizeLinear',
      name: 'q',
      inputs: ['images', 'shape'],
      outputs: ['q'],
    };
    const file = join(folder, 'tiny.onnx');
    writeFileSync(file, emitOnnx({ ...tiny, nodes: [...tiny.nodes, quantiser] }));
    const manifest = join(folder, 'tiny.yaml');
    writeFileSync(manifest, manifestText('tiny', 'tiny.onnx').replaceAll('64', '640'));
    const of = async (precision: string): Promise<readonly string[]> => {
      const look = { name: 'look', model: { name: manifest, engine: 'onnx', precision } };
      return (await check({ stages: [look] })).mistakes;
    };
    expect(await of('f32')).toEqual([
      'stages[0].model: engine onnx: tiny is quantised and computed in int8, received precision f32; use auto or int8',
    ]);
    expect(await of('auto')).toEqual([]);
  });

  it('warns of rules that wait for attributes which no second stage of their stream gives', async () => {
    const rule = (id: string, when: string): object => ({ id, kind: 'appears', labels: ['person'], when });
    const events = [
      rule('a', 'attributes.look == "x"'),
      rule('b', 'attributes["colr"] == "red" || attributes.look == "y"'),
    ];
    const text = manifestText('one', 'none.onnx')
      .replace('yolox', 'heads')
      .replace('{ predictions: out }', '{ one: out }');
    writeFileSync(join(folder, 'one.yaml'), text);
    const stages = [{ name: 'look', model: { name: join(folder, 'one.yaml'), engine: 'fake' } }];
    const stream = { source: 'synthetic:testsrc2', track: true, events };
    const { warnings } = await check({
      stages,
      streams: [
        { ...stream, id: 'seen' },
        { ...stream, id: 'none', stages: [] },
      ],
    });
    expect(warnings.filter((text) => text.includes('attributes'))).toEqual([
      'stream "seen": events[1].when: expected attributes of its second stages: look; received colr, which nothing sets',
      ...[0, 1].flatMap((i) =>
        (i === 0 ? ['look'] : ['colr', 'look']).map(
          (name) =>
            `stream "none": events[${i}].when: expected attributes of its second stages: there are none; received ${name}, which nothing sets`,
        ),
      ),
    ]);
  });

  it('finds them beside mistakes in the settings, each once', async () => {
    const { isValid, mistakes, opens } = await check({
      model: { name: 'no-such-model', colour: 'red' },
      defaults: { evry: 2 },
      streams: [
        { id: 'a', source: 'rstp://camera.example/1', maxFsp: 3 },
        { id: 'b', source: 'synthetic:movie=/etc/passwd', every: 0 },
        { source: 'rtsp://camera.example/2' },
        { id: 'd', source: `rtsp://u:${'$'}{env:ABSENT}@camera.example/3` },
      ],
      sinks: [{ type: 'jsonl', path: 'a.jsonl', streams: ['nobody'] }],
      limits: { streams: 'many' },
    });
    expect([isValid, opens]).toEqual([false, null]);
    const expected = [
      /evry: unknown key/,
      /colour: unknown key/,
      /maxFsp: unknown key/,
      /streams\[1\]\.every/,
      /streams\[2\]\.id/,
      /limits\.streams/,
      /ABSENT is not set/,
      /model no-such-model/,
      /"a": .*rtsp:\/\/\?/,
      /"b"/,
    ];
    for (const what of expected) expect(mistakes.filter((text) => what.test(text))).toHaveLength(1);
    expect(mistakes).toHaveLength(expected.length);
  });

  it.each([
    [
      { beatMs: 4000, leaseMs: 5000 },
      /^fleet\.beatMs: expected a whole number from 100 to 2000, received 4000 \(number\)$/,
    ],
    [
      { beatMs: 1001, leaseMs: 2000 },
      /^fleet\.beatMs: expected at most half of leaseMs, so that one lost heartbeat costs no stream, received 1001 /,
    ],
    [{ leaseMs: 1500 }, /fleet\.beatMs: expected at most half of leaseMs/],
  ])('finds heartbeats that a host would refuse: %o', async (fleet, mistake) => {
    const { mistakes } = await check({ fleet });
    expect(mistakes).toEqual([expect.stringMatching(mistake)]);
    expect((await check({ fleet: { beatMs: 2000, leaseMs: 4000 } })).isValid).toBe(true);
  });

  it('finds all mistakes at once that the settings alone do not show', async () => {
    const { isValid, mistakes } = await check({
      model: { name: 'no-such-model' },
      streams: [
        { id: 'a', source: 'rstp://camera.example/1' },
        { id: 'b', source: 'synthetic:movie=/etc/passwd' },
        { id: 'c', source: 'rtsp://' },
        { id: 'd', source: 'rtsp://***@camera.example/1' },
      ],
      gateway: { host: '0.0.0.0', tokensFile: join(folder, 'none.json') },
      tls: { caFile: join(folder, 'none.pem') },
      fleet: { networks: ['10.0.0.0/99'] },
    });
    expect(isValid).toBe(false);
    for (const [i, what] of [
      /no-such-model/,
      /"a": .*rtsp:\/\//,
      /"b"/,
      /"c"/,
      /"d": .*hidden/,
      /networks/,
      /caFile/,
      /none\.json/,
    ].entries())
      expect(mistakes[i]).toMatch(what);
    expect(mistakes).toHaveLength(8);
  });

  it('warns of what is missing here or cannot be met, and is valid', async () => {
    const { isValid, warnings } = await check({
      streams: [
        { id: 'late', source: join(folder, 'late.mp4') },
        { id: 'fast', source: 'rtsp://camera.example/1', every: 10, target: { fps: 20 } },
        {
          id: 'gate',
          source: 'demo',
          track: true,
          maxFps: 1,
        },
      ],
      sinks: [
        { type: 'jsonl', path: join(folder, 'x.jsonl'), streams: ['gone'], filter: { labels: ['person', 'yeti'] } },
        { type: 'webhook', url: 'http://h/', send: ['events'] },
      ],
      alerts: [{ on: ['nope'], streams: ['gate', 'zz'], to: ['webhook-2'] }],
    });
    expect(isValid).toBe(true);
    for (const [i, what] of [
      /"late": .*no such file.*until it appears/,
      /"fast": target\.fps 20 with every 10 needs/,
      /"gate": 1 frames\/s are too few to follow objects/,
      /sinks\[0\]\.streams: there is no stream gone/,
      /sinks\[0\]\.filter\.labels\[1\]: expected a class of the model, received "yeti"/,
      /alerts\[0\]\.streams: there is no stream zz now/,
      /alerts\[0\]\.on: no stream has a rule nope now/,
    ].entries())
      expect(warnings[i]).toMatch(what);
    expect(warnings).toHaveLength(7);
  });

  it('names labels that the model lacks, and a threshold below its own, as mistakes', async () => {
    const { isValid, mistakes } = await check({
      streams: [
        {
          id: 'gate',
          source: 'demo',
          labels: ['person', 'bycicle'],
          scoreThreshold: 0.1,
          lines: [{ id: 'l', from: [0, 0], to: [1, 1], labels: ['unicorn'] }],
        },
      ],
    });
    expect(isValid).toBe(false);
    expect(mistakes).toEqual([
      expect.stringMatching(/^stream "gate": labels\[1\]: expected .* received "bycicle"; it has bicycle, /),
      expect.stringMatching(/^stream "gate": lines\[0\]\.labels\[0\]: .* received "unicorn"/),
      expect.stringMatching(/^stream "gate": scoreThreshold: expected at least 0\.3, .* received 0\.1/),
    ]);
  });

  it('warns of days for labels that the model lacks, and of clips that go earlier than their labels say', async () => {
    const clip = { events: [{ id: 'in', kind: 'appears', clip: {} }], track: true };
    const checked = (more: object, labelDays: object = { person: 91, car: 90, bycicle: 3 }) =>
      check({ recording: { labelDays }, streams: [{ id: 'gate', source: 'demo', ...more }] });
    const unknown = expect.stringMatching(
      /^recording\.labelDays\.bycicle: expected a class of the model, received "bycicle"; it has bicycle, /,
    );
    const short = expect.stringMatching(/^recording\.labelDays\.person: recordings are kept 91 days, clips .* 90 \(/);
    expect((await checked(clip)).warnings).toEqual([short, unknown]);
    expect(await checked({})).toMatchObject({ isValid: true, warnings: [unknown] });
    expect((await checked(clip, { car: '3d' })).mistakes).toEqual([
      expect.stringMatching(/recording\.labelDays\.car: expected .*number.*, received "3d"/),
    ]);
  });

  it('judges what placeholders stand for, and shows them as they are written', async () => {
    const streams = [
      { id: 'a', source: '$'.concat('{env:WHOLE}') },
      { id: 'b', source: `rtsp://${'$'.concat('{env:NAME}')}/x` },
      { id: 'c', source: `${'$'.concat('{env:FOLDER}')}/p.yaml` },
      { id: 'd', source: '$'.concat('{env:WRONG}') },
    ];
    const variables = {
      WHOLE: 'rtsp://u:p@camera.example/1',
      NAME: 'hidden.example',
      FOLDER: folder,
      WRONG: 'rstp://u:hidden@h/1',
    };
    const { mistakes, warnings, opens } = await check({ streams }, true, variables);
    expect(warnings).toEqual([]);
    expect(mistakes).toEqual([expect.stringMatching(/^stream "d": .*rtsp/)]);
    expect(mistakes.join()).not.toContain('hidden');
    expect(opens?.streams.map(({ source }) => source)).toEqual(streams.map(({ source }) => source));
  });

  it('has what REST changed, unless it is told not to', async () => {
    const place = { pipeline: 'day', pipelinePath: path, cacheDir: folder };
    mkdirSync(dirname(overlayPath(place)));
    const streams = { gate: { added: { source: 'demo' }, isPaused: true }, door: { isRemoved: true } };
    writeFileSync(overlayPath(place), JSON.stringify({ version: 1, pipeline: 'day', path, streams }));
    const file = { streams: [{ id: 'door', source: 'demo' }] };
    expect((await check(file)).opens).toMatchObject({
      streams: [{ id: 'gate', source: 'demo', isPaused: true, from: 'overlay' }],
      overlay: overlayPath(place),
    });
    expect((await check(file, false)).opens).toMatchObject({ streams: [{ id: 'door', from: 'file' }], overlay: null });
    // What the detectors of the file cannot fulfil is not used.
    const entries = {
      door: { changed: { model: { now: 'night' }, labels: { now: ['face'] } } },
      gate: { added: { source: 'demo', labels: ['face'] } },
      yard: { added: { source: 'demo', stages: ['look'] } },
    };
    writeFileSync(overlayPath(place), JSON.stringify({ version: 1, pipeline: 'day', path, streams: entries }));
    const unfit = await check(file);
    expect(unfit).toMatchObject({ isValid: true, opens: { streams: [{ id: 'door' }] } });
    expect(unfit.warnings).toEqual([
      'the overlay of stream "door" does not fit the pipeline file: model: expected a name of the section models: there is none; received "night"; the settings of the file are used',
      expect.stringMatching(/^the overlay of stream "gate" .*labels\[0\]: expected a class .*; it does not run$/),
      'the overlay of stream "yard" does not fit the pipeline file: stream "yard": stages: expected names of the section stages: there is none; received "look"; it does not run',
    ]);
    writeFileSync(overlayPath(place), '{');
    const damaged = await check(file);
    expect(damaged.warnings).toEqual([expect.stringMatching(/cut off or damaged.*not be used/)]);
    expect(damaged.opens?.streams.map(({ id }) => id)).toEqual(['door']);
  });

  it('of a file that is missing or no YAML says so, and opens nothing', async () => {
    const environment = { ffmpegPath: undefined, searchPath: '', modelPath: [], cacheDir: folder, token: undefined };
    const missing = await examinePipeline(path, { environment, usesOverlay: true, address: {} });
    expect(missing).toMatchObject({ isValid: false, mistakes: [expect.stringContaining('no such file')], opens: null });
    writeFileSync(path, 'name: [');
    const broken = await examinePipeline(path, { environment, usesOverlay: true, address: {} });
    expect(broken).toMatchObject({ isValid: false, opens: null });
  });
});
