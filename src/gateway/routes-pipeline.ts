import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { check } from '../config/check.ts';
import { redact, redactSource } from '../core/redact.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import { name } from '../protocol/bounds.ts';
import type { RuntimePort } from './runtime-port.ts';

const resetBody = z.strictObject({ streams: z.array(name).min(1).max(10_000).optional() }).nullish();

/** Adds `/api/pipeline`: the settings of the file, the overlay, and the effective settings. */
export function addPipelineRoutes(app: FastifyInstance, port: RuntimePort): void {
  app.get('/api/pipeline', () => withoutSecrets(port.pipeline()));

  app.post('/api/pipeline/reset', async ({ body }) => {
    const ids = check(resetBody, body, 'body')?.streams ?? null;
    if (port.resetStreams === undefined)
      throw new SightlineError(
        'ROUTE_NOT_FOUND',
        'This gateway shows a fleet: its streams are orders, without an overlay. Change or remove the streams themselves.',
      );
    await port.resetStreams(ids);
    return withoutSecrets(port.pipeline());
  });
}

/** Returns plain data in which texts are redacted, and secrets are not shown at all. */
export function withoutSecrets(value: unknown, key = ''): unknown {
  if (typeof value === 'string')
    return key === 'secret' ? '***' : key === 'source' ? redactSource(value) : redact(value);
  if (Array.isArray(value)) return value.map((entry) => withoutSecrets(entry));
  if (typeof value !== 'object' || value === null) return value;
  // A changed key of the overlay: its values are secret if the key is.
  const keyOf = (name: string): string =>
    key === 'headers' ? 'secret' : name === 'file' || name === 'now' ? key : name;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name]) => name !== 'placeholders')
      .map(([name, entry]) => [name, withoutSecrets(entry, keyOf(name))]),
  );
}
