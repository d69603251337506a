import { describe, expect, it } from 'vitest';
import { logEvent } from '../../../../src/serve/host/open-gateway.ts';
import type { EventMessage } from '../../../../src/wire/protocol/feed.ts';

describe('an event in the log', () => {
  it.each<[Pick<EventMessage, 'kind' | 'message' | 'stream'>, string]>([
    [{ kind: 'stream-state', stream: 'gate', message: 'gate is running' }, 'info gate is running'],
    [{ kind: 'stream-warning', stream: 'gate', message: 'gate: 2 slots' }, 'warn gate: 2 slots'],
    [{ kind: 'stream-warning', stream: 'gate', message: 'damaged data' }, 'warn gate: damaged data'],
    [{ kind: 'line-crossed', stream: 'gate', message: 'gateway is open' }, 'info gate: gateway is open'],
    [{ kind: 'engine-failed', message: '3 batches failed' }, 'warn 3 batches failed'],
  ])('%j names its stream once', (event, expected) => {
    const lines: string[] = [];
    const log = {
      info: (_: object, text: string) => lines.push(`info ${text}`),
      warn: (_: object, text: string) => lines.push(`warn ${text}`),
      error: (_: object, text: string) => lines.push(`error ${text}`),
    };
    logEvent(log, { type: 'event', timeMs: 0, ...event });
    expect(lines).toEqual([expected]);
  });
});
