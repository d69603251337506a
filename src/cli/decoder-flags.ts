import type { Command } from 'commander';
import { check } from '../config/check.ts';
import { type DecoderConfig, decoderConfig } from '../config/decoder-config.ts';
import { DEFAULT_MAX_PIXELS } from '../core/frame.ts';

export interface DecoderFlags {
  readonly maxPixels?: number;
  readonly decoderMemory?: number;
  readonly sandbox?: string;
}

/** Adds the flags that say what ffmpeg may use: `decoder` of a pipeline. */
export function addDecoderFlags(command: Command): Command {
  return command
    .option('--max-pixels <n>', `largest picture that is read, width x height (default: ${DEFAULT_MAX_PIXELS})`, Number)
    .option('--decoder-memory <mib>', 'memory limit of each ffmpeg in MiB, on Linux (default: 4096)', Number)
    .option('--sandbox <kind>', 'sandbox for ffmpeg: auto, bwrap, landlock or none (default: auto)');
}

/** @throws CONFIG_INVALID */
export function decoderConfigOf({ maxPixels, decoderMemory, sandbox }: DecoderFlags): DecoderConfig {
  return check(decoderConfig, { maxPixels, memoryMib: decoderMemory, sandbox }, 'flags of the decoder');
}
