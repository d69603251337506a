import { Presets, SingleBar } from 'cli-progress';
import { terminalText } from '../core/terminal-text.ts';
import type { CliIo } from './cli-io.ts';

export interface Progress {
  update(done: number, total: number, text: string): void;
  stop(): void;
}

/**
 * Shows a progress bar on a terminal and nothing elsewhere, so that logs and pipes stay readable.
 *
 * @param ownEstimate - the text contains the time left; otherwise the bar estimates it.
 */
export function startProgress(io: CliIo, unit: string, { ownEstimate = false } = {}): Progress {
  if (io.stderr.isTTY !== true) return { update() {}, stop() {} };
  const bar = new SingleBar(
    {
      stream: io.stderr as NodeJS.WriteStream,
      format: `{bar} {percentage}% | {text}${ownEstimate ? '' : ' | {eta_formatted} left'}`,
      hideCursor: true,
      clearOnComplete: true,
      barsize: 28,
      etaBuffer: 50,
      forceRedraw: false,
      fps: 8,
    },
    Presets.shades_classic,
  );
  bar.start(1, 0, { text: unit });
  return {
    update(done, total, text) {
      bar.setTotal(Math.max(total, done, 1e-9));
      bar.update(done, { text: terminalText(text) });
    },
    stop: () => bar.stop(),
  };
}
