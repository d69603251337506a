import { Presets, SingleBar } from 'cli-progress';
import { terminalText } from '../base/core/terminal-text.ts';
import { type CliIo, note } from './cli-io.ts';

export interface Progress {
  update(done: number, total: number, text: string): void;
  stop(): void;
}

const MINUTE_MS = 60_000;

/**
 * Shows a progress bar on a terminal and nothing elsewhere, so that logs and pipes stay readable; with `everyMinute` a line a minute.
 *
 * @param ownEstimate - the text contains the time left; otherwise the bar estimates it.
 */
export function startProgress(
  io: CliIo,
  unit: string,
  { ownEstimate = false, everyMinute = false, now = (): number => performance.now() } = {},
): Progress {
  if (io.stderr.isTTY !== true) return everyMinute ? minuteLines(io, now) : { update() {}, stop() {} };
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

function minuteLines(io: CliIo, now: () => number): Progress {
  let nextMs = now() + MINUTE_MS;
  return {
    update(done, total, text) {
      if (now() < nextMs) return;
      nextMs = now() + MINUTE_MS;
      note(io, `${Math.floor((100 * done) / Math.max(total, 1e-9))}% | ${text}`);
    },
    stop() {},
  };
}
