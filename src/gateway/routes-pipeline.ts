import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { check } from '../config/check.ts';
import { HIDDEN, isSecretName, redact, redactSource, redactWebhook } from '../core/redact.ts';
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

/** How texts are shown under some keys. */
const SHOWN: Readonly<Record<string, (text: string) => string>> = { source: redactSource, url: redactWebhook };

/** Returns plain data in which texts are redacted, and secrets are not shown at all. */
export function withoutSecrets(value: unknown, key = ''): unknown {
  const isPlain = typeof value !== 'object' || value === null;
  if (isPlain && value !== null && value !== undefined && isSecretName(key)) return HIDDEN;
  if (typeof value === 'string') return (SHOWN[key] ?? redact)(value);
  if (isPlain) return value;
  if (Array.isArray(value)) return value.map((entry) => withoutSecrets(entry, isSecretName(key) ? key : ''));
  // All below a secret is secret, and so are both values of a changed key of the overlay; a certificate's key is the path of a file.
  const keyOf = (name: string): string =>
    isSecretName(key) || name === 'file' || name === 'now' ? key : key === 'tls' && name === 'key' ? '' : name;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name]) => name !== 'placeholders')
      .map(([name, entry]) => [name, withoutSecrets(entry, keyOf(name))]),
  );
}
