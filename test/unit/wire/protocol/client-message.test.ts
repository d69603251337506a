import { describe, expect, it } from 'vitest';
import { clientMessage, EVENT_KINDS, TOPICS } from '../../../../src/wire/protocol/feed.ts';
import { LATENCY_STAGES } from '../../../../src/wire/protocol/latency.ts';
import { STREAM_STATES } from '../../../../src/wire/protocol/report.ts';

describe('messages of a client', () => {
  it.each([
    { type: 'subscribe', topics: ['stats'] },
    { type: 'subscribe', topics: [...TOPICS], streams: ['a', 'b'] },
    { type: 'subscribe', topics: ['stats'], format: 'json' },
    { type: 'subscribe', topics: ['preview'], format: 'msgpack', previewFps: 0.5 },
    { type: 'subscribe', topics: ['detections'], detections: 'all' },
    { type: 'subscribe', topics: ['detections'], detections: 'changes', movedPx: 0 },
    { type: 'unsubscribe', topics: ['preview'] },
  ])('accepts %j', (message) => {
    expect(clientMessage.parse(message)).toEqual(message);
  });

  it.each([
    { type: 'subscribe' },
    { type: 'subscribe', topics: [] },
    { type: 'subscribe', topics: ['everything'] },
    { type: 'subscribe', topics: ['stats'], streams: [] },
    { type: 'subscribe', topics: ['stats'], streams: [''] },
    { type: 'subscribe', topics: ['stats'], stream: 'a' },
    { type: 'unsubscribe', topics: ['stats'], streams: ['a'] },
    { type: 'subscribe', topics: ['stats'], streams: ['x'.repeat(65)] },
    { type: 'subscribe', topics: ['stats'], streams: Array(1001).fill('a') },
    { type: 'subscribe', topics: Array(1000).fill('stats') },
    { type: 'subscribe', topics: ['stats'], format: 'xml' },
    { type: 'unsubscribe', topics: ['stats'], format: 'json' },
    { type: 'subscribe', topics: ['stats'], detections: 'changes' },
    { type: 'subscribe', topics: ['detections'], detections: 'some' },
    { type: 'subscribe', topics: ['detections'], movedPx: 4 },
    { type: 'subscribe', topics: ['detections'], detections: 'all', movedPx: 4 },
    { type: 'subscribe', topics: ['detections'], detections: 'changes', movedPx: -1 },
    { type: 'subscribe', topics: ['stats'], previewFps: 1 },
    { type: 'subscribe', topics: ['preview'], previewFps: 0 },
    { type: 'shout', topics: ['stats'] },
    null,
    'subscribe',
  ])('refuses %j', (message) => {
    expect(clientMessage.safeParse(message).success).toBe(false);
  });
});

it('the lists of the protocol have no duplicate names', () => {
  for (const names of [TOPICS, EVENT_KINDS, STREAM_STATES, LATENCY_STAGES] as readonly (readonly string[])[])
    expect(new Set(names).size).toBe(names.length);
});
