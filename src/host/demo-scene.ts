import sharp, { type OverlayOptions, type Sharp } from 'sharp';

/** Size of the clip. No picture is enlarged for it. */
export const SCENE = { width: 1280, height: 720 } as const;

/** A car as it is cut out of its picture: an outline in pixels of the picture, and two wheels that it is joined with. */
interface CarPicture {
  readonly outline: string;
  /** Centre x, centre y and radius of each tyre. */
  readonly wheels: readonly [readonly [number, number, number], readonly [number, number, number]];
  /** Left, top, width and height of the part of the picture that holds the car and its shadow. */
  readonly box: readonly [number, number, number, number];
  readonly facesRight: boolean;
}

/** The black car of `car1.jpg` (1024x680). */
const BLACK_CAR: CarPicture = {
  outline:
    '956,376 951,366 945,352 941,335 938,318 936,300 921,286 851,275 800,250 751,227 693,209 606,198 526,197 480,201 432,214 ' +
    '384,237 365,252 345,264 325,271 290,276 217,284 164,293 135,301 105,309 86,318 74,334 62,350 53,358 49,375 49,401 51,417 ' +
    '66,427 85,431 112,434 130,430 262,432 300,434 500,435 690,436 705,430 830,434 853,438 931,428 944,423 953,403',
  wheels: [
    [191, 402, 66],
    [769, 413, 64],
  ],
  box: [30, 186, 944, 312],
  facesRight: false,
};

/** The grey car of `car2.jpg` (1500x938). */
const GREY_CAR: CarPicture = {
  outline:
    '188,437 200,434 235,430 270,423 310,411 353,395 401,376 441,363 481,352 521,346 571,339 621,336 697,336 762,338 791,344 ' +
    '832,353 868,366 909,385 945,400 986,422 1025,440 1058,445 1099,451 1151,457 1202,465 1253,475 1284,480 1310,486 1341,499 ' +
    '1358,511 1371,531 1382,552 1385,564 1386,580 1384,603 1384,621 1379,639 1369,649 1351,659 1335,665 1305,669 1299,676 ' +
    '1262,672 1100,668 1069,673 997,675 740,677 509,677 480,670 320,660 285,661 260,656 217,653 183,645 163,641 155,626 148,606 ' +
    '144,581 146,566 150,536 158,513 170,490 185,460 189,450',
  wheels: [
    [398, 639, 93],
    [1183, 631, 92],
  ],
  box: [114, 320, 1302, 450],
  facesRight: true,
};

/** What is fetched for the scene. */
export interface DemoPictures {
  /** JPEG, 1024x680: a black car on a street, from its left side. */
  readonly blackCar: Uint8Array;
  /** JPEG, 1500x938: a grey car before a wall of windows, from its right side. */
  readonly greyCar: Uint8Array;
}

/** One car of the scene in its final size and direction. */
export interface Car {
  /** Where the body lies in the sheet: left, top, width, height. */
  readonly body: Rectangle;
  /** The square around each wheel in the sheet, and its place in the body. */
  readonly wheels: readonly { readonly at: Rectangle; readonly x: number; readonly y: number }[];
  /** From the top of the body to the ground below its wheels. */
  readonly groundPx: number;
  readonly wheelRadiusPx: number;
}

export interface Rectangle {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface CarLook {
  readonly picture: keyof DemoPictures;
  readonly lengthPx: number;
  readonly facesRight: boolean;
  /** Red, green and blue of another paint for the grey car, as factors of its brightness. */
  readonly paint?: readonly [number, number, number];
}

/**
 * Cuts the cars out of their pictures and makes the empty street from one of them.
 *
 * @returns a PNG with alpha: the street (1280x720) at the top and the cars below, side by side, and where they are.
 */
export async function drawDemoSheet(
  pictures: DemoPictures,
  looks: readonly CarLook[],
): Promise<{ readonly png: Uint8Array; readonly cars: readonly Car[] }> {
  const parts: OverlayOptions[] = [{ input: await street(pictures.greyCar), left: 0, top: 0 }];
  const cars: Car[] = [];
  let top: number = SCENE.height;
  for (const look of looks) {
    const { body, wheels, ...measures } = await drawCar(pictures[look.picture], look);
    let left = 0;
    const place = (image: Raw): Rectangle => {
      const { width, height } = image;
      parts.push({ input: image.pixels, raw: { width, height, channels: 4 }, left, top });
      const at = { x: left, y: top, width, height };
      left += width;
      return at;
    };
    cars.push({
      body: place(body),
      wheels: wheels.map(({ image, x, y }) => ({ at: place(image), x, y })),
      ...measures,
    });
    top += body.height;
  }
  const create = { width: SCENE.width, height: top, channels: 4, background: '#0000' } as const;
  return {
    png: new Uint8Array(await sharp({ create }).composite(parts).png({ compressionLevel: 1 }).toBuffer()),
    cars,
  };
}

interface Raw {
  readonly pixels: Buffer;
  readonly width: number;
  readonly height: number;
}

async function drawCar(photo: Uint8Array, { picture, lengthPx, facesRight, paint }: CarLook) {
  const { box, outline, wheels, ...car } = picture === 'blackCar' ? BLACK_CAR : GREY_CAR;
  const [left, top, width, height] = box;
  const scale = lengthPx / width;
  const isMirrored = facesRight !== car.facesRight;
  const size = [even(lengthPx), even(height * scale), { fit: 'fill' }] as const;
  const finish = (image: Sharp): Promise<Buffer> => (isMirrored ? image.flop() : image).png().toBuffer();
  const cut = await raw(sharp(photo).extract({ left, top, width, height }));
  if (paint !== undefined) repaint(cut.pixels, paint);
  const masked = async (mask: string): Promise<Buffer> => {
    const image = sharp(cut.pixels, { raw: { width, height, channels: 4 } });
    const whole = await image
      .composite([{ input: svg(box, mask), blend: 'dest-in' }])
      .png()
      .toBuffer();
    return finish(sharp(whole).resize(...size));
  };
  const [[rearX, rearY, rearR], [frontX]] = wheels;
  const shadow =
    `<filter id="f" x="-20%" y="-100%" width="140%" height="300%"><feGaussianBlur stdDeviation="${0.01 * width}"/></filter>` +
    `<ellipse cx="${(rearX + frontX) / 2}" cy="${rearY + 0.72 * rearR}" rx="${(frontX - rearX) / 2 + 1.8 * rearR}" ` +
    `ry="${0.4 * rearR}" fill-opacity="0.85" filter="url(#f)"/>`;
  const discs = wheels.map(([x, y, r]) => `<circle cx="${x}" cy="${y}" r="${r}"/>`);
  const ground = await finish(sharp(svg(box, shadow)).resize(...size));
  const body = await masked(`<polygon points="${outline}"/>${discs.join('')}`);
  return {
    body: await raw(sharp(ground).composite([{ input: body }])),
    wheels: await Promise.all(
      wheels.map(async ([x, y, r]) => {
        const side = even(2 * r * scale);
        const centreX = isMirrored ? width - (x - left) : x - left;
        const place = { x: Math.round(centreX * scale - side / 2), y: Math.round((y - top) * scale - side / 2) };
        // Without the edge of the tyre: its outline is not quite round.
        const rim = await masked(`<circle cx="${x}" cy="${y}" r="${0.8 * r}"/>`);
        const part = sharp(rim).extract({ left: place.x, top: place.y, width: side, height: side });
        return { image: await raw(part), ...place };
      }),
    ),
    groundPx: Math.round((rearY + rearR - top) * scale),
    wheelRadiusPx: rearR * scale,
  };
}

/** Changes the bluish grey of the grey car; glass, lights, tyres and what mirrors white stay as they are. */
function repaint(rgba: Uint8Array, paint: readonly [number, number, number]): void {
  for (let i = 0; i < rgba.length; i += 4) {
    const [red, green, blue] = [rgba[i]!, rgba[i + 1]!, rgba[i + 2]!];
    const share = Math.min(1, Math.max(0, (blue - Math.max(red, green) - 2) / 10));
    const brightness = 0.3 * red + 0.59 * green + 0.11 * blue;
    for (const [c, factor] of paint.entries())
      rgba[i + c] = Math.min(255, (1 - share) * rgba[i + c]! + share * factor * brightness);
  }
}

const ROAD_TOP_PX = 352;

/** The street of `car2.jpg` without its car: windows and bricks from beside and above it, asphalt from below it. */
async function street(photo: Uint8Array): Promise<Buffer> {
  const cut = (left: number, top: number, width: number, height: number) =>
    sharp(photo).extract({ left, top, width, height });
  const { width } = SCENE;
  const panes = await cut(0, 77, 1500, 258).resize(width, 220, { fit: 'fill' }).png().toBuffer();
  const wall = await cut(4, 447, 136, 156).resize(116, 133, { fit: 'fill' }).png().toBuffer();
  const mirrored = await sharp(wall).flop().png().toBuffer();
  const walls = Array.from({ length: Math.ceil(width / 116) }, (_, i) => ({
    input: i % 2 === 0 ? wall : mirrored,
    left: i * 116,
    top: 220,
  }));
  // Three strips of the same asphalt, the middle one turned; each fades into the one above it.
  const asphalt = async (top: number, height: number, isTurned: boolean) => {
    const strip = cut(0, 772, 1500, 166).resize(width, height, { fit: 'fill' }).ensureAlpha();
    const fade = svg(
      [0, 0, width, height],
      '<linearGradient id="g" x2="0" y2="1"><stop stop-opacity="0"/><stop offset="0.3"/></linearGradient>' +
        '<rect width="100%" height="100%" fill="url(#g)"/>',
    );
    const turned = await (isTurned ? strip.flip().flop() : strip).png().toBuffer();
    const input =
      top === ROAD_TOP_PX
        ? turned
        : await sharp(turned)
            .composite([{ input: fade, blend: 'dest-in' }])
            .png()
            .toBuffer();
    return { input, left: 0, top };
  };
  const roads = await Promise.all([
    asphalt(ROAD_TOP_PX, 126, false),
    asphalt(440, 176, true),
    asphalt(556, 164, false),
  ]);
  const dashes = Array.from({ length: 8 }, (_, i) => `<rect x="${i * 170 + 30}" y="505" width="80" height="5"/>`);
  const marks = svg([0, 0, width, SCENE.height], `<g fill="#e8dfc0" fill-opacity="0.55">${dashes.join('')}</g>`);
  const create = {
    width: Math.ceil(width / 116) * 116,
    height: SCENE.height,
    channels: 3,
    background: '#555',
  } as const;
  const whole = await sharp({ create })
    .composite([{ input: panes, left: 0, top: 0 }, ...walls, ...roads, { input: marks }])
    .png()
    .toBuffer();
  return sharp(whole).extract({ left: 0, top: 0, width, height: SCENE.height }).png().toBuffer();
}

function svg([left, top, width, height]: readonly [number, number, number, number], content: string): Buffer {
  const viewBox = `viewBox="${left} ${top} ${width} ${height}"`;
  return Buffer.from(
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" ${viewBox}>${content}</svg>`,
  );
}

async function raw(image: Sharp): Promise<Raw> {
  const { data, info } = await image.ensureAlpha().raw().toBuffer({ resolveWithObject: true });
  return { pixels: data, width: info.width, height: info.height };
}

function even(size: number): number {
  return 2 * Math.round(size / 2);
}
