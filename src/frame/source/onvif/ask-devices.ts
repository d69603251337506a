import { SightlineError } from '../../../base/errors/sightline-error.ts';
import type { OfferedCamera } from '../../../wire/protocol/offered-camera.ts';
import type { Dialler } from '../open/dialler.ts';
import type { FoundDevice } from './find-devices.ts';
import { type Login, OnvifDevice } from './onvif-device.ts';

const REPLY_MS = 5_000;
/** Devices that are asked at once. */
const AT_ONCE = 8;

/** Asks devices for their streams. Those that are left when the signal aborts are not asked. Never rejects. */
export async function askDevices(
  devices: readonly FoundDevice[],
  login: Login | null,
  dialler: Dialler,
  signal: AbortSignal,
): Promise<OfferedCamera[]> {
  const cameras: OfferedCamera[] = [];
  for (let i = 0; i < devices.length; i += AT_ONCE)
    cameras.push(
      ...(await Promise.all(devices.slice(i, i + AT_ONCE).map((device) => ask(device, login, dialler, signal)))),
    );
  return cameras;
}

async function ask(
  { url, ...device }: FoundDevice,
  login: Login | null,
  dialler: Dialler,
  signal: AbortSignal,
): Promise<OfferedCamera> {
  if (url === null) return { ...device, problem: 'it names no service at its own address', streams: [] };
  if (signal.aborted) return { ...device, problem: 'there was no time to ask it', streams: [] };
  try {
    const options = { url, address: device.address, login, dialler, timeoutMs: REPLY_MS };
    return { ...device, problem: null, streams: await new OnvifDevice(options).profiles() };
  } catch (error) {
    return { ...device, problem: SightlineError.from(error, 'SOURCE_UNREADABLE').message, streams: [] };
  }
}
