import { createHash } from 'node:crypto';
import { canonicalJson } from '../../../base/core/canonical-json.ts';
import type { BatchConfig } from '../../../settings/config/batch.ts';
import type { ModelConfig } from '../../../settings/config/model-config.ts';
import {
  MOST_VERSIONS,
  type Rollout,
  type StreamChanges,
  type Version,
  type VersionReport,
} from '../../../wire/protocol/rollout-records.ts';
import { isActive, liveVersion } from './rollout-machine.ts';

/** What a version consists of. */
export interface VersionParts {
  readonly model: ModelConfig;
  readonly batch: BatchConfig;
  /** sha256 of the files of the network, hex. */
  readonly weights: readonly string[];
  /** What it changes on the streams; absent if nothing. */
  readonly streams?: StreamChanges | undefined;
}

/** Makes the first version of a pipeline: the one that its configuration names. */
export function firstVersion(pipeline: string, parts: VersionParts, nowMs: number): Version {
  return { hash: hashOf(parts), label: `${pipeline}@1`, ...parts, createdMs: nowMs };
}

/**
 * Finds the version with these parts, or adds it with the next number. Drops the oldest of too many, but never one of `kept`.
 *
 * @returns the version, and all versions with it, oldest first.
 */
export function withVersion(
  versions: readonly Version[],
  pipeline: string,
  parts: VersionParts,
  nowMs: number,
  kept: readonly Version[],
): { readonly version: Version; readonly versions: readonly Version[] } {
  const hash = hashOf(parts);
  const known = versions.find((version) => version.hash === hash);
  if (known !== undefined) return { version: known, versions };
  const version = { hash, label: `${pipeline}@${highestNumber(versions) + 1}`, ...parts, createdMs: nowMs };
  const all = [...versions, version];
  while (all.length > MOST_VERSIONS) {
    const oldest = all.findIndex((one) => one !== version && !kept.some((other) => other.hash === one.hash));
    all.splice(oldest, 1);
  }
  return { version, versions: all };
}

/** Describes all versions of a pipeline for people. */
export function versionReports(rollout: Rollout | null, initial: Version): VersionReport[] {
  const live = liveVersion(rollout) ?? initial;
  const sides = rollout !== null && isActive(rollout) ? rollout : null;
  return (rollout?.versions ?? [initial]).map(({ hash, label, model, batch, streams, createdMs }) => ({
    hash,
    label,
    model: model.name,
    engine: model.engine,
    precision: model.precision,
    inputSize: model.inputSize ?? null,
    scoreThreshold: model.scoreThreshold ?? null,
    settings: { model, batch, ...(streams === undefined ? {} : { streams }) },
    createdMs,
    role:
      sides !== null
        ? hash === sides.to.hash
          ? 'candidate'
          : hash === sides.from.hash
            ? 'control'
            : 'idle'
        : hash === live.hash
          ? 'live'
          : 'idle',
  }));
}

function hashOf({ model, batch, weights, streams }: VersionParts): string {
  return createHash('sha256').update(canonicalJson({ model, batch, weights, streams })).digest('hex');
}

function highestNumber(versions: readonly Version[]): number {
  return Math.max(0, ...versions.map(({ label }) => Number(/@(\d+)$/.exec(label)?.[1] ?? 0)));
}
