import { DEFAULT_MAX_PIXELS } from '../base/core/frame.ts';
import { check } from '../settings/config/check.ts';
import { type DecoderConfig, decoderConfig } from '../settings/config/decoder-config.ts';
import { type FlagsOf, flagTable } from './flag-values.ts';

/** What ffmpeg may use: `decoder` of a pipeline. */
export const DECODER_FLAGS = flagTable({
  '--max-pixels <n>': [`largest picture that is read, width x height (default: ${DEFAULT_MAX_PIXELS})`, Number],
  '--decoder-memory <mib>': ['memory limit of each ffmpeg in MiB, on Linux (default: 4096)', Number],
  '--sandbox <kind>': 'sandbox for ffmpeg: auto, bwrap, landlock or none (default: auto)',
});

export type DecoderFlags = FlagsOf<typeof DECODER_FLAGS>;

/** @throws CONFIG_INVALID */
export function decoderConfigOf({ maxPixels, decoderMemory, sandbox }: DecoderFlags): DecoderConfig {
  return check(decoderConfig, { maxPixels, memoryMib: decoderMemory, sandbox }, 'flags of the decoder');
}
