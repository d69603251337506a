import { describe, expect, it } from 'vitest';
import { SpooledSink, type SpooledSinkOptions } from '../../../../src/after/sinks/spooled-sink.ts';
import {
  type Attempt,
  type Batch,
  ConnectedTransport,
  isEventText,
  type OutgoingRecord,
  outgoingRecord,
  Pipeline,
  Refusal,
} from '../../../../src/after/sinks/transport.ts';
import type { SightlineError } from '../../../../src/base/errors/sightline-error.ts';
import { eventOf } from './events.ts';
import { frameOf, person } from './frames.ts';

const fast = { batchMs: 0, firstRetryMs: 1, maxRetryMs: 2, random: () => 0 };
const settle = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function open(send: (batch: Batch) => Attempt, more: Partial<SpooledSinkOptions> = {}) {
  const failures: SightlineError[] = [];
  const sink = new SpooledSink({
    id: 'bus',
    send: ['events'],
    ...fast,
    onFailure: (error) => failures.push(error),
    transport: { shownUrl: 'bus://host', send: async (batch) => send(batch) },
    ...more,
  });
  return { sink, failures };
}

const idsOf = (texts: readonly string[]): string[] => texts.map((text) => outgoingRecord(text).id);
const delivered: Attempt = { kind: 'delivered' };
const failed = (more: Partial<Extract<Attempt, { kind: 'failed' }>>): Attempt => ({
  kind: 'failed',
  reason: 'no',
  isFinal: false,
  retryAfterMs: null,
  ...more,
});

describe('a spooled sink', () => {
  it('sends only what its settings want, and has no place for events if they want none', async () => {
    const texts: string[] = [];
    const take = (batch: Batch): Attempt => {
      texts.push(...batch.texts);
      return delivered;
    };
    const events = open(take).sink;
    events.publish(frameOf(0, [person]), 'a.cam');
    events.publishEvent!(eventOf(1));
    await events.close();
    expect(texts.map(isEventText)).toEqual([true]);
    const results = open(take, { send: ['results'] }).sink;
    expect(results.publishEvent).toBeUndefined();
    const both = open(take, { send: ['results', 'events'] }).sink;
    both.publish(frameOf(0, [person]), 'a.cam');
    both.publishEvent!(eventOf(2));
    both.publish(frameOf(1, [person]), 'a.cam');
    await both.close();
    expect(idsOf(texts.slice(1))).toEqual(['s..0', 'event-2.0', 's..1']);
  });

  it('says of each beginning of an event what its receiver answered, when it tries again, and that it gave up', async () => {
    const answers: Attempt[] = [
      failed({ reason: 'the server answered 503' }),
      { ...delivered, answer: 'answered 200' },
    ];
    const { sink } = open(() => answers.shift() ?? failed({ reason: 'the server answered 404', isFinal: true }), {
      maxAttempts: 1,
    });
    const told: unknown[] = [];
    sink.watchDeliveries((message, { atMs, nextMs, ...outcome }) => {
      told.push([message, outcome, nextMs === undefined ? '' : nextMs >= atMs]);
    });
    sink.publishEvent!(eventOf(1));
    await expect.poll(() => sink.figures.sent).toBe(1);
    sink.publishEvent!(eventOf(2));
    await expect.poll(() => sink.figures.lost.refused).toBe(1);
    await sink.close().catch(() => undefined);
    expect(told).toEqual([
      ['event-1', { state: 'retried', answer: 'the server answered 503', attempt: 1 }, true],
      ['event-1', { state: 'sent', answer: 'answered 200' }, ''],
      ['event-2', { state: 'failed', answer: 'the server answered 404 (attempt 1)' }, ''],
    ]);
  });

  it('goes on behind the records that a receiver took of a batch', async () => {
    const batches: string[][] = [];
    const { sink } = open(({ texts }) => {
      batches.push(idsOf(texts));
      return batches.length === 1 ? failed({ delivered: 2 }) : delivered;
    });
    for (const number of [0, 1, 2]) sink.publishEvent!(eventOf(number));
    await sink.close();
    expect(batches).toEqual([['event-0.0', 'event-1.0', 'event-2.0'], ['event-2.0']]);
    expect(sink.figures).toMatchObject({ sent: 3, waiting: 0, lost: { refused: 0 } });
  });

  it('loses only the record that is refused, after maxAttempts', async () => {
    const got: string[] = [];
    let attempts = 0;
    const { sink, failures } = open(
      ({ texts }) => {
        for (const [i, id] of idsOf(texts).entries()) {
          if (id === 'event-1.0') {
            attempts += 1;
            return failed({ isFinal: true, delivered: i });
          }
          got.push(id);
        }
        return delivered;
      },
      { maxAttempts: 3 },
    );
    for (const number of [0, 1, 2]) sink.publishEvent!(eventOf(number));
    await expect.poll(() => sink.figures.sent).toBe(2);
    expect([...new Set(got)]).toEqual(['event-0.0', 'event-2.0']);
    // The first of them delivers what comes before.
    expect(attempts).toBe(4);
    expect(sink.figures).toMatchObject({ sent: 2, waiting: 0, lost: { refused: 1 } });
    await expect(sink.close()).rejects.toMatchObject({
      code: 'SINK_FAILED',
      message: expect.stringContaining('1 event was lost'),
    });
    expect(failures.at(-1)!.message).toContain('bus://host');
  });

  it('leaves out other phases, and counts what is more than it may send as lost', async () => {
    let most = 2;
    const { sink, failures } = open(() => delivered, {
      phases: ['new'],
      limit: { take: () => most-- > 0, resume: () => undefined },
    });
    for (const phase of ['new', 'update', 'end', 'new', 'new'] as const) sink.publishEvent!(eventOf(0, { phase }));
    await expect(sink.close()).rejects.toMatchObject({ details: { lostResults: 1 } });
    expect(sink.figures).toMatchObject({ sent: 2, waiting: 0, lost: { overflow: 1 } });
    expect(failures[0]!.message).toContain('more events came than may be sent');
  });
});

describe('a connected transport', () => {
  function connect(
    mostAtOnce: number,
    send: (records: readonly OutgoingRecord[], connection: number) => Promise<void>,
  ) {
    let opened = 0;
    const ended: number[] = [];
    const lose: (() => void)[] = [];
    const transport = new ConnectedTransport({
      shownUrl: 'bus://host',
      mostAtOnce,
      open: async (onLost) => {
        const number = ++opened;
        lose.push(onLost);
        return { send: (records: readonly OutgoingRecord[]) => send(records, number), end: () => ended.push(number) };
      },
    });
    const batch = { number: 1, lost: 0, texts: [0, 1, 2, 3].map((number) => JSON.stringify(frame(number))) };
    return { transport, batch, ended, lose, opened: () => opened };
  }
  const frame = (number: number) => ({ stream: 's', run: 'r', frame: number });
  const signal = new AbortController().signal;

  it('takes a refused batch apart, so that the others of it are delivered', async () => {
    const calls: string[][] = [];
    const { transport, batch, ended } = connect(4, async (records) => {
      calls.push(records.map(({ id }) => id));
      if (records.some(({ id }) => id === 's.r.2')) throw new Refusal('too large');
    });
    const refused = { isFinal: true, delivered: 2, reason: 'too large', refusals: 1 };
    expect(await transport.send(batch, signal)).toEqual(failed(refused));
    expect(calls).toEqual([['s.r.0', 's.r.1', 's.r.2', 's.r.3'], ['s.r.0'], ['s.r.1'], ['s.r.2']]);
    expect(ended, 'a refusal says nothing about the connection').toEqual([]);
  });

  it('does not send again what was confirmed after a refused record', async () => {
    const pipeline = new Pipeline();
    const published: string[] = [];
    let isRefused = true;
    const { transport, batch } = connect(4, (records) =>
      pipeline.send(
        records,
        async ({ id }) => {
          published.push(id.slice(-1));
          await settle(0);
          if (isRefused && id === 's.r.1') throw new Refusal('too large');
        },
        3,
      ),
    );
    expect(await transport.send(batch, signal)).toMatchObject({ isFinal: true, delivered: 1 });
    expect(published.join(''), 'three without waiting, then the one that was refused').toBe('0121');
    const rest = { ...batch, texts: batch.texts.slice(1) };
    expect(await transport.send(rest, signal)).toMatchObject({ isFinal: true, delivered: 0 });
    isRefused = false;
    expect(await transport.send(rest, signal)).toEqual(delivered);
    expect(published.join('')).toBe('01211311');
    expect(await transport.send(batch, signal)).toEqual(delivered);
    expect(published.join('').slice(8), 'records of a later batch').toBe('0123');
  });

  it('sends one by one after a connection was lost with several under way: some end it when they refuse one', async () => {
    const calls: string[] = [];
    const { transport, batch } = connect(4, async (records) => {
      calls.push(records.map(({ id }) => id.slice(-1)).join(''));
      if (records.length > 1) throw new Error('read ECONNRESET');
      if (records[0]!.id === 's.r.1') throw new Refusal('not authorised');
    });
    expect(await transport.send(batch, signal)).toMatchObject({ isFinal: false, delivered: 0 });
    expect(await transport.send(batch, signal)).toMatchObject({ isFinal: true, delivered: 1, refusals: 1 });
    expect(await transport.send({ ...batch, texts: batch.texts.slice(1) }, signal)).toMatchObject({ refusals: 2 });
    expect(await transport.send({ ...batch, texts: batch.texts.slice(2) }, signal)).toEqual(delivered);
    expect(calls).toEqual(['0123', '0', '1', '1', '2', '3']);
  });

  it('counts how often records of a rule were refused in a row, and not while all are', async () => {
    let refused: readonly string[] = ['1'];
    const { transport, batch } = connect(4, async (records) => {
      if (records.some(({ stream }) => refused.includes(stream))) throw new Refusal('not authorised');
    });
    const send = (...streams: string[]): Promise<Attempt> =>
      transport.send({ ...batch, texts: streams.map((stream) => JSON.stringify({ ...frame(0), stream })) }, signal);
    expect(await send('0', '1', '2')).toMatchObject({ delivered: 1, refusals: 1 });
    expect(await send('2', '1')).toMatchObject({ delivered: 1, refusals: 2 });
    refused = [];
    expect(await send('1')).toEqual(delivered);
    refused = ['1'];
    expect(await send('1')).toMatchObject({ refusals: 1 });
    for (let i = 2; i <= 24; i++) expect(await send('1')).toMatchObject({ refusals: i });
    expect(await send('1')).not.toHaveProperty('refusals');
    expect(await send('0', '1')).toMatchObject({ delivered: 1, refusals: 26 });
  });

  it('makes a new connection after a failure, and after one was lost', async () => {
    const { transport, batch, ended, lose, opened } = connect(1, async (_, connection) => {
      if (connection === 1) throw Object.assign(new Error('reset'), { code: 'ECONNRESET' });
    });
    expect(await transport.send(batch, signal)).toEqual(failed({ delivered: 0, reason: 'reset (ECONNRESET)' }));
    await expect.poll(() => ended).toEqual([1]);
    expect(await transport.send(batch, signal)).toEqual(delivered);
    expect(await transport.send(batch, signal)).toEqual(delivered);
    expect(opened()).toBe(2);
    lose[1]!();
    await transport.send(batch, signal);
    expect(opened()).toBe(3);
  });

  it('opens another connection after one that could not be opened, whatever the reason', async () => {
    let attempts = 0;
    const transport = new ConnectedTransport({
      shownUrl: 'bus://host',
      mostAtOnce: 1,
      open: async () => {
        attempts += 1;
        if (attempts === 1) throw new Refusal('not you');
        return { send: async () => undefined, end: () => undefined };
      },
    });
    const { batch } = connect(1, async () => undefined);
    expect(await transport.send(batch, signal)).toMatchObject({ kind: 'failed', reason: 'not you' });
    expect(await transport.send(batch, signal)).toEqual(delivered);
  });

  it('ends an attempt that takes too long together with its connection, and opens none when it is closed', async () => {
    const { transport, batch, ended } = connect(1, () => new Promise(() => undefined));
    const limit = new AbortController();
    const sending = transport.send(batch, limit.signal);
    limit.abort(new Error('no answer within 5 ms'));
    expect(await sending).toEqual(failed({ delivered: 0, reason: 'no answer within 5 ms' }));
    await expect.poll(() => ended).toEqual([1]);
    await transport.close();
    expect(await transport.send(batch, signal)).toMatchObject({ kind: 'failed', reason: 'the sink is closed' });
    await settle(0);
    expect(ended).toEqual([1]);
  });
});
