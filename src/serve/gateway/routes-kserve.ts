import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { inferReply, OUTPUT_METADATA, requireOutputs } from './requests/kserve-reply.ts';
import { INPUTS, inferRequest, readInferRequest } from './requests/kserve-request.ts';
import type { RequestIntake } from './requests/request-intake.ts';
import type { RequestPort } from './requests/request-port.ts';
import { described, named } from './route-schema.ts';

type ModelRequest = FastifyRequest<{ Params: { readonly model: string; readonly version?: string } }>;

const JSON_LENGTH = 'inference-header-content-length';

const BINARY = ['application/octet-stream'];
const failure = named('KserveError', z.object({ error: z.string() }));

const tensor = { name: z.string(), datatype: z.string(), shape: z.array(z.int()) };
const tensors = z.array(named('KserveTensor', z.object(tensor)));
const serverReply = named(
  'KserveServer',
  z.object({ name: z.string(), version: z.string(), extensions: z.array(z.string()) }),
);
const readyReply = named('KserveReady', z.looseObject({ ready: z.boolean() }));
const modelReply = named(
  'KserveModel',
  z.object({
    name: z.string(),
    versions: z.array(z.string()),
    platform: z.string(),
    inputs: tensors,
    outputs: tensors,
  }),
);
named('InferRequest', inferRequest);
const inferReplySchema = named(
  'InferReply',
  z.object({
    model_name: z.string(),
    model_version: z.string(),
    id: z.string().optional(),
    parameters: z.looseObject({ width: z.int(), height: z.int(), cached: z.boolean(), warning: z.string().optional() }),
    outputs: z.array(
      z.object({
        ...tensor,
        data: z.array(z.union([z.number(), z.string()])).optional(),
        parameters: z.object({ binary_data_size: z.int() }).optional(),
      }),
    ),
  }),
);

export interface KserveOptions {
  readonly port: RequestPort;
  readonly intake: RequestIntake;
  /** Of Sightline. */
  readonly version: string;
  isReady(): boolean;
  /** Makes failures have the body that clients of KServe know. */
  installErrors(scope: FastifyInstance): void;
}

/** Adds KServe v2 over REST, with the extension for binary tensors. */
export async function addKserveRoutes(
  app: FastifyInstance,
  { port, intake, version, isReady, installErrors }: KserveOptions,
): Promise<void> {
  const bodyLimit = intake.maxBodyBytes;
  await app.register(async (scope) => {
    installErrors(scope);
    // Clients send binary tensors without a type.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit }, (_request, body, done) => done(null, body));

    scope.get('/v2', described('KServe v2: the server.', { reply: serverReply, failure }), () => ({
      name: 'sightline',
      version,
      extensions: ['binary_tensor_data'],
    }));
    scope.get(
      '/v2/health/live',
      described('KServe v2: whether it lives.', { reply: z.object({ live: z.boolean() }), failure }),
      () => ({ live: true }),
    );
    scope.get(
      '/v2/health/ready',
      described('KServe v2: whether it can infer.', { reply: readyReply, failure }),
      (_request, reply) => {
        const ready = isReady();
        return reply.code(ready ? 200 : 503).send({ ready });
      },
    );

    const infer = async (request: ModelRequest, reply: FastifyReply) => {
      const version = versionOf(port, request);
      if (!(request.body instanceof Uint8Array))
        throw new SightlineError('PROTOCOL_INVALID', 'body: expected JSON, received nothing');
      const stated = request.headers[JSON_LENGTH];
      const read = readInferRequest(request.body, stated === undefined ? undefined : String(stated));
      requireOutputs(read);
      const found = await intake.detect(request, read.picture, { version, timeoutMs: read.timeoutMs });
      const { body, jsonBytes } = inferReply(port.name, read, found);
      if (jsonBytes !== null) reply.header(JSON_LENGTH, jsonBytes);
      return reply.type(jsonBytes === null ? 'application/json' : 'application/octet-stream').send(body);
    };
    for (const path of ['/v2/models/:model', '/v2/models/:model/versions/:version']) {
      scope.get(
        path,
        described('KServe v2: what a model takes and gives.', { reply: modelReply, failure }),
        (request: ModelRequest) => {
          versionOf(port, request);
          const versions = port.versions().map(({ version }) => version);
          return { name: port.name, versions, platform: 'sightline', inputs: INPUTS, outputs: OUTPUT_METADATA };
        },
      );
      scope.get(
        `${path}/ready`,
        described('KServe v2: whether a model can infer.', { reply: readyReply, failure }),
        (request: ModelRequest, reply) => {
          versionOf(port, request);
          const ready = isReady();
          return reply.code(ready ? 200 : 503).send({ name: port.name, ready });
        },
      );
      const parts = { body: inferRequest, bodyTypes: BINARY, reply: inferReplySchema, replyTypes: BINARY, failure };
      const schema = described('KServe v2: infers a picture.', parts);
      const hooks = { onRequest: intake.admit.bind(intake), preParsing: intake.inTime.bind(intake) };
      scope.post<{ Params: ModelRequest['params'] }>(`${path}/infer`, { ...schema, bodyLimit, ...hooks }, infer);
    }
  });
}

/** @returns undefined if the request names none. @throws MODEL_NOT_FOUND */
function versionOf(port: RequestPort, { params: { model, version } }: ModelRequest): string | undefined {
  if (model !== port.name)
    throw new SightlineError('MODEL_NOT_FOUND', `model ${JSON.stringify(model)}: not here; expected ${port.name}`);
  const known = port.versions().map((each) => each.version);
  if (version === undefined || known.includes(version)) return version;
  throw new SightlineError(
    'MODEL_NOT_FOUND',
    `version ${JSON.stringify(version)} of ${model}: not loaded; loaded are: ${known.join(', ')}`,
  );
}
