import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { SightlineError } from '../../errors/sightline-error.ts';
import type { Decision } from '../../protocol/rollout-records.ts';
import { isJsonObject, LineFile } from '../../sinks/line-file.ts';

/** The last line is read to find out where to continue; a decision with all guards has a few kilobytes. */
const TAIL_BYTES = 256 * 1024;
/** Decisions kept while the file cannot be written. */
const MOST_PENDING = 10_000;

/**
 * The append-only record of every decision: one JSON object a line with who, what, when and the figures. Each host of a
 * pipeline writes all decisions, also those of other hosts, so that no crash and no loss of Redis loses one.
 */
export class AuditLog {
  readonly #file: LineFile;
  readonly #onNotice: (text: string) => void;
  #lastFence: number;
  #pending: Decision[] = [];
  #writing: Promise<void> = Promise.resolve();
  #isFailing = false;

  private constructor(file: LineFile, lastFence: number, onNotice: (text: string) => void) {
    this.#file = file;
    this.#lastFence = lastFence;
    this.#onNotice = onNotice;
  }

  /** Opens or creates the file and its folder, and removes an incomplete last line. @throws SINK_FAILED */
  static async open(path: string, onNotice: (text: string) => void): Promise<AuditLog> {
    try {
      await mkdir(dirname(path), { recursive: true });
      const file = await LineFile.open(path, { firstCharacters: '{', isWhole: isJsonObject });
      return new AuditLog(file, lastFenceOf(await file.end(TAIL_BYTES)), onNotice);
    } catch (error) {
      throw new SightlineError('SINK_FAILED', `audit log ${path}: ${(error as Error).message}`, { path });
    }
  }

  /** Appends the decisions that the file does not have, oldest first. What cannot be written now is written later. */
  append(decisions: readonly Decision[]): Promise<void> {
    for (const decision of decisions) {
      if (decision.fence <= this.#lastFence) continue;
      this.#lastFence = decision.fence;
      this.#pending.push(decision);
    }
    this.#writing = this.#writing.then(() => this.#write());
    return this.#writing;
  }

  async close(): Promise<void> {
    await this.append([]);
    await this.#file.close();
  }

  async #write(): Promise<void> {
    if (this.#pending.length === 0) return;
    const batch = this.#pending;
    this.#pending = [];
    let text = '';
    for (const decision of batch) text += lineOf(decision);
    const { keptBytes, error } = await this.#file.append(Buffer.from(text));
    if (error === null) {
      await this.#file.sync().catch(() => undefined);
      this.#isFailing = false;
      return;
    }
    const written = Buffer.from(text).subarray(0, keptBytes).toString().split('\n').length - 1;
    this.#pending = [...batch.slice(written), ...this.#pending].slice(-MOST_PENDING);
    if (!this.#isFailing) this.#onNotice(`the audit log ${this.#file.path} cannot be written: ${error.message}`);
    this.#isFailing = true;
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
