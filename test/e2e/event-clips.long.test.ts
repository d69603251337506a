import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { WholeEvent } from '../../src/after/events/rule-trial.ts';
import { cli } from '../support/cli.ts';
import { sharedDir } from '../support/shared.ts';

/**
 * What is to be found was written down by looking at the clips, frame by frame: [rule, first second, last second] in which the event
 * begins, and spans in which a rule must give nothing.
 */
interface Seen {
  readonly found: readonly (readonly [rule: string, fromS: number, toS: number])[];
  readonly nothing: readonly (readonly [rule: string, fromS: number, toS: number])[];
}

/** How long a rule, the tracker and a detector that misses a frame may take to be sure. */
const LATE_S = 0.9;

const CLIPS: Readonly<Record<string, { readonly rules: object; readonly seen: Seen }>> = {
  // One person after the other comes to a table, stands there, and leaves to the right. The detector does not find the first one, in
  // a long grey cardigan, and loses the fifth on her way out.
  'one-by-one-person-detection.mp4': {
    rules: {
      labels: ['person'],
      zones: [
        {
          id: 'table',
          polygon: [
            [0.42, 0.7],
            [0.72, 0.7],
            [0.72, 0.97],
            [0.42, 0.97],
          ],
        },
      ],
      lines: [{ id: 'right', from: [0.75, 0.5], to: [0.75, 1] }],
      events: [
        { id: 'enters', kind: 'enters', zone: 'table' },
        { id: 'exits', kind: 'exits', zone: 'table' },
        { id: 'stays', kind: 'dwells', zone: 'table', for: '14s' },
        { id: 'out', kind: 'crosses', line: 'right', direction: 'right-to-left' },
        { id: 'in', kind: 'crosses', line: 'right', direction: 'left-to-right' },
        { id: 'appears', kind: 'appears' },
        { id: 'two', kind: 'count', above: 1, for: '1s' },
      ],
    },
    seen: {
      found: [
        ...(['appears'] as const).flatMap((rule) =>
          [
            [22.7, 23.8],
            [50.2, 51.9],
            [74.5, 76],
            [92.1, 94.5],
            [123.4, 125.4],
          ].map(([a, b]) => [rule, a!, b!] as const),
        ),
        ...[
          [22.95, 24.25],
          [51.15, 52.45],
          [75.3, 76.6],
          [93.1, 94.4],
          [124.65, 125.95],
        ].map(([a, b]) => ['enters', a!, b!] as const),
        ...[
          [36.95, 38.35],
          [65.15, 66.55],
          [107.1, 108.5],
        ].map(([a, b]) => ['stays', a!, b!] as const),
        ...[
          [43.4, 44.3],
          [68.45, 69.35],
          [85.15, 86.05],
          [134.35, 135.25],
        ].map(([a, b]) => ['exits', a!, b!] as const),
        ...[
          [43.45, 44.35],
          [68.52, 69.42],
          [85.32, 86.22],
          [134.4, 135.3],
        ].map(([a, b]) => ['out', a!, b!] as const),
      ],
      nothing: [
        ['in', 0, 139.4],
        ['two', 0, 139.4],
        ['stays', 0, 36.95],
        ['stays', 40, 65],
        ['stays', 68, 107],
        ['stays', 111, 139.4],
        ...[
          [25.5, 43.3],
          [53.7, 68.3],
          [77.5, 84.9],
          [96, 117.8],
          [127.3, 134.1],
        ].flatMap(([a, b]) => ['enters', 'exits', 'out', 'appears'].map((rule) => [rule, a!, b!] as const)),
        ...[
          [0, 5.8],
          [45.2, 50],
          [70.2, 74.2],
          [87.2, 91.9],
          [136.3, 139.4],
        ].flatMap(([a, b]) => ['appears', 'enters'].map((rule) => [rule, a!, b!] as const)),
      ],
    },
  },
  // A lawn and a road from high above: people walk about, meet and stand.
  'vtest_h264.mp4': {
    rules: {
      labels: ['person'],
      zones: [
        {
          id: 'grass',
          polygon: [
            [0.02, 0.66],
            [0.58, 0.66],
            [0.58, 1],
            [0.02, 1],
          ],
        },
      ],
      lines: [
        { id: 'road', from: [0.7, 0.2], to: [0.7, 0.85] },
        { id: 'path', from: [0.3, 0.25], to: [0.3, 0.62] },
      ],
      events: [
        ...['road', 'path'].flatMap((line) => [
          { id: `${line}-left`, kind: 'crosses', line, direction: 'left-to-right' },
          { id: `${line}-right`, kind: 'crosses', line, direction: 'right-to-left' },
        ]),
        { id: 'enters', kind: 'enters', zone: 'grass' },
        { id: 'exits', kind: 'exits', zone: 'grass' },
        { id: 'two', kind: 'count', zone: 'grass', above: 1 },
        { id: 'stays', kind: 'dwells', zone: 'grass', for: '12s' },
        { id: 'anyone', kind: 'count', zone: 'grass', above: 0, for: '1s' },
      ],
    },
    seen: {
      found: [
        ...[18.45, 35.75, 37.4, 37.85].map((s) => ['road-right', s - 0.4, s + 0.5] as const),
        ...[19.25, 22.9, 25.4, 26.15, 42.95].map((s) => ['road-left', s - 0.4, s + 0.5] as const),
        ...[17.8, 20.07, 24.45, 52.25, 59.3].map((s) => ['path-left', s - 0.4, s + 0.5] as const),
        ['path-right', 64.6, 65.6],
        ['enters', 52.1, 53.3],
        ['two', 52.4, 54.4],
        ['exits', 59.3, 60.3],
        ['stays', 64.1, 66.6],
        ['exits', 69.5, 71.2],
      ],
      nothing: [
        ...['road-left', 'road-right'].flatMap((rule) =>
          [
            [20.2, 22.4],
            [23.9, 24.9],
            [27.2, 35.2],
            [39, 42.2],
          ].map(([a, b]) => [rule, a!, b!] as const),
        ),
        ...[
          [0.5, 17.3],
          [21.2, 23.8],
          [25.7, 29.6],
          [34, 51.6],
          [53.5, 58.7],
        ].map(([a, b]) => ['path-left', a!, b!] as const),
        ['path-right', 0.5, 29.6],
        ['enters', 0, 51.8],
        ['anyone', 0, 51.8],
        ['stays', 0, 64],
      ],
    },
  },
  // Six shots of city traffic, cut hard.
  'bikes.mp4': {
    rules: {
      events: [
        { id: 'person', kind: 'appears', labels: ['person'] },
        { id: 'gone', kind: 'leaves', labels: ['person'], for: '300ms' },
        { id: 'cars', kind: 'count', labels: ['car'], above: 2 },
        { id: 'bicycle', kind: 'appears', labels: ['bicycle'] },
      ],
    },
    seen: {
      found: [
        ['person', 1.2, 1.5],
        ['person', 4.1, 4.6],
        ['bicycle', 4.2, 4.9],
        ['cars', 5.48, 7],
        ['person', 7.48, 8],
      ],
      nothing: [
        ['person', 0, 1.15],
        ['person', 2.2, 3],
        ['bicycle', 0, 1.15],
        ['cars', 4.4, 5.35],
      ],
    },
  },
};

describe.skipIf(sharedDir === null)('rules on clips (needs the shared folder)', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sightline-event-clips-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  it.each(Object.keys(CLIPS))(
    '%s gives the events that are seen in it',
    async (name) => {
      const { rules, seen } = CLIPS[name]!;
      const path = join(folder, `${name}.yaml`);
      writeFileSync(path, JSON.stringify(rules));
      const clip = join(sharedDir!, 'videos', name);
      const { code, stdout, stderr } = await cli(['events', clip, '--rules', path, '--json']);
      expect(code, stderr).toBe(0);
      const [{ events }] = (JSON.parse(stdout) as { recordings: [{ events: WholeEvent[] }] }).recordings;
      const begins = events.map(({ rule, raised }) => ({ rule, s: raised.ptsUs! / 1e6 }));
      const isIn =
        ([rule, fromS, toS]: readonly [string, number, number], lateS: number) =>
        (event: (typeof begins)[0]) =>
          event.rule === rule && event.s >= fromS && event.s <= toS + lateS;
      expect(seen.found.filter((fact) => !begins.some(isIn(fact, LATE_S)))).toEqual([]);
      expect(seen.nothing.flatMap((span) => begins.filter(isIn(span, 0)))).toEqual([]);
      // Minutes of video, on a machine that does other work.
    },
    900_000,
  );
});
