import { basename } from 'node:path';
import { MODEL_FILE, openGiven, readModel } from '../../disk/given-file.ts';
import { ExternalData } from './external-data.ts';
import { externalFiles } from './import-onnx.ts';

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
