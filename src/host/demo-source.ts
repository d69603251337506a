import type { Environment } from '../config/environment.ts';
import type { FfmpegBinary } from '../decode/ffmpeg-binary.ts';
import { ensureDemoClip } from '../source/demo-clip.ts';
import { fetchFromNpm } from '../store/npm-package.ts';

const PHOTO_PACKAGE = '@vladmandic/human@3.3.6';
const PHOTO_PATH = 'assets/samples.jpg';

/** Returns the demonstration clip. It is made once, from a photograph in the npm package of the default detector. */
export function demoSource(
  ffmpeg: FfmpegBinary,
  environment: Environment,
  onNotice: (text: string) => void,
): Promise<string> {
  return ensureDemoClip({
    ffmpeg,
    cacheDir: environment.cacheDir,
    fetchPhoto: fetchDemoPhoto,
    onNotice,
  });
}

/** Fetches the JPEG that the clip is made from, 1280x1158: small photographs of people side by side. */
export async function fetchDemoPhoto(): Promise<Uint8Array> {
  return (await fetchFromNpm(PHOTO_PACKAGE, [PHOTO_PATH])).get(PHOTO_PATH)!;
}
