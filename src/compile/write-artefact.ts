import { existsSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { temporaryPathOf, writeWholeFile } from '../disk/replace-file.ts';
import { type BuildTarget, buildGraph } from './build-graph.ts';
import type { CompileSource } from './compile-source.ts';
import { emitOnnx } from './onnx/emit-onnx.ts';
import { emitSavedModel } from './tensorflow/emit-saved-model.ts';

/** A job to compile a network to a file or folder. Plain data, so that it can be sent to another process. */
export interface CompileJob {
  readonly source: CompileSource;
  readonly target: BuildTarget;
  readonly path: string;
}

/** Compiles a network and writes the engine's file or folder. Throws COMPILE_UNSUPPORTED and MODEL_INVALID, naming the model. */
export async function writeArtefact({ source, target, path }: CompileJob): Promise<void> {
  const graph = await buildGraph(source, target);
  await mkdir(dirname(path), { recursive: true });
  // Atomic, because another process may compile the same model at the same time.
  await (target.engine !== 'tensorflow'
    ? writeWholeFile(path, emitOnnx(graph))
    : writeWholeFolder(path, emitSavedModel(graph)));
}

/** Writes a SavedModel atomically. Rename does not replace an existing folder, so a second writer drops its identical copy. */
async function writeWholeFolder(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = temporaryPathOf(path);
  await mkdir(temporary);
  await writeFile(join(temporary, 'saved_model.pb'), bytes);
  try {
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { recursive: true });
    if (!existsSync(path)) throw error;
  }
}
