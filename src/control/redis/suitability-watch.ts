import { SightlineError } from '../../errors/sightline-error.ts';
import type { FleetAlarm } from '../control-plane.ts';
import type { RedisConnection } from './connect.ts';
import { adviceFor, checkSuitability } from './redis-suitability.ts';

const DEFAULT_CHECK_MS = 60_000;

/** Checks once a minute that Redis still suits a fleet: its settings may change, or a fail-over may lead to another server. */
export class SuitabilityWatch {
  readonly #connection: RedisConnection;
  readonly #onAdvice: (text: string) => void;
  readonly #onAlarm: (alarm: FleetAlarm) => void;
  readonly #timer: NodeJS.Timeout;
  /** Advice that was given; `undefined` before the first check, because it was given when the connection was opened. */
  #advice: string | null | undefined;
  #trouble: string | null = null;

  constructor(
    connection: RedisConnection,
    onAdvice: (text: string) => void,
    onAlarm: (alarm: FleetAlarm) => void,
    checkMs = DEFAULT_CHECK_MS,
  ) {
    this.#connection = connection;
    this.#onAdvice = onAdvice;
    this.#onAlarm = onAlarm;
    this.#timer = setInterval(() => void this.check(), checkMs);
    this.#timer.unref();
  }

  /** Why hosts should not count as ready; null if nothing is wrong. */
  get trouble(): string | null {
    return this.#trouble;
  }

  /** Never rejects: a Redis that does not answer is reported by the calls that need it. */
  async check(): Promise<void> {
    const { label } = this.#connection.address;
    const info = await this.#connection.call((client) => client.info()).catch(() => null);
    if (info === null) return;
    const trouble = troubleOf(info, label);
    if (trouble !== null && this.#trouble === null)
      this.#onAlarm({ kind: 'control-unsuitable', message: trouble, details: { address: label } });
    if (trouble === null && this.#trouble !== null)
      this.#onAlarm({
        kind: 'control-suitable',
        message: `${label}: Redis is suitable again`,
        details: { address: label },
      });
    this.#trouble = trouble;
    const advice = adviceFor(info, label);
    if (advice !== null && this.#advice !== undefined && advice !== this.#advice) this.#onAdvice(advice);
    this.#advice = advice;
  }

  close(): void {
    clearInterval(this.#timer);
  }
}

function troubleOf(info: string, label: string): string | null {
  try {
    checkSuitability(info, label);
    return null;
  } catch (error) {
    return SightlineError.from(error, 'INTERNAL_ERROR').message;
  }
}
