import { durationMs } from '../../settings/config/duration.ts';
import { keyOf, nameOf, objectsIn, placeOf, ruleKind, seconds } from './rule-kind.ts';

// Rules about single objects, which are followed from frame to frame.

export const appears = ruleKind('appears', {
  holds: (_rule, { objects }) => objects.present.map((object) => ({ key: keyOf(object), object, since: object.first })),
  sentence: (_rule, held) => `${nameOf(held)} appeared`,
});

export const leaves = ruleKind('leaves', {
  happened: ({ zone: id, for: least }, { objects, zones }) => {
    const zone = id === undefined ? undefined : zones.get(id);
    return objects.gone
      .filter(({ first, last }) => last.us - first.us >= durationMs(least) * 1000)
      .filter((object) => id === undefined || (zone !== undefined && object.stay(zone)?.isInside === true))
      .map((object) => ({ key: keyOf(object), object, since: object.first }));
  },
  sentence: (rule, held, heldS) => `${nameOf(held)} was seen for ${seconds(heldS)} and is gone${placeOf(rule)}`,
});

export const enters = ruleKind('enters', {
  holds: ({ zone }, scene) =>
    objectsIn(zone, scene).map((object) => ({
      key: keyOf(object),
      object,
      since: object.stay(scene.zones.get(zone)!)!.since,
    })),
  sentence: ({ zone }, held) => `${nameOf(held)} entered zone ${zone}`,
});

export const exits = ruleKind('exits', {
  happened: ({ zone: id }, { objects, zones }) => {
    const zone = zones.get(id);
    if (zone === undefined) return [];
    return objects.seen.flatMap((object) => {
      const stay = object.stay(zone);
      if (stay === null || !stay.changedNow || stay.isInside) return [];
      return [{ key: keyOf(object), object, since: stay.since }];
    });
  },
  sentence: ({ zone }, held) => `${nameOf(held)} left zone ${zone}`,
});

export const dwells = ruleKind('dwells', {
  holds: ({ zone: id }, scene) => {
    const zone = id === undefined ? undefined : scene.zones.get(id);
    return objectsIn(id, scene).map((object) => ({
      key: keyOf(object),
      object,
      since: zone === undefined ? object.first : object.stay(zone)!.since,
    }));
  },
  sentence: ({ zone }, held, heldS) =>
    `${nameOf(held)} has stayed in ${zone === undefined ? 'the picture' : `zone ${zone}`} for ${seconds(heldS)}`,
});

export const crosses = ruleKind('crosses', {
  happened: ({ line, direction: wanted }, { crossings, objects }) =>
    crossings.flatMap(({ lineId, trackId, direction }) => {
      const object = objects.seen.find((each) => each.trackId === trackId);
      const isWanted = lineId === line && (wanted === undefined || direction === wanted);
      return isWanted && object !== undefined ? [{ key: keyOf(object), object, direction }] : [];
    }),
  sentence: ({ line }, held) =>
    `${nameOf(held)} crossed line ${line} from ${held.direction === 'left-to-right' ? 'left to right' : 'right to left'}`,
});

export const speed = ruleKind('speed', {
  holds: ({ zone, above }, scene) => {
    const ground = (zone === undefined ? null : scene.zones.get(zone)?.ground) ?? null;
    return objectsIn(zone, scene).flatMap((object) => {
      const value = object.speed(ground);
      const isSeen = object.last.us === scene.now.us;
      return isSeen && value !== null && value > above ? [{ key: keyOf(object), object, speed: value }] : [];
    });
  },
  sentence: (rule, held) =>
    `${nameOf(held)} moves at ${held.speed!.toFixed(2)}, faster than ${rule.above}${placeOf(rule)}`,
});

export const stationary = ruleKind('stationary', {
  holds: ({ zone }, scene) =>
    objectsIn(zone, scene).map((object) => ({
      key: `${keyOf(object)}@${object.still.frame}`,
      object,
      since: object.still,
    })),
  sentence: (rule, held, heldS) => `${nameOf(held)} has not moved for ${seconds(heldS)}${placeOf(rule)}`,
});
