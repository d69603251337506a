import { expect, it } from 'vitest';
import { Incidents } from '../../../../src/base/flow/incidents.ts';
import { Listeners } from '../../../../src/base/flow/listeners.ts';

it('a listener receives every value between its addition and its removal', () => {
  const listeners = new Listeners<number>();
  const heard: number[] = [];
  listeners.emit(1);
  const leave = listeners.add((value) => heard.push(value));
  listeners.emit(2);
  listeners.emit(3);
  leave();
  listeners.emit(4);
  expect(heard).toEqual([2, 3]);
  expect(listeners.size).toBe(0);
});

it('a listener that removes itself during a call does not affect the others', () => {
  const listeners = new Listeners<number>();
  const heard: string[] = [];
  const leave = listeners.add(() => {
    heard.push('first');
    leave();
  });
  listeners.add(() => heard.push('second'));
  listeners.emit(1);
  listeners.emit(2);
  expect(heard).toEqual(['first', 'second', 'second']);
});

it('an exception or rejection of a listener is counted and does not affect the others', async () => {
  const incidents = new Incidents();
  const listeners = new Listeners<number>('values', incidents);
  const heard: number[] = [];
  listeners.add(() => {
    throw new Error('a bug');
  });
  listeners.add(async () => {
    throw new Error('a bug that shows later');
  });
  listeners.add((value) => heard.push(value));
  expect(() => listeners.emit(1)).not.toThrow();
  await new Promise((resolve) => setImmediate(resolve));
  expect(heard).toEqual([1]);
  expect(incidents.caught.get('a listener to values')).toBe(2);
});
