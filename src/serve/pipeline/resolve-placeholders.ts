import type { z } from 'zod';
import { sinkConfig } from '../../after/sinks/sink-kinds.ts';
import type { SightlineError } from '../../base/errors/sightline-error.ts';
import { inspect } from '../../settings/config/check.ts';
import type { Variables } from '../../settings/config/environment.ts';
import {
  hasPlaceholder,
  type Placeholders,
  resolvePlaceholders,
  sinkText,
} from '../../settings/config/placeholders.ts';
import { jsonSchemaOf, marksOf, replaceTexts } from '../../settings/config/schema-text.ts';
import { tracingConfig } from '../../settings/config/tracing.ts';
import { type PipelineConfig, pipelineConfig } from './pipeline.ts';

/** Returns a fault for each placeholder where none is resolved: `${env:NAME}` would stay as it is, which users do not expect. */
export function misplacedPlaceholders(document: unknown): string[] {
  const faults: string[] = [];
  replaceTexts(document, jsonSchemaOf(pipelineConfig), (text, at, node) => {
    // A key that the schema does not have is a fault of its own.
    if (node !== null && marksOf(node).placeholders !== true && /\$\{(?:env|file):/.test(text))
      faults.push(
        `${at}: expected no placeholder here; sources can have them, and the settings that docs/config.md names`,
      );
    return text;
  });
  return faults;
}

/** Resolves the placeholders of sources and sinks, and checks the settings with their values. */
export function resolveAll(
  { streams, sinks, tracing }: PipelineConfig,
  variables: Variables,
): { readonly faults: readonly string[]; readonly placeholders?: Placeholders } {
  const values = { sources: new Map<string, string>(), sinks: new Map<string, string>() };
  const faults: string[] = [];
  const resolve = (known: Map<string, string>, written: string, at: string): string => {
    if (!hasPlaceholder(written)) return written;
    try {
      known.set(written, resolvePlaceholders(written, at, variables));
    } catch (error) {
      faults.push((error as SightlineError).message);
    }
    return known.get(written) ?? written;
  };
  for (const [i, { source, restream = '' }] of streams.entries()) {
    resolve(values.sources, source, `streams[${i}].source`);
    resolve(values.sources, restream, `streams[${i}].restream`);
  }
  for (const [i, sink] of sinks.entries()) {
    const resolved = replaceMarked(sinkConfig, sink, `sinks[${i}]`, (text, at) => resolve(values.sinks, text, at));
    for (const fault of inspect(sinkConfig, resolved).faults)
      faults.push(`sinks[${i}].${fault.replace(/, received .*$/s, '')} after the placeholders are resolved`);
  }
  if (tracing !== undefined)
    replaceMarked(tracingConfig, tracing, 'tracing', (text, at) => resolve(values.sinks, text, at));
  return values.sources.size + values.sinks.size === 0 ? { faults } : { faults, placeholders: values };
}

/** Returns the sinks with the values of their placeholders. @throws CONFIG_INVALID if they were not resolved. */
export function resolvedSinks({ sinks, placeholders }: PipelineConfig): PipelineConfig['sinks'] {
  return sinks.map((sink, i) =>
    replaceMarked(sinkConfig, sink, `sinks[${i}]`, (text) => sinkText(text, placeholders?.sinks, `sinks[${i}]`)),
  );
}

/** As `resolvedSinks`, for where traces go. */
export function resolvedTracing({ tracing, placeholders }: PipelineConfig): PipelineConfig['tracing'] {
  const resolve = (text: string, at: string): string => sinkText(text, placeholders?.sinks, at);
  return tracing && replaceMarked(tracingConfig, tracing, 'tracing', resolve);
}

function replaceMarked<T>(schema: z.ZodType, section: T, at: string, replace: (text: string, at: string) => string): T {
  return replaceTexts(
    section,
    jsonSchemaOf(schema),
    (text, place, node) => (marksOf(node).placeholders === true ? replace(text, place) : text),
    at,
  );
}
