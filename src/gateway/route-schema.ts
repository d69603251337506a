import fastifySwagger from '@fastify/swagger';
import type { FastifyInstance, FastifySchema } from 'fastify';
import { z } from 'zod';
import { jsonSchemaOf } from '../config/schema-text.ts';
import { accessOf } from './access/route-access.ts';

export interface RouteParts {
  readonly query?: z.ZodType;
  readonly body?: z.ZodType;
  /** Media types of a body that is no JSON. */
  readonly bodyTypes?: readonly string[];
  readonly reply?: z.ZodType;
  /** Media types of a reply that is no JSON, or not always, see `reply`. */
  readonly replyTypes?: readonly string[];
  /** What a failure answers, if not what it answers elsewhere. */
  readonly failure?: z.ZodType;
  readonly status?: 200 | 201 | 204;
}

const ERROR_REPLY = z.object({
  error: z.object({ code: z.string(), message: z.string(), details: z.record(z.string(), z.unknown()).optional() }),
});

/**
 * Describes a route for the OpenAPI document. Handlers check their input themselves, so that errors name what was expected.
 *
 * @param summary - what it does, in one sentence.
 */
export function described(
  summary: string,
  { query, body, bodyTypes, reply, replyTypes, failure = ERROR_REPLY, status = 200 }: RouteParts = {},
): { readonly schema: FastifySchema } {
  return {
    schema: {
      summary,
      ...(query === undefined ? {} : { querystring: jsonSchema(query) }),
      ...(body === undefined && bodyTypes === undefined ? {} : { body: contentOf(body, bodyTypes) }),
      response: {
        [status]: { description: 'Done.', ...contentOf(reply, replyTypes) },
        default: { description: 'Why it failed.', ...jsonSchema(failure) },
      },
    } as FastifySchema,
  };
}

/** @param types - of what is no JSON. */
function contentOf(json: z.ZodType | undefined, types: readonly string[] | undefined): object {
  if (types === undefined) return json === undefined ? {} : jsonSchema(json);
  const binary = { schema: { type: 'string', format: 'binary' } };
  return {
    content: {
      ...(json === undefined ? {} : { 'application/json': { schema: jsonSchema(json) } }),
      ...Object.fromEntries(types.map((type) => [type, binary])),
    },
  };
}

function jsonSchema(schema: z.ZodType): object {
  const { $schema: _dialect, ...rest } = jsonSchemaOf(schema);
  return rest;
}

/** Returns what generated clients call a route: `postStreamsByIdPause`. */
function operationIdOf(method: string, pattern: string): string {
  const parts = pattern
    .replace(/^\/api/, '')
    .split(/[/.-]/)
    .filter(Boolean);
  const names = parts.map((part) =>
    part.replace(/^(:?)(.)/, (_, isName, first) => `${isName && 'By'}${first.toUpperCase()}`),
  );
  return `${method.toLowerCase()}${names.join('')}`;
}

/** Makes `/api/openapi.json` of the routes that are added afterwards. */
export async function addOpenApi(app: FastifyInstance, version: string): Promise<void> {
  app.setValidatorCompiler(() => () => true);
  app.setSerializerCompiler(() => (reply) => JSON.stringify(reply));
  await app.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Sightline', version },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
    },
    transform: ({ schema, url, route }) => {
      const method = String([route.method].flat()[0]);
      const access = accessOf(method, url);
      const isHidden = schema?.summary === undefined || access === null;
      const security = access === 'open' ? [] : [{ token: [] }];
      const shown = { hide: isHidden, operationId: operationIdOf(method, url), security, 'x-role': access };
      return { url, schema: { ...schema, ...shown } };
    },
  });
  app.get('/api/openapi.json', described('This document.'), () => app.swagger());
}
