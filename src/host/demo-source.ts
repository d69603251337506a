import { existsSync } from 'node:fs';
import type { Environment } from '../config/environment.ts';
import type { FfmpegBinary } from '../decode/ffmpeg-binary.ts';
import { runInChild } from '../runtime/model/run-in-child.ts';
import { fetchFromNpm } from '../store/npm-package.ts';
import { demoClipPath, makeDemoClip } from './demo-clip.ts';
import type { DemoPictures } from './demo-scene.ts';

/** The examples of node-opencv (MIT): a black and a grey car on streets. */
const CARS = { spec: 'opencv@7.0.0', black: 'examples/files/car1.jpg', grey: 'examples/files/car2.jpg' } as const;
/** Photographs of people, of the package of the default detector (MIT). */
const PEOPLE = { spec: '@vladmandic/human@3.3.6', sheet: 'assets/samples.jpg' } as const;

export interface DemoJob {
  readonly ffmpeg: FfmpegBinary;
  readonly path: string;
}

/** Returns the demonstration clip. It is made once, from photographs in an npm package, by a process that ends; a signal kills it. */
export async function demoSource(
  ffmpeg: FfmpegBinary,
  environment: Environment,
  onNotice: (text: string) => void,
  signal?: AbortSignal,
): Promise<string> {
  const path = demoClipPath(environment.cacheDir);
  if (existsSync(path)) return path;
  onNotice(
    'making the demonstration clip (first use only): fetching its pictures (5.5 MB, by npm), about 10 s to encode',
  );
  const job: DemoJob = { ffmpeg, path };
  await runInChild<void>('demo-clip.process', job, 'demonstration clip: the process that makes it', { signal });
  return path;
}

/** Fetches the pictures and makes the clip. @throws as `makeDemoClip` does. */
export function answerDemoJob({ ffmpeg, path }: DemoJob, signal: AbortSignal): Promise<void> {
  const fetchPictures = async (): Promise<DemoPictures> => {
    const files = await fetchFromNpm(CARS.spec, [CARS.black, CARS.grey], { signal });
    return { blackCar: files.get(CARS.black)!, greyCar: files.get(CARS.grey)! };
  };
  return makeDemoClip(ffmpeg, path, fetchPictures, signal);
}

/** Fetches a JPEG of photographs of people, 1280x1158: a row of small ones at its top. */
export async function fetchPeoplePhoto(): Promise<Uint8Array> {
  return (await fetchFromNpm(PEOPLE.spec, [PEOPLE.sheet])).get(PEOPLE.sheet)!;
}
