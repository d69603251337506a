import sharp from 'sharp';
import type { Detection } from '../../src/base/core/detection.ts';

/** Drawn at the size of a preview; boxes are told in source pixels. */
const PREVIEW = { width: 640, height: 360 };
export const SOURCE = { width: 1280, height: 720 };

interface Walker {
  readonly classId: number;
  readonly label: string;
  readonly startX: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly speed: number;
  readonly color: string;
}

export interface ScenePicture {
  readonly jpeg: Uint8Array;
  readonly detections: readonly Detection[];
}

const SKIES = ['#5b7894', '#8a6d5c', '#3d4a5e', '#6c8a78', '#7a6a8c'];

/** Drawn once in a process: 24 pictures take as long as the page that shows them. */
const drawn = new Map<string, Promise<ScenePicture[]>>();

/** Returns one street with people and cars that move, as a loop of `frames` pictures; `seed` chooses the street. */
export function drawStreet(seed: number, frames: number): Promise<ScenePicture[]> {
  const key = `${seed} ${frames}`;
  const street = drawn.get(key) ?? draw(seed, frames);
  drawn.set(key, street);
  return street;
}

async function draw(seed: number, frames: number): Promise<ScenePicture[]> {
  const walkers = peopleAndCars(seed);
  return Promise.all(
    Array.from({ length: frames }, async (_, frame) => {
      const placed = walkers.map((walker) => ({ ...walker, x: position(walker, frame) }));
      const jpeg = await sharp(Buffer.from(svg(seed, placed)))
        .jpeg({ quality: 78 })
        .toBuffer();
      const scale = SOURCE.width / PREVIEW.width;
      const detections = placed.map(({ classId, label, x, y, width, height }, i) => ({
        classId,
        label,
        score: 0.62 + ((i * 37 + frame) % 34) / 100,
        box: [x * scale, y * scale, width * scale, height * scale] as const,
        trackId: i + 1 + seed * 10,
      }));
      return { jpeg, detections };
    }),
  );
}

function peopleAndCars(seed: number): Walker[] {
  const count = 3 + (seed % 4);
  return Array.from({ length: count }, (_, i) => {
    const isCar = (i + seed) % 3 === 0;
    const depth = 0.6 + ((i * 29 + seed * 13) % 50) / 100;
    const [width, height] = isCar ? [120 * depth, 54 * depth] : [34 * depth, 92 * depth];
    return {
      classId: isCar ? 2 : 0,
      label: isCar ? 'car' : 'person',
      startX: ((i * 173 + seed * 61) % 560) + 10,
      y: 150 + depth * 120 - height / 2,
      width,
      height,
      speed: ((i + seed) % 2 === 0 ? 1 : -1) * (isCar ? 9 : 3),
      color: ['#b8c4d0', '#c0563f', '#3f6ea8', '#d9b44a', '#4a4f58'][(i + seed) % 5]!,
    };
  });
}

/** Walkers turn at the edges, so that boxes stay inside the picture. */
function position({ startX, speed, width }: Walker, frame: number): number {
  const span = PREVIEW.width - width;
  const there = (((startX + speed * frame) % (2 * span)) + 2 * span) % (2 * span);
  return there > span ? 2 * span - there : there;
}

function svg(seed: number, placed: readonly (Walker & { readonly x: number })[]): string {
  const sky = SKIES[seed % SKIES.length]!;
  const houses = Array.from({ length: 6 }, (_, i) => {
    const height = 70 + ((i * 47 + seed * 31) % 70);
    return `<rect x="${i * 110 - 10}" y="${170 - height}" width="98" height="${height}" fill="#00000055"/>`;
  });
  const shapes = placed.map(({ x, y, width, height, color, label }) =>
    label === 'car'
      ? `<rect x="${x}" y="${y + height * 0.35}" width="${width}" height="${height * 0.5}" rx="8" fill="${color}"/>
         <rect x="${x + width * 0.2}" y="${y}" width="${width * 0.55}" height="${height * 0.5}" rx="8" fill="${color}"/>
         <circle cx="${x + width * 0.22}" cy="${y + height * 0.85}" r="${height * 0.15}" fill="#15181c"/>
         <circle cx="${x + width * 0.78}" cy="${y + height * 0.85}" r="${height * 0.15}" fill="#15181c"/>`
      : `<circle cx="${x + width / 2}" cy="${y + width * 0.3}" r="${width * 0.28}" fill="#d3a98a"/>
         <rect x="${x + width * 0.12}" y="${y + width * 0.55}" width="${width * 0.76}" height="${height * 0.4}" rx="7" fill="${color}"/>
         <rect x="${x + width * 0.2}" y="${y + height * 0.58}" width="${width * 0.6}" height="${height * 0.42}" fill="#2b3038"/>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${PREVIEW.width}" height="${PREVIEW.height}">
    <defs>
      <linearGradient id="s" x2="0" y2="1"><stop stop-color="${sky}"/><stop offset="1" stop-color="#c9c4bb"/></linearGradient>
      <linearGradient id="g" x2="0" y2="1"><stop stop-color="#6d6f72"/><stop offset="1" stop-color="#3b3e43"/></linearGradient>
    </defs>
    <rect width="640" height="180" fill="url(#s)"/>${houses.join('')}
    <rect y="170" width="640" height="190" fill="url(#g)"/>
    <path d="M0 268H640" stroke="#d8d3c4" stroke-width="4" stroke-dasharray="36 28" opacity=".6"/>
    ${shapes.join('')}
  </svg>`;
}
