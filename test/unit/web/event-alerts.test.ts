import { expect, it, vi } from 'vitest';

vi.mock('../../../web/gateway.js', () => ({ gateway: {} }));
vi.mock('../../../web/html.js', () => ({ html: () => null }));
const { deliveryText } = await import(new URL('../../../web/event-alerts.js', import.meta.url).href);

const AT = new Date(2026, 11, 1, 21, 3, 42).getTime();

it.each([
  [{ state: 'sent', answer: 'answered 200' }, 'Sent to webhook-1 at 21:03:42, answered 200.'],
  [{ state: 'sent' }, 'Sent to webhook-1 at 21:03:42.'],
  [
    { state: 'retried', answer: 'the server answered 503', attempt: 2, mostAttempts: 8, nextMs: AT + 28_000 },
    'webhook-1 did not take it at 21:03:42: the server answered 503. Try 3 of 8 at 21:04:10.',
  ],
  [
    { state: 'failed', answer: 'the server answered 404' },
    'Not sent to webhook-1: given up at 21:03:42, the server answered 404.',
  ],
  [
    { state: 'held', withMs: AT - 30_000, hold: '1m' },
    'Not sent to webhook-1: sent with the alert of 21:03:12, one in 1m.',
  ],
  [{ state: 'quiet', untilMs: new Date(2026, 11, 2, 6).getTime() }, 'Not sent to webhook-1: quiet until 06:00.'],
  [{ state: 'waiting' }, 'Waits to be sent to webhook-1 since 21:03:42.'],
])('says what became of an alert: %j', (delivery, text) => {
  expect(deliveryText({ channel: 'webhook-1', atMs: AT, ...delivery })).toBe(text);
});
