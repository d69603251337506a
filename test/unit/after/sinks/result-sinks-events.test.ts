import { setImmediate } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { ResultSinks } from '../../../../src/after/sinks/result-sinks.ts';
import type { Sink } from '../../../../src/after/sinks/sink.ts';
import type { RuleEvent } from '../../../../src/wire/protocol/rule-event.ts';
import { ruleEvent } from '../../../support/rule-events.ts';

/** A sink that has a record only when the test says so. */
function sinkOf(id: string) {
  const waiting: (() => void)[] = [];
  const got: string[] = [];
  const publishEvent = (event: RuleEvent, _canWait?: boolean, onKept?: () => void): boolean => {
    got.push(`${event.id}.${event.seq}`);
    waiting.push(onKept!);
    return true;
  };
  return { sink: { id, publishEvent } as unknown as Sink, got, keep: () => waiting.shift()!() };
}

it('a record is handed to the sinks of its stream that lack it, and each says when it has it', async () => {
  const [fast, slow, other, deaf] = ['fast', 'slow', 'other', 'deaf'].map(sinkOf);
  const silent = { id: 'silent' } as unknown as Sink;
  const sinks = new ResultSinks([
    ...[fast!, slow!, deaf!].map(({ sink }) => ({ sink, streams: null })),
    { sink: other!.sink, streams: new Set(['yard']) },
    { sink: silent, streams: null },
  ]);
  sinks.channel('deaf');
  const takers = sinks.publishEvent(ruleEvent('a', 0, 'new'), false);
  expect([...takers.keys()]).toEqual(['fast', 'slow']);
  const had: string[] = [];
  for (const [id, isKept] of takers) void isKept.then(() => had.push(id));
  await setImmediate();
  expect(had, 'passed on is not kept').toEqual([]);
  slow!.keep();
  await setImmediate();
  expect(had).toEqual(['slow']);
  fast!.keep();
  await setImmediate();
  expect(had).toEqual(['slow', 'fast']);
  const again = sinks.publishEvent(ruleEvent('a', 0, 'new'), false, new Set(['slow', 'gone']));
  expect([...again.keys()]).toEqual(['fast']);
  expect([fast!.got, slow!.got, other!.got, deaf!.got]).toEqual([['a.0', 'a.0'], ['a.0'], [], []]);
});
