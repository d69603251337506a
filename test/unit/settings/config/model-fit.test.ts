import { describe, expect, it } from 'vitest';
import { StreamRules } from '../../../../src/fleet/control/orders/stream-rules.ts';
import { allClasses, foundDifference, modelFaults } from '../../../../src/settings/config/model-fit.ts';
import { parseStream } from '../../../../src/settings/config/parse-stream.ts';

const MODEL = { spec: { classes: ['person', 'bicycle', 'car', 'parking meter'] }, scoreThreshold: 0.3 };
const polygon = [
  [0, 0],
  [1, 0],
  [1, 1],
];

const made = (settings: object) => parseStream({ id: 'cam', source: 'rtsp://camera/1', ...settings }, {});

describe('settings that a model cannot fulfil', () => {
  it.each<[string, object, string[]]>([
    ['known labels', { labels: ['car', 'person'], scoreThreshold: 0.3 }, []],
    ['none', {}, []],
    [
      'a label with a typing mistake: the class that was meant comes first',
      { labels: ['person', 'bycicle'] },
      ['labels[1]: expected a class of the model, received "bycicle"; it has bicycle, '],
    ],
    [
      'labels of a zone and of a line',
      {
        zones: [{ id: 'z', polygon, labels: ['Person'] }],
        lines: [{ id: 'l', from: [0, 0], to: [1, 1], labels: ['cars'] }],
      },
      ['zones[0].labels[0]: expected a class of the model, received "Person"; it has person, ', 'lines[0].labels[0]: '],
    ],
    [
      'a threshold below that of the model',
      { scoreThreshold: 0.29 },
      ['scoreThreshold: expected at least 0.3, below which the model reports nothing'],
    ],
  ])('%s', (_, settings, expected) => {
    const faults = modelFaults(made(settings), MODEL);
    expect(faults).toEqual(expected.map((text) => expect.stringContaining(text)));
  });

  it('of many classes names twelve and counts the others', () => {
    const classes = Array.from({ length: 80 }, (_, i) => `class ${i}`);
    const [fault] = modelFaults(made({ labels: ['clas 7'] }), { spec: { classes }, scoreThreshold: 0 });
    expect(fault).toMatch(/it has class 7, (?:class \d+, ){10}class \d+ and 68 more$/);
  });

  it('are refused in a new stream and in a change; what did not fit before does not hold up other changes', async () => {
    const rules = new StreamRules({ defaults: {}, admit: () => undefined, modelOf: () => MODEL });
    await expect(rules.added({ id: 'a', source: 'a', labels: ['x'] })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    });
    const old = made({ labels: ['x'] });
    expect(await rules.changed(old, { priority: 3 })).toMatchObject({ priority: 3, labels: ['x'] });
    await expect(rules.changed(old, { labels: ['x', 'y'] })).rejects.toMatchObject({
      message: expect.stringMatching(/^stream "cam": labels\[1\]: /),
    });
    expect((await rules.changed(old, { labels: null })).labels).toBeUndefined();
  });
});

describe('detectors of one pipeline', () => {
  const models = new Map<string | undefined, typeof MODEL>([
    [undefined, MODEL],
    ['night', { ...MODEL, scoreThreshold: 0.5 }],
    ['faces', { spec: { classes: ['face'] }, scoreThreshold: 0.3 }],
  ]);
  const rules = new StreamRules({ defaults: {}, admit: () => undefined, modelOf: (name) => models.get(name)! });
  const by = (model: string | null, more: object = {}) => ({
    ...made({}),
    ...(model === null ? {} : { model }),
    ...more,
  });

  it('may have other classes; a stream is held to those of its own', async () => {
    const stream = { id: 'a', source: 'a', model: 'faces' };
    expect(await rules.added({ ...stream, labels: ['face'] })).toMatchObject({ model: 'faces' });
    await expect(rules.added({ ...stream, labels: ['car'] })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });

  it('with other classes do not follow one another on a stream, in whatever direction', async () => {
    expect(await rules.replaced(by(null), by('night'))).toMatchObject({ model: 'night' });
    await expect(rules.replaced(by('night'), by('faces'))).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message:
        'stream "cam": model: "faces" cannot follow "night": expected the same 4 classes in the same order, received 1; remove the stream and add it again with the other one',
    });
    await expect(rules.replaced(by('faces'), by(null))).rejects.toThrow("the pipeline's own detector cannot follow");
    expect(await rules.replaced(by('faces'), by('faces', { priority: 2 }))).toMatchObject({ priority: 2 });
  });

  it('with other classes do not take turns on a stream', async () => {
    const times = { timeZone: 'UTC', on: ['daily 20:00-06:00'] };
    const mixed = { id: 'a', source: 'a', modelWhen: [{ model: 'faces', times }] };
    await expect(rules.added(mixed)).rejects.toThrow(
      `stream "a": modelWhen: "faces" cannot take turns with the pipeline's own detector: expected the same 4 classes`,
    );
    expect(await rules.added({ ...mixed, modelWhen: [{ model: 'night', times }] })).toMatchObject({ id: 'a' });
  });

  it('differ by their classes, the order of them, and what they find', () => {
    const pose = { classes: ['person'], task: 'keypoints', keypoints: 17 } as const;
    expect(foundDifference(pose, pose)).toBeNull();
    expect(foundDifference({ classes: ['a', 'b'] }, { classes: ['b', 'a'] })).toContain('in the same order');
    expect(foundDifference(pose, { ...pose, keypoints: 5 })).toBe('expected task keypoints 17, received keypoints 5');
    expect(foundDifference({ classes: ['person'] }, pose)).toBe('expected task boxes, received keypoints 17');
  });

  it('have all classes together: those of the first keep their numbers', () => {
    const lists = [
      ['a', 'b', 'a'],
      ['c', 'b'],
      ['c', 'd'],
    ];
    expect(allClasses(lists.map((classes) => ({ classes })))).toEqual(['a', 'b', 'a', 'c', 'd']);
    expect(allClasses([])).toEqual([]);
  });
});
