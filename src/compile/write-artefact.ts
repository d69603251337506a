import { existsSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type BuildTarget, buildGraph } from './build-graph.ts';
import type { CompileSource } from './compile-source.ts';
import { emitOnnx } from './onnx/emit-onnx.ts';
import { emitSavedModel } from './tensorflow/emit-saved-model.ts';

/** A file or folder to be made of a network. Plain data: crosses processes. */
export interface CompileJob {
  readonly source: CompileSource;
  readonly target: BuildTarget;
  readonly path: string;
}

/** Compiles a network and writes what the engine loads. Throws COMPILE_UNSUPPORTED and MODEL_INVALID, naming the model. */
export async function writeArtefact({ source, target, path }: CompileJob): Promise<void> {
  const graph = await buildGraph(source, target);
  await (target.engine !== 'tensorflow'
    ? writeFileWhole(path, emitOnnx(graph))
    : writeFolderWhole(path, emitSavedModel(graph)));
}

/** Another process may compile the same model at the same time: a reader sees a whole file or none. */
async function writeFileWhole(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = temporaryName(path);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(temporary, bytes);
  await rename(temporary, path);
}

/** A SavedModel is a folder, and a folder that is there is not replaced: who comes second has made the same and drops it. */
async function writeFolderWhole(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = temporaryName(path);
  await mkdir(temporary, { recursive: true });
  await writeFile(join(temporary, 'saved_model.pb'), bytes);
  try {
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { recursive: true });
    if (!existsSync(path)) throw error;
  }
}

function temporaryName(path: string): string {
  return `${path}.${process.pid}-${Math.random().toString(36).slice(2)}.tmp`;
}
