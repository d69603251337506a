import { openTracing, type Tracing } from '../../frame/telemetry/tracing/open-tracing.ts';
import { findPackageFiles } from '../gateway/package-files.ts';
import type { PipelineConfig } from '../pipeline/pipeline.ts';
import { resolvedTracing } from '../pipeline/resolve-placeholders.ts';

/** Opens what a pipeline sets for traces; undefined if it sets nothing. The host that gets it closes it. */
export async function tracingOf(
  config: PipelineConfig,
  onNotice: (text: string) => void,
): Promise<Tracing | undefined> {
  const settings = resolvedTracing(config);
  return settings && openTracing(settings, findPackageFiles().version, onNotice);
}
