import { expect, it } from 'vitest';
import { Listeners } from '../../../src/flow/listeners.ts';

it('a listener hears every value from its coming to its going', () => {
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

it('a listener that leaves while it hears takes nothing from the others', () => {
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
