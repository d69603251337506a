import { z } from 'zod';
import { ID_PATTERN } from '../core/ids.ts';
import { BUS_TOPICS } from '../protocol/fleet.ts';

const id = z.string().regex(ID_PATTERN);

/** A message of the bus as it crosses the network. */
export const busMessage = z.strictObject({
  topic: z.enum(BUS_TOPICS),
  hostId: id,
  stream: id.nullable(),
  fence: z.number().int().min(0).nullable(),
  body: z.unknown(),
});
