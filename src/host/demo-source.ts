import type { Environment } from '../config/environment.ts';
import type { FfmpegBinary } from '../decode/ffmpeg-binary.ts';
import { ensureDemoClip } from '../source/demo-clip.ts';
import { fetchFromNpm } from '../store/npm-package.ts';

/** The examples of node-opencv (MIT): a black and a grey car on streets. The archive is 5.5 MB. */
const CARS = { spec: 'opencv@7.0.0', black: 'examples/files/car1.jpg', grey: 'examples/files/car2.jpg' } as const;
/** Photographs of people, of the package of the default detector (MIT). */
const PEOPLE = { spec: '@vladmandic/human@3.3.6', sheet: 'assets/samples.jpg' } as const;

/** Returns the demonstration clip. It is made once, from photographs in an npm package. */
export function demoSource(
  ffmpeg: FfmpegBinary,
  environment: Environment,
  onNotice: (text: string) => void,
): Promise<string> {
  return ensureDemoClip({
    ffmpeg,
    cacheDir: environment.cacheDir,
    fetchPictures: async () => {
      const files = await fetchFromNpm(CARS.spec, [CARS.black, CARS.grey]);
      return { blackCar: files.get(CARS.black)!, greyCar: files.get(CARS.grey)! };
    },
    onNotice,
  });
}

/** Fetches a JPEG of photographs of people, 1280x1158: a row of small ones at its top. */
export async function fetchPeoplePhoto(): Promise<Uint8Array> {
  return (await fetchFromNpm(PEOPLE.spec, [PEOPLE.sheet])).get(PEOPLE.sheet)!;
}
