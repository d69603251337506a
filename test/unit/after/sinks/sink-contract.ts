import { describe, expect, it } from 'vitest';
import type { Sink, SinkFailureListener } from '../../../../src/after/sinks/sink.ts';
import type { SightlineError } from '../../../../src/base/errors/sightline-error.ts';
import { frameOf, person } from './frames.ts';

/** Creates a sink of the kind under test, called `under-test`. */
export type SinkMaker = (onFailure: SinkFailureListener) => Sink;

/** Tests that every sink must pass. */
export function describeSink(kind: string, makeWorking: SinkMaker, makeBroken: SinkMaker): void {
  describe(`${kind} as a sink`, () => {
    it('accepts results, drains, and closes without a failure; a second close has no effect', async () => {
      const failures: SightlineError[] = [];
      const sink = makeWorking((error) => failures.push(error));
      expect(sink.id).toBe('under-test');
      expect(sink.publish(frameOf(0, [person]), 'a.mp4')).toBe(true);
      await sink.drained();
      const closing = sink.close();
      expect(sink.close()).toBe(closing);
      await closing;
      await sink.drained();
      expect(sink.publish(frameOf(1, [person]), 'a.mp4')).toBe(true);
      expect(failures).toEqual([]);
    });

    it('closes without ever having had a result', async () => {
      await makeWorking((error) => expect.unreachable(error.message)).close();
    });

    it('reports a failure to its listener and again on close, and never throws from publish', async () => {
      const failures: SightlineError[] = [];
      const sink = makeBroken((error) => failures.push(error));
      for (let frame = 0; frame < 3; frame++) {
        sink.publish(frameOf(frame, [person]), 'a.mp4');
        await sink.drained();
      }
      await expect(sink.close()).rejects.toMatchObject({
        code: 'SINK_FAILED',
        message: expect.stringMatching(/sink under-test.*3 results were lost/),
      });
      await expect(sink.close()).rejects.toMatchObject({ code: 'SINK_FAILED' });
      expect(failures.length).toBeGreaterThan(0);
      for (const failure of failures) expect(failure.code).toBe('SINK_FAILED');
    });
  });
}
