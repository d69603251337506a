import { basename } from 'node:path';
import type { ModelRoots } from '../../../network/store/admit-model.ts';
import type { ModelConfig } from '../../../settings/config/model-config.ts';

/** Settings for an ONNX file, from a configuration or a command line, that add to the information in the file. */
export type FileSettings = Pick<ModelConfig, 'family' | 'labels' | 'colours' | 'range' | 'resize'>;

/** Picks the settings that apply to an ONNX file. */
export function fileSettings({ family, labels, colours, range, resize }: FileSettings): FileSettings {
  return { family, labels, colours, range, resize };
}

export interface DetectorPlaces {
  /** Folders of SIGHTLINE_MODEL_PATH. */
  readonly searchPath: readonly string[];
  readonly cacheDir: string;
  /** The only files that may be named by path; absent for a user of this machine, who may name any. */
  readonly modelRoots?: ModelRoots | undefined;
}

export interface DetectorRequest extends DetectorPlaces {
  readonly settings?: FileSettings | undefined;
  /** Input size in pixels, for an ONNX file whose axes are free. */
  readonly inputSize?: { readonly width: number; readonly height: number } | undefined;
  /** Receives a sentence about a download of ONNX Runtime; if absent, it is not fetched. */
  readonly onNotice?: ((text: string) => void) | undefined;
  /** Ends that download. */
  readonly signal?: AbortSignal | undefined;
}

/** Derives a valid model name from a file name. */
export function modelName(path: string): string {
  const plain = basename(path)
    .replace(/\.[^.]*$/, '')
    .toLowerCase()
    .replace(/[^a-z0-9.-]+/g, '-')
    .replace(/^[^a-z0-9]+|[-.]+$/g, '')
    .slice(0, 64);
  return plain === '' ? 'model' : plain;
}
