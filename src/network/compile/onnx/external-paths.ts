import { basename } from 'node:path';
import { MODEL_FILE, openGiven, readModel } from '../../../base/disk/given-file.ts';
import { ExternalData } from './external-data.ts';
import { onnxParts } from './onnx-parts.ts';
import { externalLocation } from './read-tensor.ts';

/**
 * Lists the external data files of an ONNX file, as written in the file, each once.
 *
 * Throws MODEL_INVALID if the bytes are not an ONNX file.
 */
export function externalFiles(bytes: Uint8Array, where: string): string[] {
  const locations = onnxParts(bytes, where).constants.map(externalLocation);
  return [...new Set(locations.filter((location) => location !== undefined))];
}

/**
 * Lists the files in which an ONNX file keeps constants.
 *
 * @throws MODEL_INVALID if one leads out of the folder of the ONNX file, does not exist or is no regular file: a library that
 *   opened it could wait for ever.
 */
export async function externalPaths(path: string): Promise<string[]> {
  const where = basename(path);
  const folder = new ExternalData(path);
  const paths = externalFiles(await readModel(path), where).map((location) => folder.resolve(location, where));
  for (const each of paths) await (await openGiven(each, MODEL_FILE)).handle.close();
  return paths;
}
