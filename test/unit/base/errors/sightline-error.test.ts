import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { ERROR_CODES } from '../../../../src/base/errors/error-codes.ts';
import { SightlineError } from '../../../../src/base/errors/sightline-error.ts';

describe('SightlineError', () => {
  it('keeps its code, message and details when serialised', () => {
    const error = new SightlineError('SOURCE_EMPTY', 'nothing here', { path: '/x' });
    const back = SightlineError.fromWire(JSON.parse(JSON.stringify(error.toWire())));
    expect(back).toBeInstanceOf(SightlineError);
    expect([back.code, back.message, back.details]).toEqual(['SOURCE_EMPTY', 'nothing here', { path: '/x' }]);
  });

  it('has details whose types follow from its code', () => {
    const thrown: unknown = new SightlineError('SINK_BUSY', 'busy', { path: '/x', pid: 7 });
    if (!(thrown instanceof SightlineError) || thrown.code !== 'SINK_BUSY') throw new Error('another error');
    const pid: number | undefined = thrown.details.pid;
    // @ts-expect-error A number.
    const text: string | undefined = thrown.details.pid;
    expect([pid, text]).toEqual([7, 7]);
    expect(inspect(thrown)).toMatch(/^SightlineError: busy/);
  });

  it('is told from other results by instanceof', () => {
    const result = new SightlineError('SINK_BUSY', 'busy') as SightlineError | { readonly fps: number };
    const fps = result instanceof SightlineError ? null : result.fps;
    expect(fps).toBe(null);
  });

  it('takes isRetryable and the exit code from the table', () => {
    expect(new SightlineError('CONFIG_INVALID', '').exitCode).toBe(2);
    expect(new SightlineError('SOURCE_UNREACHABLE', '').exitCode).toBe(1);
    expect(new SightlineError('SOURCE_UNREACHABLE', '').isRetryable).toBe(true);
    expect(new SightlineError('CONFIG_INVALID', '').isRetryable).toBe(false);
  });

  it('returns a SightlineError unchanged and wraps anything else with its cause', () => {
    const own = new SightlineError('SOURCE_EMPTY', 'a');
    expect(SightlineError.from(own, 'INTERNAL_ERROR')).toBe(own);
    const cause = new TypeError('boom');
    const wrapped = SightlineError.from(cause, 'ENGINE_FAILED');
    expect([wrapped.code, wrapped.message, wrapped.cause]).toEqual(['ENGINE_FAILED', 'boom', cause]);
    expect(SightlineError.from('text', 'ENGINE_FAILED').message).toBe('text');
  });
});

it('every code has a description that is a sentence', () => {
  for (const [code, { doc }] of Object.entries(ERROR_CODES)) expect(doc, code).toMatch(/^[A-Za-z].{10,}\.$/);
});
