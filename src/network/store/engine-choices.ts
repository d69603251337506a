import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { writeWholeFile } from '../../base/disk/replace-file.ts';

const choiceSchema = z.object({
  model: z.string(),
  /** For example `512x512`. */
  inputSize: z.string(),
  /** As requested by the user. */
  precision: z.string(),
  cpu: z.string(),
  /** One entry for each engine that can run the model, fastest first. */
  measured: z.array(z.object({ engine: z.string(), precision: z.string(), frameMs: z.number() })),
});

/** The measurements of engine `auto` for one model on this machine. */
export type EngineChoice = z.infer<typeof choiceSchema>;

/**
 * Measurements of engine `auto`, one cache file each, named by a hash of everything that can change the outcome. A file that
 * cannot be read is treated as missing, so the engines are measured again.
 */
export class EngineChoices {
  readonly #folder: string;

  constructor(cacheDir: string) {
    this.#folder = join(cacheDir, 'engine-choices');
  }

  /** Hashes everything that the choice depends on: artefacts, libraries, processor, settings. */
  static keyOf(facts: readonly unknown[]): string {
    return createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 16);
  }

  async find(key: string): Promise<EngineChoice | null> {
    return this.#read(`${key}.json`);
  }

  async keep(key: string, choice: EngineChoice): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    await writeWholeFile(join(this.#folder, `${key}.json`), `${JSON.stringify(choice, null, 2)}\n`);
  }

  /**
   * Lists the newest measurement of each model, input size and set of engines with their precisions, sorted by model and
   * size. Older ones were made with other libraries or another artefact.
   */
  async list(): Promise<EngineChoice[]> {
    const names = await readdir(this.#folder).catch(() => []);
    const files = await Promise.all(names.filter((name) => name.endsWith('.json')).map((name) => this.#dated(name)));
    const newest = new Map<string, EngineChoice>();
    for (const { choice } of files.sort((a, b) => a.writtenMs - b.writtenMs)) {
      if (choice === null) continue;
      const engines = choice.measured.map(({ engine, precision }) => `${engine} ${precision}`).sort();
      newest.set(JSON.stringify([choice.model, choice.inputSize, engines]), choice);
    }
    return [...newest.values()].sort(
      (a, b) =>
        byNumberAndText(a.model, b.model) ||
        byNumberAndText(a.inputSize, b.inputSize) ||
        byNumberAndText(a.precision, b.precision),
    );
  }

  async #dated(name: string): Promise<{ choice: EngineChoice | null; writtenMs: number }> {
    const [choice, file] = await Promise.all([this.#read(name), stat(join(this.#folder, name)).catch(() => null)]);
    return { choice, writtenMs: file?.mtimeMs ?? 0 };
  }

  async #read(name: string): Promise<EngineChoice | null> {
    try {
      return choiceSchema.parse(JSON.parse(await readFile(join(this.#folder, name), 'utf8')));
    } catch {
      return null;
    }
  }
}

/** Compares such that 96x64 comes before 512x512. */
function byNumberAndText(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true });
}

/** Formats a choice as `centernet 512x512: openvino bf16 18.9 ms, onnx f32 39.1 ms a frame`. */
export function choiceText(choice: EngineChoice): string {
  return `${choice.model} ${choice.inputSize}: ${comparisonText(choice)} a frame`;
}

/** Formats the times of a frame as `openvino bf16 18.9 ms, onnx f32 39.1 ms`. */
export function comparisonText({ measured }: EngineChoice): string {
  const each = measured.map(({ engine, precision, frameMs }) => `${engine} ${precision} ${frameMs.toFixed(1)} ms`);
  return each.join(', ');
}
