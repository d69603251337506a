import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { recordHash } from '../../base/disk/artefact-hash.ts';
import { temporaryPathOf, writeWholeFile } from '../../base/disk/replace-file.ts';
import { buildGraph } from './build-graph.ts';
import { type CompileJob, SAVED_MODEL_FILE } from './compile-job.ts';
import { emitOnnx } from './onnx/emit-onnx.ts';
import { emitSavedModel } from './tensorflow/emit-saved-model.ts';

/** Compiles a network and writes the engine's file or folder. Throws COMPILE_UNSUPPORTED and MODEL_INVALID, naming the model. */
export async function writeArtefact({ source, target, path }: CompileJob): Promise<void> {
  const graph = await buildGraph(source, target);
  await mkdir(dirname(path), { recursive: true });
  const bytes = target.format === 'saved-model' ? emitSavedModel(graph) : emitOnnx(graph);
  await recordHash(path, createHash('sha256').update(bytes).digest('hex'));
  // Atomic, because another process may compile the same model at the same time. The same source gives the same bytes.
  await (target.format === 'saved-model' ? writeWholeFolder(path, bytes) : writeWholeFile(path, bytes));
}

/** Writes a SavedModel atomically. Rename does not replace an existing folder, so a second writer drops its identical copy. */
async function writeWholeFolder(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = temporaryPathOf(path);
  await mkdir(temporary);
  try {
    await writeFile(join(temporary, SAVED_MODEL_FILE), bytes);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { recursive: true });
    if (!existsSync(path)) throw error;
  }
}
