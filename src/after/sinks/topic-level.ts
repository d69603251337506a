/**
 * Encodes a text as one level of a topic or subject: letters, digits, `-` and `_` stay, all else is percent-encoded, so that no separator,
 * wildcard or control character is left.
 */
export function topicLevel(text: string): string {
  const hex = (character: string): string => `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
  return encodeURIComponent(Buffer.from(text).toString()).replaceAll(/[.*!'()~]/g, hex);
}
