import { describe, expect, it } from 'vitest';
import { ruleConfig } from '../../../src/settings/config/event-rules.ts';
import { jsonSchemaOf } from '../../../src/settings/config/schema-text.ts';
import { fullStream } from '../../support/sample-settings.ts';

/** The page is plain JavaScript, whose types are checked with it. */
const load = (file: string) => import(new URL(`../../../web/${file}`, import.meta.url).href);
const { isSame, mergeList, withChanges } = await load('settings-edits.js');
const { keysOf, useRuleSchema, typedValue, limitsText, nodeOf } = await load('rule-schema.js');
const { kindOf, moreOf, ofKind, ruleText, settingsOf, withValue } = await load('rule-kinds.js');

type Rule = Record<string, unknown> & { readonly kind: string; readonly id: string };
const RULES = fullStream('gate-1').events as readonly Rule[];

/** The part of the gateway's description of itself that the page reads. */
const described = (rules: object): object => {
  const schema = { properties: { events: { items: rules } } };
  return { paths: { '/api/streams': { post: { requestBody: { content: { 'application/json': { schema } } } } } } };
};
useRuleSchema(described(jsonSchemaOf(ruleConfig)));

describe('settings that are edited on the page', () => {
  const clip = { before: '5s', unknown: { deep: [1] } };

  it('are the same object if nothing was changed', () => {
    const rule = { id: 'a', clip };
    expect(withChanges(rule, { id: 'a', clip: structuredClone(clip), labels: undefined })).toBe(rule);
  });

  it('keep keys that are not edited, in their order, and lose only what was taken away', () => {
    const rule = { kind: 'enters', clip, zone: 'door', id: 'a', future: null };
    expect(JSON.stringify(withChanges(rule, { zone: 'yard', cooldown: '1m' }))).toBe(
      '{"kind":"enters","clip":{"before":"5s","unknown":{"deep":[1]}},"zone":"yard","id":"a","future":null,"cooldown":"1m"}',
    );
    expect(withChanges(rule, { clip: undefined })).toEqual({ kind: 'enters', zone: 'door', id: 'a', future: null });
  });

  it.each([
    [{ a: 1, b: [{ c: 2, d: 3 }] }, { b: [{ d: 3, c: 2 }], a: 1 }, true],
    [[1, 2], [2, 1], false],
    [{ a: null }, {}, false],
    [{ a: 1 }, { a: '1' }, false],
    [[], {}, false],
  ])('%j and %j are the same: %s', (a, b, same) => {
    expect(isSame(a, b)).toBe(same);
  });
});

describe('an edit of what somebody else has changed meanwhile', () => {
  it('changes the keys that were edited, at any depth', () => {
    const before = { id: 'a', clip: { before: '5s', after: '5s' }, when: 'x', labels: ['car'] };
    const mine = { id: 'a', clip: { before: '9s', after: '5s' }, labels: ['car'] };
    const theirs = { id: 'a', clip: { before: '5s', after: '7s' }, when: 'x', labels: ['person'], future: 1 };
    expect(mergeList([before], [{ was: 'a', settings: mine }], [theirs])).toEqual([
      { was: 'a', settings: { id: 'a', clip: { before: '9s', after: '7s' }, labels: ['person'], future: 1 } },
    ]);
  });

  it('leaves entries alone that were not edited, and those that somebody else has added or removed', () => {
    const before = [{ id: 'same' }, { id: 'edited', n: 1 }, { id: 'gone' }, { id: 'removed' }, { id: 'lost', n: 1 }];
    const mine = [
      { was: 'same', settings: { id: 'same' } },
      { was: 'edited', settings: { id: 'renamed', n: 1 } },
      { was: 'gone', settings: { id: 'gone' } },
      { was: 'lost', settings: { id: 'lost', n: 2 } },
      { was: null, settings: { id: 'new' } },
    ];
    const theirs = [{ id: 'added' }, { id: 'removed' }, { id: 'edited', n: 5 }, { id: 'same', n: 3 }];
    expect(mergeList(before, mine, theirs)).toEqual([
      { was: 'added', settings: { id: 'added' } },
      { was: 'edited', settings: { id: 'renamed', n: 5 } },
      { was: 'same', settings: { id: 'same', n: 3 } },
      { was: null, settings: { id: 'lost', n: 2 } },
      { was: null, settings: { id: 'new' } },
    ]);
  });
});

describe('a rule on the page', () => {
  it.each(RULES.map((rule) => [rule.kind, rule] as const))('of the kind %s is sent as it came', (_, rule) => {
    const odd = { ...rule, future: ' 7 ', clip: { ...(rule.clip as object), future: '7' } };
    expect(JSON.stringify(settingsOf(odd))).toBe(JSON.stringify(odd));
  });

  it.each(RULES.map((rule) => [rule.kind, rule] as const))(
    'of the kind %s has a field for each setting',
    (kind, rule) => {
      const shown = [...kindOf(kind).keys, 'clip', ...moreOf(rule)];
      expect(shown.toSorted()).toEqual(keysOf(kind).toSorted());
      expect(shown.toSorted()).toEqual(
        Object.keys(rule)
          .filter((key) => key !== 'kind')
          .toSorted(),
      );
    },
  );

  it('takes numbers and seconds from texts, and leaves what is neither to the gateway', () => {
    const speed = (key: string, text: string) => typedValue(text, nodeOf('speed', key));
    expect([speed('above', ' 2.5 '), speed('above', 'fast'), speed('above', ' ')]).toEqual([2.5, 'fast', ' ']);
    expect([speed('for', '15'), speed('for', '2m'), speed('for', 'soon')]).toEqual(['15s', '2m', 'soon']);
    expect(speed('id', '15')).toBe('15');
    expect(typedValue({ before: '3', after: '1m', future: '3' }, nodeOf('speed', 'clip'))).toEqual({
      before: '3s',
      after: '1m',
      future: '3',
    });
  });

  it('says the limits of its fields as the schema has them', () => {
    const limits = ['minScore', 'cooldown', 'id'].map((key) => limitsText(nodeOf('speed', key)));
    expect(limits).toEqual(['0 to 1.', 'At most 7 days.', '']);
  });

  it('loses a setting whose field is emptied, but keeps its name, and a time of nothing that was typed', () => {
    const rule = { kind: 'leaves', id: 'a', for: '1s', labels: ['car'] };
    expect(withValue(rule, 'for', '')).toEqual({ kind: 'leaves', id: 'a', labels: ['car'] });
    expect(withValue(rule, 'labels', [])).toEqual({ kind: 'leaves', id: 'a', for: '1s' });
    expect(withValue(rule, 'for', '0s')).toEqual({ ...rule, for: '0s' });
    expect(withValue(rule, 'id', '')).toEqual({ ...rule, id: '' });
  });

  it('of another kind keeps what that has too, and what the page does not know', () => {
    const dwells = {
      kind: 'dwells',
      id: 'a',
      zone: 'door',
      for: '9s',
      minScore: 0.4,
      clip: { before: '1s' },
      future: 1,
    };
    const places = { zone: 'yard', line: 'kerb' };
    const rest = { id: 'a', clip: { before: '1s' }, future: 1 };
    expect(ofKind(dwells, 'crosses', places)).toEqual({ ...rest, kind: 'crosses', line: 'kerb', minScore: 0.4 });
    expect(ofKind(dwells, 'picture', places)).toEqual({ ...rest, kind: 'picture', for: '10s' });
    expect(ofKind(dwells, 'enters', places)).toEqual({ ...rest, kind: 'enters', zone: 'door', minScore: 0.4 });
  });

  it('is said in words, with its clip', () => {
    const rule = { id: 'a', kind: 'dwells', zone: 'yard', for: '15s', cooldown: '0s', clip: { before: '2m' } };
    expect(ruleText({ ...rule, minScore: 0.6, when: 'age > 3', cooldown: '1h' }, false)).toBe(
      'Anything stays in yard for 15 s; with a score of at least 0.6; only if age > 3; then quiet for 1 h; ' +
        'keeps a clip from 2 min before to 5 s after',
    );
    expect(ruleText({ id: 'a', kind: 'picture', for: '0s' }, false)).toBe(
      'The picture is black, frozen, covered, blurred or moved',
    );
    expect(ruleText({ id: 'a', kind: 'levitates' }, false)).toBe('The rule “levitates” is met');
  });
});
