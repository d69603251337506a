import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { writeWholeFile } from '../disk/replace-file.ts';

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

  async list(): Promise<EngineChoice[]> {
    const names = await readdir(this.#folder).catch(() => []);
    const choices = await Promise.all(names.filter((name) => name.endsWith('.json')).map((name) => this.#read(name)));
    return choices.filter((choice) => choice !== null);
  }

  async #read(name: string): Promise<EngineChoice | null> {
    try {
      return choiceSchema.parse(JSON.parse(await readFile(join(this.#folder, name), 'utf8')));
    } catch {
      return null;
    }
  }
}

/** Formats a choice as `centernet 512x512: openvino bf16 18.9 ms, onnx f32 39.1 ms a frame`. */
export function choiceText({ model, inputSize, measured }: EngineChoice): string {
  const each = measured.map(({ engine, precision, frameMs }) => `${engine} ${precision} ${frameMs.toFixed(1)} ms`);
  return `${model} ${inputSize}: ${each.join(', ')} a frame`;
}
