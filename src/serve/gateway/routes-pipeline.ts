import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { check } from '../../settings/config/check.ts';
import { shownSetting, shownSettings } from '../../settings/config/shown-settings.ts';
import { streamConfig } from '../../settings/config/stream.ts';
import { name } from '../../wire/protocol/bounds.ts';
import type { RuntimePort } from '../../wire/protocol/ports/runtime-port.ts';
import type { PipelineReport } from '../../wire/protocol/rest.ts';
import { pipelineConfig } from '../pipeline/pipeline.ts';
import { described } from './route-schema.ts';

const resetBody = z.strictObject({ streams: z.array(name).min(1).max(10_000).optional() }).nullish();

/** Adds `/api/pipeline`: the settings of the file, the overlay, and the effective settings. */
export function addPipelineRoutes(app: FastifyInstance, port: RuntimePort): void {
  app.get('/api/pipeline', described('The settings of the file, the overlay, and both together.'), () =>
    shownReport(port.pipeline()),
  );

  app.post(
    '/api/pipeline/reset',
    described('Gives streams the settings of the file.', { body: resetBody }),
    async ({ body }) => {
      const ids = check(resetBody, body, 'body')?.streams ?? null;
      if (port.resetStreams === undefined)
        throw new SightlineError(
          'ROUTE_NOT_FOUND',
          'This gateway shows a fleet: its streams are orders, without an overlay. Change or remove the streams themselves.',
        );
      await port.resetStreams(ids);
      return shownReport(port.pipeline());
    },
  );
}

function shownReport({ file, overlay, effective, ...report }: PipelineReport): PipelineReport {
  return {
    ...report,
    file: shownPipeline(file),
    overlay: overlay === null ? null : { ...overlay, streams: shownOverlay(overlay.streams) },
    effective: shownPipeline(effective),
  };
}

/** What its placeholders stand for is no setting. */
function shownPipeline(pipeline: object): object {
  return shownSettings(pipelineConfig, { ...pipeline, placeholders: undefined });
}

/** Returns the changes of an overlay, by stream, without secrets. */
export function shownOverlay(streams: object): object {
  return mapValues(streams, (_, { added, changed, ...entry }: OverlaidStream) => ({
    ...entry,
    ...(added && { added: shownSettings(streamConfig, added) }),
    ...(changed && {
      changed: mapValues(changed, (key, values: object) =>
        mapValues(values, (_, value) => shownSetting(streamConfig, key, value)),
      ),
    }),
  }));
}

interface OverlaidStream {
  readonly added?: object;
  readonly changed?: object;
}

function mapValues<V>(record: object, map: (key: string, value: V) => unknown): object {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(key, value)]));
}
