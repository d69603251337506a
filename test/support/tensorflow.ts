import { findBindingPlace, readSetupRecord } from '../../src/network/store/tensorflow/binding-place.ts';
import { readEnvironment } from '../../src/settings/config/environment.ts';

/** Is the engine tensorflow set up? Suites that need it use `skipIf(!hasTensorflow)`; it is said once that they do. */
export const hasTensorflow: boolean = isSetUp();

function isSetUp(): boolean {
  const place = findBindingPlace(readEnvironment(process.env).cacheDir);
  if (place !== null && readSetupRecord(place) !== null) return true;
  console.warn('SKIPPED: engine tensorflow is not set up (npm run setup:tensorflow)');
  return false;
}
