import { dirname } from 'node:path';
import type { SourceInput } from '../core/source.ts';
import type { Access } from '../process/sandbox-view.ts';

/** Returns what an ffmpeg needs that reads a source. @param hwaccel - as in the plan. */
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

/** The segments of a playlist lie beside it. */
function accessOfFile(path: string): Access {
  return { reads: [/\.(?:m3u8|mpd)$/i.test(path) ? dirname(path) : path] };
}
