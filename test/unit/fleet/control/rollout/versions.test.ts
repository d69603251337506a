import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { canonicalJson } from '../../../../../src/base/core/canonical-json.ts';
import { firstVersion, versionReports, withVersion } from '../../../../../src/fleet/control/rollout/versions.ts';
import { batchConfig } from '../../../../../src/settings/config/batch.ts';
import { modelConfig } from '../../../../../src/settings/config/model-config.ts';
import { rolloutRecord, version } from '../../../../support/rollout-doubles.ts';

const parts = (name: string, weights = ['aa']) => ({
  model: modelConfig.parse({ name }),
  batch: batchConfig.parse({}),
  weights,
});

describe('versions', () => {
  it('are named by what they consist of: settings or weights that differ make another one', () => {
    const hash = (...args: Parameters<typeof parts>): string => firstVersion('people', parts(...args), 1).hash;
    expect(hash('a')).toBe(hash('a'));
    expect(new Set([hash('a'), hash('b'), hash('a', ['ab'])]).size).toBe(3);
    expect(firstVersion('people', parts('a'), 1).label).toBe('people@1');
  });

  it('do not depend on the order of keys', () => {
    expect(canonicalJson({ b: [1, { d: null, c: 'x' }], a: undefined, A: 2 })).toBe(
      '{"A":2,"b":[1,{"c":"x","d":null}]}',
    );
    const text = '{"batch":{"maxBatch":8},"model":{"name":"a"},"weights":[]}';
    const other = { weights: [], model: { name: 'a' }, batch: { maxBatch: 8 } };
    const sha = (value: string): string => createHash('sha256').update(value).digest('hex');
    expect(sha(canonicalJson(other))).toBe(sha(text));
  });

  it('get rising numbers; the same parts are the same version again', () => {
    const first = firstVersion('people', parts('a'), 1);
    const two = withVersion([first], 'people', parts('b'), 2, [first]);
    expect(two.version.label).toBe('people@2');
    const again = withVersion(two.versions, 'people', parts('a'), 3, []);
    expect([again.version, again.versions]).toEqual([first, two.versions]);
  });

  it('are forgotten beyond 50, oldest first, but never one in use', () => {
    const first = firstVersion('people', parts('0'), 1);
    let versions: ReturnType<typeof withVersion>['versions'] = [first];
    for (let i = 1; i < 60; i += 1) versions = withVersion(versions, 'people', parts(String(i)), i, [first]).versions;
    expect(versions).toHaveLength(50);
    expect(versions[0]).toBe(first);
    expect(versions.at(-1)?.label).toBe('people@60');
  });

  it('are shown with all their settings, and the threshold of scores that is in force', () => {
    const own = { ...parts('a'), model: modelConfig.parse({ name: 'a', scoreThreshold: 0.4 }) };
    const streams = { all: { maxFps: 5 }, byId: {} };
    const [shown] = versionReports(null, firstVersion('people', { ...own, streams }, 1));
    expect(shown).toMatchObject({ scoreThreshold: 0.4, settings: { model: own.model, batch: own.batch, streams } });
    const [plain] = versionReports(null, firstVersion('people', parts('a'), 1));
    expect(plain?.scoreThreshold).toBeNull();
    expect(plain?.settings).toEqual({ model: parts('a').model, batch: parts('a').batch });
  });

  it('have the role that the roll-out gives them', () => {
    const roles = (...args: Parameters<typeof versionReports>): string[] =>
      versionReports(...args).map(({ role }) => role);
    expect(roles(null, version('people@1', 'old'))).toEqual(['live']);
    expect(roles(rolloutRecord(), version('people@1', 'old'))).toEqual(['control', 'candidate']);
    expect(roles(rolloutRecord({ state: 'promoted' }), version('people@1', 'old'))).toEqual(['idle', 'live']);
    expect(roles(rolloutRecord({ state: 'aborted' }), version('people@1', 'old'))).toEqual(['live', 'idle']);
  });
});
