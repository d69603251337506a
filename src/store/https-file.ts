import { SightlineError } from '../errors/sightline-error.ts';

/** Time limit of a whole download. */
const DOWNLOAD_LIMIT_MS = 10 * 60_000;

/** Downloads one file. Throws MODEL_WEIGHTS_MISSING if the server cannot be reached or answers with an error. */
export async function fetchFromHttps(url: string): Promise<Uint8Array> {
  let response: Response;
  try {
    response = await fetch(url, { signal: AbortSignal.timeout(DOWNLOAD_LIMIT_MS) });
    if (response.ok) return new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    const { message, cause } = error as Error & { cause?: { code?: string } };
    const reason = cause?.code ?? message;
    throw new SightlineError('MODEL_WEIGHTS_MISSING', `download failed: ${reason}`, { url }, { cause: error });
  }
  throw new SightlineError('MODEL_WEIGHTS_MISSING', `download failed: HTTP status ${response.status}`, { url });
}
