import type { GraphNode } from './graph.ts';

/** Returns an integer attribute of a node. */
export function intOf(node: GraphNode, name: string, otherwise: number): number {
  const attribute = node.attributes.get(name);
  return attribute?.kind === 'int' ? attribute.value : otherwise;
}

/** Returns a float attribute of a node. */
export function floatOf(node: GraphNode, name: string, otherwise: number): number {
  const attribute = node.attributes.get(name);
  return attribute?.kind === 'float' ? attribute.value : otherwise;
}

/** Returns an integer list attribute of a node. */
export function intsOf(node: GraphNode, name: string, otherwise: readonly number[]): readonly number[] {
  const attribute = node.attributes.get(name);
  return attribute?.kind === 'ints' ? attribute.value : otherwise;
}

/** Returns a string attribute of a node. */
export function textOf(node: GraphNode, name: string, otherwise: string): string {
  const attribute = node.attributes.get(name);
  return attribute?.kind === 'string' ? attribute.value : otherwise;
}
