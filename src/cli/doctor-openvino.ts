import type { OpenvinoFacts } from '../base/core/openvino-facts.ts';
import { findOpenvino, type OpenvinoPlace } from '../network/store/openvino/openvino-place.ts';
import { probeOpenvino } from '../network/store/openvino/probe-openvino.ts';
import { reasonOf, toolRunner } from '../network/store/wheels/run-tool.ts';
import type { Environment } from '../settings/config/environment.ts';
import { type Finding, fine, remark } from './finding.ts';

const WHAT = 'engine openvino';
const SETUP = 'sightline setup openvino';

/** Number formats by OpenVINO's name, with the name that `--precision` uses. */
const FORMATS = { FP32: 'f32', BF16: 'bf16', FP16: 'f16', INT8: 'int8' } as const;

/** Reports OpenVINO's version, its devices and their number formats; or what is missing and the command that installs it. */
export async function examineOpenvino(environment: Environment, stop: AbortSignal): Promise<Finding[]> {
  let place: OpenvinoPlace | null;
  try {
    place = findOpenvino(environment);
  } catch (error) {
    return [remark(WHAT, (error as Error).message, SETUP)];
  }
  if (place === null) return [remark(WHAT, 'not set up (optional; the fastest on Intel CPUs)', SETUP)];
  try {
    return openvinoFindings(place, await probeOpenvino(place.libraryPath, toolRunner(stop)));
  } catch (error) {
    const found = `${place.libraryPath} cannot be loaded: ${reasonOf(error)}`;
    return [remark(WHAT, found, SETUP)];
  }
}

/** Maps what the library reported to findings. */
export function openvinoFindings(
  { libraryPath, foundBy }: OpenvinoPlace,
  { version, devices }: OpenvinoFacts,
): Finding[] {
  return [
    fine(WHAT, `OpenVINO ${version.split('-')[0]} at ${libraryPath} (${foundBy})`),
    ...devices.map(({ name, fullName, capabilities }) => {
      const formats = Object.entries(FORMATS).flatMap(([capability, precision]) =>
        capabilities.includes(capability) ? [precision] : [],
      );
      return fine(`openvino ${name}`, `${fullName}, computes natively in ${formats.join(', ')}`);
    }),
  ];
}
