import type { SourceInput } from '../../base/core/source.ts';
import type { Access } from '../../base/process/sandbox-view.ts';

/** Returns what an ffmpeg that reads a source needs. @param hwaccel - as in the plan. */
export function accessOf({ kind, url }: SourceInput, hwaccel = 'none'): Access {
  const usesHardware = hwaccel !== 'none';
  switch (kind) {
    case 'file':
      return { ...accessOfFile(url.replace(/^file:/, '')), usesHardware };
    case 'device':
      return { devices: [url], usesHardware };
    case 'synthetic':
      return { usesHardware };
    default:
      return { network: true, usesHardware };
  }
}

/** As `accessOf`, for a file or an address in ffmpeg's form. */
export function accessOfUrl(url: string): Access {
  return url.startsWith('file:') ? accessOfFile(url.slice('file:'.length)) : { network: true };
}

/** A local file opens nothing but itself. */
function accessOfFile(path: string): Access {
  return { reads: [path] };
}
