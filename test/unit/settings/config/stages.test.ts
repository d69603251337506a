import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { inspectPipeline } from '../../../../src/serve/pipeline/load-pipeline.ts';

function faultsOf(stages: unknown, streams: readonly object[] = []): readonly string[] {
  return inspectPipeline(JSON.stringify({ name: 'p', description: 'd', stages, streams })).faults;
}

const stage = (name: string, from = 'detector', more: object = {}): object => ({
  name,
  model: {},
  on: { from },
  ...more,
});

describe('second stages', () => {
  it('have defaults', () => {
    const { config } = inspectPipeline(
      JSON.stringify({ name: 'p', description: 'd', stages: [{ name: 'a', model: {} }] }),
    );
    expect(config?.stages[0]).toMatchObject({
      name: 'a',
      per: 'track',
      max: 8,
      on: { from: 'detector', minPixels: 16, marginRatio: 0 },
    });
  });

  it.each([
    [
      'a name twice',
      [stage('a'), stage('a')],
      'stages[1].name: expected a name that no other second stage has, received "a" (string)',
    ],
    ['an unknown one before it', [stage('a', 'b')], 'stages[0].on.from: expected detector, received "b" (string)'],
    [
      'itself before it',
      [stage('a', 'a')],
      'stages[0].on.from: expected at most 3 second stages behind each other, without a circle, received "a" (string)',
    ],
    [
      'a circle',
      [stage('a', 'b'), stage('b', 'a')],
      'stages[0].on.from: expected at most 3 second stages behind each other, without a circle, received "b" (string)',
    ],
    [
      'a chain of four',
      [stage('a'), stage('b', 'a'), stage('c', 'b'), stage('d', 'c')],
      'stages[3].on.from: expected at most 3',
    ],
    [
      'a time without per: track',
      [stage('a', 'detector', { per: 'frame', again: '2s' })],
      'stages[0].again: expected none, since only per: track looks again',
    ],
    [
      'an unknown way',
      [stage('a', 'detector', { per: 'second' })],
      'stages[0].per: expected one of "frame", "track", "bestOfTrack"',
    ],
    [
      'a template without key points',
      [stage('a', 'detector', { on: { align: 'box', template: [[0, 0], null, [1, 1]] } })],
      'stages[0].on.template: expected none without align: keypoints',
    ],
    [
      'a template in one place',
      [stage('a', 'detector', { on: { align: 'keypoints', template: [[0.5, 0], null, [0.5, 0]] } })],
      'stages[0].on.template: expected at least two points, in different places',
    ],
    [
      'a template in pixels',
      [stage('a', 'detector', { on: { align: 'keypoints', template: [[38, 51], null, [0.5, 0]] } })],
      'stages[0].on.template[0][0]: expected a number from 0 to 1, received 38',
    ],
    ['a typing mistake', [{ ...stage('a'), modle: {} }], 'stages[0].modle: unknown key; did you mean "model"?'],
    ['the name of the detector', [stage('detector')], 'stages[0].name: expected another name'],
  ])('with %s are refused', (_, stages, fault) => {
    expect(faultsOf(stages).join('\n')).toContain(fault);
  });

  it('that a stream names must be there', () => {
    const stream = { id: 's', source: 'synthetic:testsrc2', stages: ['a', 'z'] };
    expect(faultsOf([stage('a')], [stream])).toEqual([
      'streams[0].stages[1]: expected a name of the section stages: a; received "z"',
    ]);
  });

  it('of any content are either refused with a text for each fault, or can be run: no circle, at most three deep', () => {
    const name = fc.constantFrom('a', 'b', 'c', 'd', 'detector', '', 'a b', '\u0000');
    const junk = fc.oneof(fc.anything({ maxDepth: 2 }), name);
    const on = fc.oneof(
      junk,
      fc.record(
        { from: fc.oneof(name, junk), labels: junk, minPixels: junk, zone: junk, marginRatio: fc.double() },
        { requiredKeys: [] },
      ),
      fc.record({ from: name }, { requiredKeys: [] }),
    );
    const entry = fc.oneof(
      junk,
      fc.record(
        {
          name,
          on,
          model: fc.oneof(fc.constant({}), junk),
          per: fc.oneof(fc.constantFrom('frame', 'track', 'bestOfTrack'), junk),
          again: junk,
          max: junk,
        },
        { requiredKeys: ['name', 'model'] },
      ),
      fc.record({ name, model: fc.constant({}), on }, { requiredKeys: ['name', 'model'] }),
    );
    fc.assert(
      fc.property(fc.oneof(fc.array(entry, { maxLength: 6 }), junk), (stages) => {
        let text: string;
        try {
          text = JSON.stringify({ name: 'p', description: 'd', stages });
        } catch {
          return;
        }
        const { config, faults } = inspectPipeline(text);
        if (config === null) {
          expect(faults.length).toBeGreaterThan(0);
          for (const fault of faults) expect(fault).toMatch(/^stages|unknown key/);
          return;
        }
        const byName = new Map(config.stages.map((each) => [each.name, each]));
        expect(byName.size).toBe(config.stages.length);
        for (const each of config.stages) {
          let depth = 0;
          for (let at = each.name; at !== 'detector'; at = byName.get(at)!.on.from) depth += 1;
          expect(depth).toBeLessThanOrEqual(3);
        }
      }),
      { numRuns: Number(process.env.STAGES_RUNS ?? 500) },
    );
  });
});
