import { XMLParser } from 'fast-xml-parser';
import { SightlineError } from '../../../base/errors/sightline-error.ts';

/** Largest reply that is read. */
export const MOST_REPLY_BYTES = 512 * 1024;

const parser = new XMLParser({
  removeNSPrefix: true,
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  parseTagValue: false,
  parseAttributeValue: false,
});

/** An element of a reply, by the local names of what it holds. */
export type SoapNode = { readonly [name: string]: unknown };

/**
 * Returns the body of a SOAP message.
 *
 * @throws SOURCE_UNREADABLE if it is none. SOAP allows no document types, so none is read: their entities can grow without bound.
 */
export function soapParts(text: string): { readonly header: SoapNode; readonly body: SoapNode } {
  if (/<!(?:DOCTYPE|ENTITY)/i.test(text)) throw unreadable('its reply has a document type, which SOAP forbids');
  let envelope: SoapNode;
  try {
    envelope = childOf(parser.parse(text) as SoapNode, 'Envelope');
  } catch (error) {
    throw unreadable(`its reply is not XML (${(error as Error).message})`);
  }
  if (envelope.Body === undefined) throw unreadable('its reply is no SOAP message');
  return { header: childOf(envelope, 'Header'), body: childOf(envelope, 'Body') };
}

function unreadable(problem: string): SightlineError {
  return new SightlineError('SOURCE_UNREADABLE', problem);
}

/** Returns an element by its path; one without content if there is none. */
export function childOf(node: SoapNode, ...path: readonly string[]): SoapNode {
  let at = node;
  for (const name of path) at = listOf(at[name])[0] ?? {};
  return at;
}

/** Returns all elements of a name. */
export function listOf(value: unknown): readonly SoapNode[] {
  const list: readonly unknown[] = Array.isArray(value) ? value : value === undefined ? [] : [value];
  return list.map((each) => (typeof each === 'object' && each !== null ? (each as SoapNode) : { '#text': each }));
}

/** Returns the text of an element; empty if there is none. */
export function textAt(node: SoapNode, ...path: readonly string[]): string {
  const text = childOf(node, ...path)['#text'];
  return typeof text === 'string' ? text.trim() : '';
}

/** Writes a text into XML. */
export function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
