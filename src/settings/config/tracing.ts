import { z } from 'zod';
import { range } from './number.ts';
import { mark, mayHoldPlaceholders } from './schema-text.ts';

export const tracingConfig = z.strictObject({
  url: z
    .url({ protocol: /^https?$/ })
    .meta(mark({ secret: 'receiver' }))
    .describe(
      'Address of an OpenTelemetry collector that takes OTLP over HTTP; /v1/traces and /v1/logs are added to it.',
    ),
  headers: z
    .record(
      z.string().regex(/^[\w-]+$/, 'expected names of letters, digits and dashes'),
      mayHoldPlaceholders(z.string().max(8192)),
    )
    .optional()
    .meta(mark({ secret: true }))
    .describe(`Sent with each request, such as {Authorization: "Bearer \${env:OTLP_TOKEN}"}.`),
  sampleRatio: range(0, 1)
    .default(0.001)
    .describe('Share of the frames that are traced beside those that are late or dropped, which always are.'),
  service: z.string().min(1).max(255).default('sightline').describe('service.name of all that is sent.'),
});

export type TracingConfig = z.infer<typeof tracingConfig>;
