import type { FfmpegBinary } from '../decode/ffmpeg-binary.ts';
import { ensureDemoClip } from '../source/demo-clip.ts';
import { fetchFromNpm } from '../store/npm-package.ts';
import type { Environment } from './environment.ts';

const PHOTO_PACKAGE = '@vladmandic/human@3.3.6';
const PHOTO_PATH = 'assets/samples.jpg';

/** The demonstration clip: made once, of a photograph that comes by npm with the default detector. */
export function demoSource(
  ffmpeg: FfmpegBinary,
  environment: Environment,
  onNotice: (text: string) => void,
): Promise<string> {
  return ensureDemoClip({
    ffmpegPath: ffmpeg.path,
    cacheDir: environment.cacheDir,
    fetchPhoto: fetchDemoPhoto,
    onNotice,
  });
}

/** The JPEG that the clip is made of, 1280x1158: small photographs of people side by side. */
export async function fetchDemoPhoto(): Promise<Uint8Array> {
  return (await fetchFromNpm(PHOTO_PACKAGE, [PHOTO_PATH])).get(PHOTO_PATH)!;
}
