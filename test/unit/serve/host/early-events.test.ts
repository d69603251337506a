import { expect, it } from 'vitest';
import { Listeners } from '../../../../src/base/flow/listeners.ts';
import { EarlyEvents } from '../../../../src/serve/host/early-events.ts';
import type { EventMessage } from '../../../../src/wire/protocol/feed.ts';

it('what a sink says before there is a listener is a notice at once, and an event for the first listener, once', () => {
  const notices: string[] = [];
  const early = new EarlyEvents((text) => notices.push(text));
  const events = new Listeners<EventMessage>('events');
  const seen: string[] = [];
  const emitEvent = (kind: string, _: unknown, text: string): void => void seen.push(`at once: ${kind} ${text}`);
  early.add('sink-failed', 'disk full', {});
  early.add('sink-notice', 'two left', {});
  events.add(({ kind, message }) => seen.push(`${kind} ${message}`));
  early.handOver({ events, emitEvent });
  early.handOver({ events, emitEvent });
  early.add('sink-failed', 'disk full again', {});
  expect(notices).toEqual(['error: disk full [SINK_FAILED]', 'two left']);
  expect(seen).toEqual(['sink-failed disk full', 'sink-notice two left', 'at once: sink-failed disk full again']);
});
