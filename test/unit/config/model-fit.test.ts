import { describe, expect, it } from 'vitest';
import { modelFaults } from '../../../src/config/model-fit.ts';
import { StreamRules } from '../../../src/control/orders/stream-rules.ts';
import { parseStream } from '../../../src/pipeline/load-pipeline.ts';

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
