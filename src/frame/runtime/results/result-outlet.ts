import type { PublishedFrame } from '../../../base/core/frame.ts';
import type { SightlineError } from '../../../base/errors/sightline-error.ts';
import type { InFlightFrame } from '../stream/in-flight-frame.ts';

/** Where the results of streams go besides listeners. It may hold files back. */
export interface ResultOutlet {
  /** Whether the results of a stream go anywhere. */
  reads(streamId: string): boolean;
  /** Returns a promise that settles when a file may go on; null if its next result can be taken. */
  room(streamId: string): Promise<unknown> | null;
  /**
   * Takes the next result of a stream.
   *
   * @param label - of the source, for messages.
   * @param inFlight - whose slot holds the picture.
   * @param mayWait - true for files, which ask for `room` before their next result.
   * @returns a promise that settles when the frame's slot can be released; null if it can be released at once.
   */
  publish(frame: PublishedFrame, label: string, inFlight: InFlightFrame, mayWait: boolean): Promise<unknown> | null;
  /** Writes what it has taken. @returns its failures */
  close(): Promise<SightlineError[]>;
}

/** Results go to listeners only. */
export const NO_OUTLET: ResultOutlet = {
  reads: () => false,
  room: () => null,
  publish: () => null,
  close: async () => [],
};
