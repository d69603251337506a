import { SightlineError } from '../../../base/errors/sightline-error.ts';

/** How pictures begin that a client may send. */
const FORMATS: Readonly<Record<string, (start: string) => boolean>> = {
  JPEG: (start) => start.startsWith('\xff\xd8\xff'),
  PNG: (start) => start.startsWith('\x89PNG\r\n\x1a\n'),
  WebP: (start) => start.startsWith('RIFF') && start.endsWith('WEBP'),
};
const START_BYTES = 12;

/** Other formats have decoders that fewer people have tried to break. @throws SOURCE_UNREADABLE */
export function requirePicture(bytes: unknown): Uint8Array {
  const start = bytes instanceof Uint8Array ? Buffer.from(bytes.subarray(0, START_BYTES)).toString('latin1') : '';
  if (Object.values(FORMATS).some((isFormat) => isFormat(start))) return bytes as Uint8Array;
  const received = start === '' ? 'nothing' : `other bytes, ${Buffer.from(start, 'latin1').toString('hex')} at first`;
  throw new SightlineError(
    'SOURCE_UNREADABLE',
    `body: expected a picture (${Object.keys(FORMATS).join(', ')}), received ${received}`,
  );
}
