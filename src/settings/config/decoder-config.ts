import { z } from 'zod';
import { DEFAULT_MAX_PIXELS } from '../../base/core/frame.ts';
import { whole } from './number.ts';

export const decoderConfig = z.strictObject({
  sandbox: z
    .enum(['auto', 'bwrap', 'landlock', 'none'])
    .default('auto')
    .describe(
      'What keeps ffmpeg from other files and the network. `auto`: bwrap, else landlock, whichever decodes a picture here. One that is named must work.',
    ),
  maxPixels: whole(4096, 2_147_483_647)
    .default(DEFAULT_MAX_PIXELS)
    .describe('Largest picture that is decoded, width x height; a larger one is an error.'),
  memoryMib: whole(128, 1_048_576)
    .default(4096)
    .describe('Most memory of one ffmpeg, on Linux; not for hardware decoders, which map that of the device.'),
  packaged: z
    .boolean()
    .default(true)
    .describe('Whether the ffmpeg in an npm package, of 2018, is used where there is no other.'),
});

export type DecoderConfig = z.infer<typeof decoderConfig>;
