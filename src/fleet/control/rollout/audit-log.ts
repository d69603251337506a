import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isJsonObject, JSON_LINES, LineFile } from '../../../after/sinks/line-file.ts';
import { LineLog } from '../../../after/sinks/line-log.ts';
import { AT_ONCE } from '../../../after/sinks/line-writer.ts';
import { counted } from '../../../base/core/counted.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import type { Decision } from '../../../wire/protocol/rollout-records.ts';

/** The last line is read to find out where to continue; a decision with all guards has a few kilobytes. */
const TAIL_BYTES = 256 * 1024;

/**
 * The append-only record of every decision: one JSON object a line with who, what, when and the figures. Each host of a
 * pipeline writes all decisions, also those of other hosts, so that no crash and no loss of Redis loses one.
 */
export class AuditLog {
  readonly #log: LineLog;
  #lastFence: number;

  private constructor(path: string, first: LineFile, lastFence: number, onNotice: (text: string) => void) {
    this.#lastFence = lastFence;
    let opened: LineFile | null = first;
    const open = async (): Promise<LineFile> => {
      const file = opened ?? (await LineFile.open(path, JSON_LINES));
      opened = null;
      return file;
    };
    this.#log = new LineLog({
      id: 'audit',
      path,
      open,
      retries: 'always',
      sync: 'batch',
      chunk: AT_ONCE,
      keeps: 'newest',
      onFailure: ({ cause }) => onNotice(`the audit log ${path} cannot be written: ${(cause as Error).message}`),
      onRecovery: (lost) => {
        if (lost > 0)
          onNotice(`the audit log ${path} is written again; ${counted(lost, 'decision')} from before are lost`);
      },
    });
  }

  /** Opens or creates the file and its folder, and removes an incomplete last line. @throws SINK_FAILED */
  static async open(path: string, onNotice: (text: string) => void): Promise<AuditLog> {
    try {
      await mkdir(dirname(path), { recursive: true });
      const file = await LineFile.open(path, JSON_LINES);
      return new AuditLog(path, file, lastFenceOf(await file.end(TAIL_BYTES)), onNotice);
    } catch (error) {
      throw new SightlineError('SINK_FAILED', `audit log ${path}: ${(error as Error).message}`, { path });
    }
  }

  /** Appends the decisions that the file does not have, oldest first. What cannot be written now is written later. */
  append(decisions: readonly Decision[]): Promise<void> {
    for (const decision of decisions) {
      if (decision.fence <= this.#lastFence) continue;
      this.#lastFence = decision.fence;
      this.#log.write(lineOf(decision), 1);
    }
    return this.#log.flush();
  }

  async close(): Promise<void> {
    // `onFailure` has said why decisions are lost.
    await this.#log.finish().catch(() => undefined);
  }
}

function lineOf({ timeMs, who, kind, ...rest }: Decision): string {
  return `${JSON.stringify({ time: new Date(timeMs).toISOString(), who, kind, ...rest, timeMs })}\n`;
}

function lastFenceOf(tail: string): number {
  const line = tail.trimEnd().split('\n').at(-1) ?? '';
  if (!isJsonObject(line)) return 0;
  const { fence } = JSON.parse(line) as { fence?: unknown };
  return typeof fence === 'number' ? fence : 0;
}
