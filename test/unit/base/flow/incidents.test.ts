import { describe, expect, it } from 'vitest';
import { SightlineError } from '../../../../src/base/errors/sightline-error.ts';
import { CHANNELS, Incidents, REFUSALS, REFUSALS_OF } from '../../../../src/base/flow/incidents.ts';
import { ManualClock } from '../../../support/manual-clock.ts';

function counted(incidents: Incidents): string[] {
  return incidents.refusals
    .filter(({ count }) => count > 0)
    .map(({ channel, reason, count }) => `${channel} ${reason} ${count}`);
}

describe('incidents', () => {
  it('are counted by channel and reason, each from 0 on', () => {
    const incidents = new Incidents();
    expect(incidents.refusals.every(({ count }) => count === 0)).toBe(true);
    expect(new Set(incidents.refusals.map(({ channel }) => channel))).toEqual(new Set(CHANNELS));
    incidents.refuse('rest', 'schema', () => 'x');
    incidents.refuse('rest', 'schema', () => 'x');
    incidents.refuse('bus-stats', 'fence', () => 'x');
    expect(counted(incidents)).toEqual(['bus-stats fence 1', 'rest schema 2']);
  });

  it('are reported at most once a second per kind, with the number of unreported ones', () => {
    const clock = new ManualClock();
    const told: string[] = [];
    const incidents = new Incidents((text) => told.push(text), clock);
    for (let i = 0; i < 1000; i++) incidents.refuse('rest', 'json', () => `body ${i}`);
    incidents.refuse('rest', 'schema', () => 'another kind');
    incidents.catch('the feed', new Error('a bug'));
    expect(told.map((text) => text.split('\n')[0])).toEqual([
      'a message was refused (rest, json): body 0',
      'a message was refused (rest, schema): another kind',
      'an exception in the feed was caught: Error: a bug',
    ]);
    clock.advance(1000);
    incidents.refuse('rest', 'json', () => 'later');
    expect(told.at(-1)).toBe('a message was refused (rest, json): later (and 999 more since the last report)');
  });

  it('of operations that are tried again are counted from 0 on, with the code or the stack of the error', () => {
    const clock = new ManualClock();
    const told: string[] = [];
    const incidents = new Incidents((text) => told.push(text), clock);
    expect(Object.fromEntries(incidents.failures)).toEqual({ planning: 0, 'model-check': 0 });
    incidents.fail('planning', new SightlineError('FRAME_LEAKED', 'slot 3'));
    incidents.fail('model-check', new Error('a bug'));
    expect(Object.fromEntries(incidents.failures)).toEqual({ planning: 1, 'model-check': 1 });
    expect(told[0]).toBe('planning failed and is tried again: slot 3 [FRAME_LEAKED]');
    expect(told[1]).toMatch(/^model-check failed and is tried again: Error: a bug\n +at /);
    clock.advance(1000);
    incidents.fail('planning', 'x'.repeat(1e6));
    expect(told[2]!.length, 'what is no error is quoted in part, too').toBeLessThan(400);
    clock.advance(1000);
    incidents.fail('planning', new Error('again'));
    expect(told[3], 'nothing went unreported').not.toContain('more since');
  });

  it('stop exceptions, rejections and failing reports at a barrier', async () => {
    const incidents = new Incidents(() => {
      throw new Error('the log is gone');
    });
    incidents.run('a', () => {
      throw new Error('at once');
    });
    incidents.guard('a', async (value: number) => Promise.reject(new Error(`later ${value}`)))(7);
    incidents.run('b', () => {
      throw Object.create(null);
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(Object.fromEntries(incidents.caught)).toEqual({ a: 2, b: 1 });
  });

  it('catch an exception in a timer before it reaches the event loop', () => {
    const clock = new ManualClock();
    const incidents = new Incidents();
    incidents.clock('a timer', clock).setTimer(() => {
      throw new Error('a bug');
    }, 10);
    expect(() => clock.advance(9)).not.toThrow();
    expect([incidents.caught.size, incidents.clock('a timer', clock).now()]).toEqual([0, 9]);
    expect(() => clock.advance(1)).not.toThrow();
    expect(incidents.caught.get('a timer')).toBe(1);
  });

  it('limit the quoted part of a message to one line', () => {
    const told: string[] = [];
    new Incidents((text) => told.push(text)).refuse('rest', 'json', () => 'x'.repeat(1e6));
    expect(told[0]!.length).toBeLessThan(400);
  });

  it('name only reasons that exist', () => {
    for (const channel of CHANNELS) for (const reason of REFUSALS_OF[channel]) expect(REFUSALS).toContain(reason);
  });
});
