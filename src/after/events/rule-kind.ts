import type { CrossingDirection, LineCrossing } from '../../base/core/frame.ts';
import type { RuleConfig, RuleOf } from '../../settings/config/event-rules.ts';
import type { SceneFrame, SceneObject, SceneObjects, SceneTime, SceneZone } from './scene-objects.ts';

/** What is wrong with a stream or its picture. */
export interface Trouble {
  readonly sign: string;
  readonly since: SceneTime;
}

/** What rules see of a stream at one moment. */
export interface Scene {
  readonly now: SceneTime;
  /** The newest frame; null if none has come, and for rules about the stream itself. */
  readonly frame: SceneFrame | null;
  readonly objects: SceneObjects;
  readonly zones: ReadonlyMap<string, SceneZone>;
  readonly crossings: readonly LineCrossing[];
  readonly troubles: readonly Trouble[];
}

/** A condition of a rule that holds at one moment. */
export interface Held {
  /** Tells what it holds for apart: the object, or nothing. Its event ends when it holds no more. */
  readonly key: string;
  /** Since when; absent: since it was reported first. */
  readonly since?: SceneTime;
  readonly object?: SceneObject;
  readonly count?: number;
  readonly speed?: number;
  readonly sign?: string;
  readonly direction?: CrossingDirection;
}

/**
 * One kind of rule: a pure function of what is seen. Which objects a rule is about (labels, score, size), times, cooldown and
 * expressions are applied to what it returns.
 */
export interface RuleKindCode<R extends RuleConfig = RuleConfig> {
  /** It is judged anew in each frame, of which detectors get some wrong: it begins and is over by a share of the frames, see `FrameShare`. */
  readonly isByShare?: true;
  /** What holds now, and lasts. */
  holds?(rule: R, scene: Scene): readonly Held[];
  /** What has happened just now, and is over. */
  happened?(rule: R, scene: Scene): readonly Held[];
  /** Says in English what holds or has happened, without a full stop. @param heldS - seconds since it began. */
  sentence(rule: R, held: Held, heldS: number): string;
}

/** Checks a kind against the settings of its rules. */
export function ruleKind<K extends RuleConfig['kind']>(_kind: K, code: RuleKindCode<RuleOf<K>>): RuleKindCode {
  return code as unknown as RuleKindCode;
}

/** Returns the objects that are inside the zone of a rule, or all of the picture if it names none. */
export function objectsIn(zoneId: string | undefined, { objects, zones }: Scene): readonly SceneObject[] {
  if (zoneId === undefined) return objects.present;
  const zone = zones.get(zoneId);
  return zone === undefined ? [] : objects.present.filter((object) => object.stay(zone)?.isInside === true);
}

export function keyOf({ trackId }: SceneObject): string {
  return String(trackId);
}

/** `person 17`. */
export function nameOf({ object }: Held): string {
  return object === undefined ? 'an object' : `${object.label} ${object.trackId}`;
}

/** ` in zone door`; nothing without a zone. */
export function placeOf({ zone }: { readonly zone?: string | undefined }): string {
  return zone === undefined ? '' : ` in zone ${zone}`;
}

export function seconds(value: number): string {
  return `${Number(value.toFixed(1))} s`;
}
