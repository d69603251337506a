import type { GraphNode } from './graph.ts';

/** A whole number among the attributes of a node. */
export function intOf(node: GraphNode, name: string, otherwise: number): number {
  const attribute = node.attributes.get(name);
  return attribute?.kind === 'int' ? attribute.value : otherwise;
}

/** A real number among the attributes of a node. */
export function floatOf(node: GraphNode, name: string, otherwise: number): number {
  const attribute = node.attributes.get(name);
  return attribute?.kind === 'float' ? attribute.value : otherwise;
}

/** A list of whole numbers among the attributes of a node. */
export function intsOf(node: GraphNode, name: string, otherwise: readonly number[]): readonly number[] {
  const attribute = node.attributes.get(name);
  return attribute?.kind === 'ints' ? attribute.value : otherwise;
}

/** A text among the attributes of a node. */
export function textOf(node: GraphNode, name: string, otherwise: string): string {
  const attribute = node.attributes.get(name);
  return attribute?.kind === 'string' ? attribute.value : otherwise;
}
