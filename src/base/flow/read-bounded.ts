/**
 * Reads the body of a reply to its end.
 *
 * @param onBytes - gets the bytes that have come so far.
 * @throws Error if it has more than `mostBytes`; the connection is ended then, and nothing more is read.
 */
export async function readBounded(
  response: Response,
  mostBytes: number,
  onBytes?: (doneBytes: number) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let doneBytes = 0;
  // Leaving the loop ends the connection.
  for await (const chunk of response.body ?? []) {
    doneBytes += chunk.length;
    if (doneBytes > mostBytes) throw new Error(`the reply has more than ${mostBytes} bytes`);
    chunks.push(chunk);
    onBytes?.(doneBytes);
  }
  return new Uint8Array(Buffer.concat(chunks));
}
