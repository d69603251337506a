import fastifySwagger from '@fastify/swagger';
import type { FastifyInstance, FastifySchema } from 'fastify';
import { z } from 'zod';
import { RECORDS } from '../../wire/protocol/bounds.ts';
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

/** Names of schemas in the document, beside those of `RECORDS`. */
const NAMES = z.registry<{ readonly id: string }>();
/** Key of a node that is listed under a name. */
const NAME = 'x-name';

/** Gives a schema a name in the OpenAPI document. A node that is used in several places is there once. */
export function named<S extends z.ZodType>(id: string, schema: S): S {
  NAMES.add(schema, { id });
  return schema;
}

const ERROR_REPLY = named(
  'ErrorReply',
  z.object({
    error: z.object({ code: z.string(), message: z.string(), details: z.record(z.string(), z.unknown()).optional() }),
  }),
);

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
        // Not `default`, which generated clients take for a success.
        '4xx': { description: 'Why it was refused.', ...contentOf(failure, undefined) },
        '5xx': { description: 'Why it failed.', ...contentOf(failure, undefined) },
      },
    } as FastifySchema,
  };
}

/** @param types - of what is no JSON. */
function contentOf(json: z.ZodType | undefined, types: readonly string[] | undefined): object {
  if (types === undefined) return json === undefined ? {} : jsonContent(json);
  const binary = { schema: { type: 'string', format: 'binary' } };
  return {
    content: {
      ...(json === undefined ? {} : jsonContent(json).content),
      ...Object.fromEntries(types.map((type) => [type, binary])),
    },
  };
}

function jsonContent(json: z.ZodType): { readonly content: object } {
  return { content: { 'application/json': { schema: jsonSchema(json) } } };
}

function jsonSchema(schema: z.ZodType): object {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, {
    io: 'input',
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema: node }) => {
      const schema = zodSchema as unknown as z.ZodType;
      const name = NAMES.get(schema)?.id ?? RECORDS.get(schema)?.id;
      if (name !== undefined) Object.assign(node, { [NAME]: name });
    },
  });
  return rest;
}

/** Writes a list of so many items without `prefixItems` and `items: false`, which generators of clients refuse. */
function plainList({ prefixItems, items, ...rest }: Record<string, unknown>): Record<string, unknown> {
  if (!Array.isArray(prefixItems) || (items !== undefined && items !== false)) return { prefixItems, items, ...rest };
  const kinds = [...new Map(prefixItems.map((item) => [JSON.stringify(item), item as unknown])).values()];
  const count = prefixItems.length;
  return { ...rest, items: kinds.length === 1 ? kinds[0] : { anyOf: kinds }, minItems: count, maxItems: count };
}

/** Moves nodes with a name to a list, and leaves references to them. */
function withReferences(node: unknown, schemas: Record<string, unknown>): unknown {
  if (Array.isArray(node)) return node.map((each) => withReferences(each, schemas));
  if (typeof node !== 'object' || node === null) return node;
  const { [NAME]: name, ...given } = node as Record<string, unknown>;
  const rest = 'prefixItems' in given ? plainList(given) : given;
  const copy = Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, withReferences(value, schemas)]));
  if (typeof name !== 'string') return copy;
  schemas[name] ??= copy;
  return { $ref: `#/components/schemas/${name}` };
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
export async function addOpenApi(app: FastifyInstance, version: string, basePath = ''): Promise<void> {
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
  app.get('/api/openapi.json', described('This document.'), ({ protocol, host }) => {
    const { components, ...document } = app.swagger() as unknown as { components: { schemas?: object } };
    const schemas = {};
    const { paths, ...rest } = withReferences(document, schemas) as { readonly paths: object };
    return {
      ...rest,
      servers: [{ url: `${protocol}://${host}${basePath}` }],
      components: { ...components, schemas },
      paths,
    };
  });
}
