import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { History } from '../../../../src/after/history/history.ts';
import type { PublishedFrame } from '../../../../src/base/core/frame.ts';
import { GatewayApi } from '../../../../src/wire/client/gateway-api.ts';
import type { EventMessage } from '../../../../src/wire/protocol/feed.ts';
import type { RuleEvent } from '../../../../src/wire/protocol/rule-event.ts';
import { openGateway } from '../../../support/open-gateways.ts';
import { ruleEvent } from '../../../support/rule-events.ts';
import { RuntimeDouble } from '../../../support/runtime-double.ts';

/** The beginning of an hour. */
const NOON_MS = Date.parse('2026-01-31T12:00:00Z');
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const KEEPING = { embeddingsMs: 24 * HOUR_MS };

let history: History;
let nowMs: number;
let url: string;
let api: GatewayApi;
beforeEach(async () => {
  nowMs = NOON_MS;
  const wallMs = (): number => nowMs;
  history = await History.open({
    path: null,
    maxBytes: 2 ** 24,
    days: 90,
    onNotice: () => undefined,
    wallMs,
    ...KEEPING,
  });
  ({ url } = await openGateway(new RuntimeDouble(['gate']), { history, wallMs }));
  api = new GatewayApi(async ({ path }) => (await fetch(url + path)).json());
});
afterEach(() => history.close());

async function text(
  path: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; type: string | null; lines: string[]; next: string | null }> {
  const reply = await fetch(url + path, { headers });
  const body = await reply.text();
  expect(body.endsWith('\r\n') || reply.headers.get('content-type')?.includes('json')).toBe(true);
  const next = reply.headers.get('sightline-next');
  return { status: reply.status, type: reply.headers.get('content-type'), lines: body.trimEnd().split('\r\n'), next };
}

/** A second of a stream at 25 frames/s with three objects inside a zone, of which one is reported. */
function second(streamId: string, at: number, more: Partial<PublishedFrame> = {}): void {
  for (let i = 0; i < 25; i++) {
    const ptsUs = (at * 25 + i) * 40_000;
    const box = [300, 140, 40, 40] as const;
    const detections = [{ classId: 0, label: 'person', score: 0.9, box, trackId: 1 }];
    const frame = {
      streamId,
      run: 'r',
      frame: at * 25 + i,
      ptsUs,
      width: 640,
      height: 360,
      by: 'inferred',
      detections,
      ...more,
    };
    history.observe({ zones: [{ id: 'door', inside: 3 }], times: {}, ...frame } as unknown as PublishedFrame);
  }
}

describe('GET /api/events', () => {
  /** `more` after the usual keys. */
  async function ask(
    more: string,
  ): Promise<{ events: EventMessage[]; next?: string | null; error?: { message: string } }> {
    return (await fetch(`${url}/api/events?${more}`)).json() as never;
  }
  const idsOf = ({ events }: { readonly events: readonly EventMessage[] }): string[] =>
    events.map(({ rule }) => `${rule?.id}.${rule?.seq}`);

  it('finds records of rules by rule, label, zone, phase, event and time', async () => {
    await history.record(ruleEvent('a', 0, 'new'));
    nowMs += HOUR_MS;
    await history.record(ruleEvent('a', 1, 'end'));
    await history.record(
      ruleEvent('b', 0, 'new', { rule: 'in', label: 'car', line: 'gate-line', direction: 'left-to-right' }),
    );
    for (const [query, ids] of [
      ['rule=loiter', ['a.0', 'a.1']],
      ['label=car', ['b.0']],
      ['zone=gate-line', ['b.0']],
      ['phase=new', ['a.0', 'b.0']],
      ['phase=last', ['a.1', 'b.0']],
      ['phase=open', ['b.0']],
      ['rule=in,loiter&phase=new', ['a.0', 'b.0']],
      ['event=a&phase=end', ['a.1']],
      ['from=2026-01-31T12:00:01Z', ['a.1', 'b.0']],
      [`from=${NOON_MS}&to=2026-01-31T13:00:00Z`, ['a.0']],
      ['type=rule', ['a.0', 'a.1', 'b.0']],
    ] as const)
      expect([query, idsOf(await ask(query))]).toEqual([query, ids]);
    const [first] = (await ask('event=a')).events;
    expect(first).toEqual({
      type: 'event',
      timeMs: NOON_MS,
      kind: 'rule',
      stream: 'gate',
      message: `loiter: ${ruleEvent('a', 0, 'new').reason}`,
      rule: ruleEvent('a', 0, 'new'),
    });
  });

  it('comes in pages with a cursor, and in one list without', async () => {
    for (let i = 0; i < 25; i++) {
      nowMs = NOON_MS + i;
      await history.record(ruleEvent(`e${i}`, 0, 'new'));
    }
    const first = await ask('cursor=newest&limit=10');
    expect([idsOf(first).at(-1), first.events.length]).toEqual(['e24.0', 10]);
    const second = await api.eventPage({ cursor: first.next!, limit: 10 });
    const third = await api.eventPage({ cursor: second.next!, limit: 10 });
    expect([idsOf(second)[0], third.events.length, third.next]).toEqual(['e5.0', 5, null]);
    expect(await ask('limit=10'), 'as before there were pages').not.toHaveProperty('next');
  });

  it('gives CSV by format or Accept, in which no field is a formula or breaks a line', async () => {
    const label = '=HYPERLINK("http://bad.example")';
    await history.record(ruleEvent('a', 0, 'new', { label, reason: 'two\nlines, "quoted"' }));
    history.add({ type: 'event', timeMs: NOON_MS + 1, kind: 'target-missed', stream: 'gate', message: 'slow' });
    const asked = await text('/api/events?format=csv');
    expect([asked.status, asked.type, asked.next]).toEqual([200, 'text/csv; charset=utf-8', null]);
    expect(asked.lines).toEqual([
      'time,kind,stream,host,message,event,seq,phase,rule,label,zone,line,direction,score,count,speed,endReason',
      '2026-01-31T12:00:00.001Z,target-missed,gate,,slow,,,,,,,,,,,,',
      `2026-01-31T12:00:00.000Z,rule,gate,,"loiter: two\nlines, ""quoted""",a,0,new,loiter,"'=HYPERLINK(""http://bad.example"")",door,,,,,,`,
    ]);
    expect((await text('/api/events', { accept: 'text/csv' })).lines).toEqual(asked.lines);
    const short = await text('/api/events?format=csv&limit=1');
    expect([short.lines.length, short.next]).toEqual([2, `${NOON_MS + 1}-2`]);
  });

  it('says what is wrong with a search', async () => {
    for (const [query, fault] of [
      ['from=yesterday', 'from: expected a date and time'],
      ['to=9e99', 'to: expected a date and time'],
      ['phase=middle', 'phase: expected one of "new", "update", "end", "last", "open"'],
      ['cursor=5', 'cursor: expected "newest", or "next" of another answer'],
      ['format=xml', 'format: expected "json" or "csv"'],
      ['limit=1001', 'limit: expected'],
      ['format=csv&limit=50001', 'limit: expected'],
      ['rules=a', 'rules: unknown key; did you mean "rule"?'],
    ] as const) {
      const { error } = await ask(query);
      expect([query, error?.message]).toEqual([query, expect.stringContaining(fault)]);
    }
  });
});

describe('figures of the past', () => {
  it('are counted by line and label, in hours, minutes or days', async () => {
    const crossings = [{ lineId: 'in', trackId: 1, label: 'person', direction: 'left-to-right', ptsUs: 0 }] as const;
    second('gate', 0, { crossings });
    nowMs += 2 * MINUTE_MS;
    second('gate', 1, { crossings });
    nowMs = NOON_MS + HOUR_MS;
    const row = { stream: 'gate', line: 'in', direction: 'left-to-right', label: 'person' };
    const appeared = { ...row, line: null, direction: null, timeMs: NOON_MS, count: 1 };
    expect(await api.counts()).toEqual({ counts: [appeared, { ...row, timeMs: NOON_MS, count: 50 }], next: null });
    expect(
      (await api.counts({ by: 'minute', line: 'in' })).counts.map(({ timeMs, count }) => [timeMs - NOON_MS, count]),
    ).toEqual([
      [0, 25],
      [2 * MINUTE_MS, 25],
    ]);
    const days = await api.counts({ by: 'day', utcOffset: 60, line: 'in', fromMs: NOON_MS - 30 * 24 * HOUR_MS });
    expect(days.counts.map(({ timeMs, count }) => [new Date(timeMs).toISOString(), count])).toEqual([
      ['2026-01-30T23:00:00.000Z', 50],
    ]);
    expect((await api.counts({ label: 'car' })).counts).toEqual([]);
    expect((await api.counts({ stream: 'yard' })).counts).toEqual([]);
    expect((await text('/api/counts?format=csv&line=in')).lines).toEqual([
      'time,stream,line,direction,label,count',
      '2026-01-31T12:00:00.000Z,gate,in,left-to-right,person,50',
    ]);
  });

  it('say how full zones were, how long streams were seen, and where objects stood', async () => {
    second('gate', 0);
    history.watched('gate', [{ reason: null, fromMs: 0, toMs: 1000 }], 0);
    nowMs += MINUTE_MS;
    history.watched('gate', [{ reason: 'down', fromMs: 1000, toMs: 31_000 }], MINUTE_MS);
    // 24 intervals of 40 ms.
    const [row] = (await api.occupancy()).occupancy;
    const { mean, objectS, dwellS, seenS, occupiedS, ...rest } = row!;
    expect(rest).toEqual({ timeMs: NOON_MS, stream: 'gate', zone: 'door', max: 3, arrivals: 3 });
    for (const [found, expected] of [
      [mean, 3],
      [objectS, 2.88],
      [dwellS, 0.96],
      [seenS, 0.96],
      [occupiedS, 0.96],
    ] as const)
      expect(found).toBeCloseTo(expected);
    expect((await api.occupancy({ zone: 'yard' })).occupancy).toEqual([]);
    expect((await text('/api/occupancy?format=csv')).lines[0]).toBe(
      'time,stream,zone,max,mean,objectS,occupiedS,arrivals,dwellS,seenS',
    );
    expect((await api.seen({ by: 'minute' })).seen).toEqual([
      {
        timeMs: NOON_MS,
        stream: 'gate',
        frames: 25,
        seenS: expect.closeTo(0.96),
        watchedS: expect.closeTo(1),
        blindS: { down: expect.closeTo(30) },
      },
    ]);
    expect((await text('/api/seen?format=csv')).lines[0]).toBe(
      'time,stream,frames,seenS,watchedS,downS,pausedS,shedS,blackS,frozenS',
    );
    const { columns, rows, cells, ...heat } = await api.heat('gate', { fromMs: NOON_MS - HOUR_MS });
    expect([columns, rows, heat]).toEqual([32, 18, { stream: 'gate', seenS: expect.closeTo(0.96) }]);
    // The lower edge of the box has its middle in the middle of the picture.
    expect([...cells.entries()].filter(([, s]) => s > 0)).toEqual([[9 * 32 + 16, expect.closeTo(0.96)]]);
  });

  it('reach back 31 days for the charts of a stream, in steps that fit', async () => {
    const { streams } = new RuntimeDouble(['gate']).report();
    for (let s = 0; s <= 7200; s++) history.addReport({ timeMs: NOON_MS + s * 1000, streams });
    const stepOf = async (seconds: number): Promise<unknown[]> => {
      const { stepS, times, fpsPublished } = await api.streams.history('gate', seconds);
      return [stepS, times.length, fpsPublished.at(-1)];
    };
    expect(await stepOf(180)).toEqual([1, 180, 24.2]);
    expect(await stepOf(3600)).toEqual([10, 361, 24.2]);
    expect(await stepOf(86_400)).toEqual([60, 120, 24.2]);
    expect(await stepOf(31 * 86_400)).toEqual([3600, 2, 24.2]);
    expect((await text(`/api/streams/gate/history?seconds=${31 * 86_400 + 1}`)).status).toBe(400);
  });

  it('find objects that look like another one, by its track or its event, and never show a vector', async () => {
    const looked = (streamId: string, vector: readonly number[]): void => {
      const box = [300, 140, 40, 80] as const;
      const attributes = { like: { vector, model: 'm@1', box, atUs: 0 } };
      const detections = [{ classId: 0, label: 'person', score: 0.9, box, trackId: 7, attributes }];
      second(streamId, 0, { detections });
    };
    looked('gate', [0.6, 0.8]);
    looked('yard', [0.8, 0.6]);
    looked('hall', [1, 0]);
    await history.record(ruleEvent('e', 0, 'new', { stream: 'yard', run: 'r' }));
    const found = await api.similar({ stream: 'gate', trackId: 7 });
    expect(found.of).toMatchObject({ stream: 'gate', trackId: 7, box: [300, 140, 40, 80] });
    expect(found.objects.map(({ stream, similarity, event }) => [stream, similarity, event])).toEqual([
      ['yard', 0.96, 'e'],
      ['hall', 0.6, null],
    ]);
    const { of, objects } = await api.similar({ event: 'e', streams: ['gate', 'porch'], fromMs: NOON_MS, min: 0.9 });
    expect([of?.stream, objects.map(({ stream }) => stream)]).toEqual(['yard', ['gate']]);
    expect(await api.similar({ stream: 'porch', trackId: 7 })).toEqual({ of: null, objects: [] });
    const { lines } = await text('/api/similar?event=e');
    expect(JSON.stringify(lines)).not.toMatch(/vector|\[[\d.]+,[\d.]+\]/);
  });

  it('are refused with what is wrong', async () => {
    for (const [path, fault] of [
      ['counts?by=week', 'by: expected one of "minute", "hour", "day"'],
      ['counts?zone=door', 'zone: unknown key'],
      ['occupancy?from=2026-01-31T12:00:00Z&to=2026-01-31T11:00:00Z', 'from: expected a time before'],
      ['seen?utcOffset=900', 'utcOffset: expected'],
      ['heat', 'stream: expected'],
      ['similar', 'expected either event, or stream and track'],
      ['similar?stream=gate', 'expected either event, or stream and track'],
      ['similar?event=e&stream=gate', 'expected either event, or stream and track'],
      ['similar?event=e&limit=101', 'limit: expected'],
      ['similar?event=e&min=2', 'min: expected'],
      ['similar?event=e&from=noon', 'from: expected a date and time'],
    ] as const) {
      const { status, lines } = await text(`/api/${path}`);
      expect([path, status, lines[0]]).toEqual([path, 400, expect.stringContaining(fault.replaceAll('"', '\\"'))]);
    }
  });

  it('are an error that may pass while the history does not answer', async () => {
    await history.close();
    const { status, lines } = await text('/api/counts');
    expect([status, lines[0]]).toEqual([503, expect.stringContaining('HISTORY_UNAVAILABLE')]);
  });
});

it('shows a viewer what rules of other hosts report as well', async () => {
  const rule = { ...ruleEvent('far', 0, 'new'), stream: 'yard' } as RuleEvent;
  const port = new RuntimeDouble(['gate']);
  const gateway = await openGateway(port, { history });
  port.emitEvent({
    type: 'event',
    timeMs: NOON_MS,
    kind: 'rule',
    stream: 'yard',
    host: 'two',
    message: rule.reason,
    rule,
  });
  const { events } = (await (await fetch(`${gateway.url}/api/events?rule=loiter`)).json()) as {
    events: EventMessage[];
  };
  expect(events.map(({ host, rule: found }) => [host, found?.id])).toEqual([['two', 'far']]);
});
