import type { Graph } from '../graph.ts';
import { alignChannels } from './align-channels.ts';
import { foldScalars } from './fold-scalars.ts';
import { keepBlocked } from './keep-blocked.ts';
import { splitRelus } from './split-relus.ts';

/** Rewrites a graph for speed; results stay the same but for the rounding of f32. */
export function optimise(graph: Graph): Graph {
  return alignChannels(splitRelus(keepBlocked(foldScalars(graph))));
}
