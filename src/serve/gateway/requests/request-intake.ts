import { PassThrough, type Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Clock } from '../../../base/core/clock.ts';
import { MIB } from '../../../base/disk/given-file.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { outcomeOf, RequestLedger } from './request-ledger.ts';
import type { DetectedPicture, DetectOptions, RequestPort } from './request-port.ts';

/** All bodies together have this many times the bytes of one. */
const BODIES = 8;
/** A picture takes tens of milliseconds; `Retry-After` knows whole seconds. */
const RETRY_S = 1;

interface Admitted {
  readonly arrivedMs: number;
  /** Aborted when the client is gone, or the deadline has passed. */
  readonly controller: AbortController;
}

/** Admits requests with pictures within the limits, ends them at their deadline, and counts what becomes of each. */
export class RequestIntake {
  readonly ledger = new RequestLedger();
  readonly #port: RequestPort;
  readonly #clock: Clock;
  readonly #admitted = new WeakMap<FastifyRequest, Admitted>();
  #count = 0;
  #bytes = 0;

  constructor(port: RequestPort, clock: Clock) {
    this.#port = port;
    this.#clock = clock;
  }

  get maxBodyBytes(): number {
    return this.#port.settings.maxBodyMb * MIB;
  }

  /** A hook before the body is read: what waits must fit into memory. @throws LIMIT_REACHED, PROTOCOL_INVALID */
  async admit(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const { maxBodyBytes, ledger } = this;
    const { queueSize } = this.#port.settings;
    const { headers } = request;
    const bytes = Math.min(maxBodyBytes, Number(headers['content-length'] ?? maxBodyBytes));
    ledger.receive();
    const isRoom = this.#count < queueSize && this.#bytes + bytes <= BODIES * maxBodyBytes;
    const controller = new AbortController();
    if (isRoom) {
      this.#count += 1;
      this.#bytes += bytes;
      this.#admitted.set(request, { arrivedMs: this.#clock.now(), controller });
    }
    // Follows each reply, and each connection that ends before.
    reply.raw.once('close', () => {
      ledger.settle(outcomeOf(reply.raw.writableFinished ? reply.statusCode : null));
      if (!isRoom) return;
      this.#count -= 1;
      this.#bytes -= bytes;
      controller.abort(new SightlineError('REQUEST_EXPIRED', 'the client has gone'));
    });
    if (!isRoom)
      throw new SightlineError(
        'LIMIT_REACHED',
        `requests: expected at most ${queueSize} at once, with ${BODIES} bodies of ${maxBodyBytes} bytes together, and there are as many; ` +
          `try again in ${RETRY_S} s`,
        { waitS: RETRY_S },
      );
    // Unpacking would need a bound of its own, and pictures do not get smaller.
    const encoding = headers['content-encoding'];
    if (encoding !== undefined && encoding !== 'identity')
      throw new SightlineError(
        'PROTOCOL_INVALID',
        `Content-Encoding: expected none, received ${JSON.stringify(encoding.slice(0, 80))}; send the body as it is`,
      );
  }

  /** A hook as the body is read: one that is slow keeps its place no longer than the deadline. */
  async inTime(request: FastifyRequest, reply: FastifyReply, body: Readable): Promise<Readable> {
    const asked = Number((request.query as { readonly timeoutMs?: unknown }).timeoutMs);
    // What is wrong with it is said later.
    const { mostMs, leftMs } = this.#deadlineOf(request, asked >= 1 ? asked : undefined);
    const inTime = body.pipe(new PassThrough());
    const cancel = this.#clock.setTimer(() => {
      // What else comes of it is not read.
      if (!reply.sent) reply.header('connection', 'close');
      inTime.destroy(expired(mostMs));
    }, leftMs);
    // A route may answer without reading it, or before its end.
    reply.raw.once('close', () => {
      cancel();
      inTime.destroy();
    });
    return inTime.once('close', cancel).on('error', () => undefined);
  }

  /** @param timeoutMs - as the client names it. */
  #deadlineOf(
    request: FastifyRequest,
    timeoutMs: number | undefined,
  ): { readonly mostMs: number; readonly leftMs: number } {
    const { settings } = this.#port;
    const mostMs = Math.min(timeoutMs ?? settings.timeoutMs, settings.timeoutMs);
    const { arrivedMs } = this.#admitted.get(request)!;
    return { mostMs, leftMs: Math.max(0, arrivedMs + mostMs - this.#clock.now()) };
  }

  /**
   * @param timeoutMs - from its arrival; absent or longer than the setting: that of the setting.
   * @throws REQUEST_EXPIRED, and what `RequestPort.detect` throws
   */
  async detect(
    request: FastifyRequest,
    picture: Parameters<RequestPort['detect']>[0],
    { version, timeoutMs }: Omit<DetectOptions, 'signal'> & { readonly timeoutMs?: number | undefined },
  ): Promise<DetectedPicture> {
    const { controller } = this.#admitted.get(request)!;
    const { mostMs, leftMs } = this.#deadlineOf(request, timeoutMs);
    const cancel = this.#clock.setTimer(() => controller.abort(expired(mostMs)), leftMs);
    try {
      const found = await this.#port.detect(picture, { version, signal: controller.signal });
      if (found.isCached) this.ledger.cached += 1;
      if (found.isFallback === true) this.ledger.fallback += 1;
      return found;
    } finally {
      cancel();
    }
  }
}

function expired(mostMs: number): SightlineError {
  return new SightlineError('REQUEST_EXPIRED', `the request had no result within ${mostMs} ms`);
}
