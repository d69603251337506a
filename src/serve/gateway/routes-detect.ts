import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { check } from '../../settings/config/check.ts';
import { type DetectReply, detectReply } from '../../wire/protocol/rest.ts';
import { requirePicture } from './requests/picture-bytes.ts';
import type { RequestIntake } from './requests/request-intake.ts';
import type { RequestPort } from './requests/request-port.ts';
import { described } from './route-schema.ts';

const detectQuery = z.strictObject({
  version: z
    .string()
    .min(1)
    .max(64)
    .optional()
    .describe('Default: the active one; of a roll-out, the candidate for its share.'),
  timeoutMs: z.coerce.number().min(1).optional().describe('From its arrival; at most `requests.timeoutMs`.'),
});

/** Types of pictures; only these routes take them. */
const PICTURE_TYPES = ['image/jpeg', 'image/png', 'image/webp', 'application/octet-stream'];

/** Adds `/api/detect`. */
export async function addDetectRoute(app: FastifyInstance, port: RequestPort, intake: RequestIntake): Promise<void> {
  const bodyLimit = intake.maxBodyBytes;
  const [onRequest, preParsing] = [intake.admit.bind(intake), intake.inTime.bind(intake)];
  await app.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', ({ headers }, _body, done) => {
      const received = JSON.stringify((headers['content-type'] ?? 'none').slice(0, 80));
      done(
        new SightlineError(
          'PROTOCOL_INVALID',
          `Content-Type: expected ${PICTURE_TYPES.join(', ')}, received ${received}`,
        ),
      );
    });
    scope.addContentTypeParser(PICTURE_TYPES, { parseAs: 'buffer', bodyLimit }, (_request, body, done) =>
      done(null, body),
    );
    const parts = { query: detectQuery, bodyTypes: PICTURE_TYPES, reply: detectReply };
    scope.post(
      '/api/detect',
      { ...described('Detects objects in a picture.', parts), bodyLimit, onRequest, preParsing },
      async (request): Promise<DetectReply> => {
        const { version, timeoutMs } = check(detectQuery, request.query, 'query');
        const found = await intake.detect(request, requirePicture(request.body), { version, timeoutMs });
        const { isCached: cached, isFallback: _, warnings, ...rest } = found;
        return { model: port.name, ...rest, cached, ...(warnings.length === 0 ? {} : { warnings }) };
      },
    );
  });
}
