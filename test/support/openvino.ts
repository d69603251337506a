import { dirname } from 'node:path';
import { findOpenvino } from '../../src/network/store/openvino/openvino-place.ts';
import { readEnvironment } from '../../src/settings/config/environment.ts';

/** File of OpenVINO's C library, undefined where it is not set up; suites that need it are skipped, and say so once. */
export const openvinoLibrary: string | undefined = findOpenvino(readEnvironment(process.env))?.libraryPath;

/** Its folder, for what looks for it with another cache. */
export const openvinoDir: string | undefined = openvinoLibrary === undefined ? undefined : dirname(openvinoLibrary);

export const hasOpenvino: boolean = openvinoLibrary !== undefined;

if (!hasOpenvino) console.warn('SKIPPED: engine openvino is not set up (npm run setup:openvino)');
