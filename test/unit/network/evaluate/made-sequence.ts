import { seededRandom } from '../../../../src/base/core/seeded-random.ts';

/**
 * A sequence of 60 frames with eight people, and what a poor tracker gives for it: misses, false boxes, ids that change and that jump.
 * With `classes`, ground truth has nine columns, with people on vehicles, a region to ignore, and some who do not count.
 */
export function madeSequence(seed: number, classes: boolean): { readonly truth: string; readonly tracks: string } {
  const random = seededRandom(seed);
  const truth: string[] = [];
  const tracks: string[] = [];
  for (let frame = 1; frame <= 60; frame++) {
    const taken = new Set<number>();
    for (let person = 1; person <= 8; person++) {
      if (frame < person * 3 || frame > 70 - person * 4) continue;
      const box = [40 * person + 3 * frame * (person % 3), 100 + 20 * (person % 4) + frame, 40, 90];
      const label = person === 7 ? 7 : person === 6 ? 2 : 1;
      const flag = person === 5 && frame % 9 === 0 ? 0 : 1;
      truth.push(`${frame},${person},${box.join(',')},${flag},${classes ? `${label},1` : '-1,-1,-1'}`);
      if (random() < 0.15) continue;
      const moved = box.map((value) => (value + 14 * (random() - 0.5)).toFixed(2));
      let id = person + (frame > 30 && person % 2 === 0 ? 100 : 0);
      if (random() < 0.05) id = 1 + Math.floor(random() * 8);
      if (taken.has(id)) continue;
      taken.add(id);
      tracks.push(`${frame},${id},${moved.join(',')},0.9,-1,-1,-1`);
    }
    if (random() < 0.4) tracks.push(`${frame},${200 + (frame % 3)},${400 + 5 * frame},20,40,90,0.6,-1,-1,-1`);
    if (classes && frame > 20) truth.push(`${frame},99,600,0,300,200,0,13,1`);
  }
  return { truth: `${truth.join('\n')}\n`, tracks: `${tracks.join('\n')}\n` };
}
