import { existsSync } from 'node:fs';
import sharp from 'sharp';
import { MOST_BYTES } from '../../base/disk/given-file.ts';
import { writeWholeFile } from '../../base/disk/replace-file.ts';
import type { Ffmpeg } from '../../base/process/confinement.ts';
import { decodePicture } from '../../frame/decode/packet-picture.ts';
import { PictureMask } from '../../frame/preprocess/picture-mask.ts';
import type { StreamConfig } from '../../settings/config/stream.ts';
import type { KeptPicture } from '../../wire/protocol/event-picture.ts';
import type { EventPicture, RuleEvent } from '../../wire/protocol/rule-event.ts';
import { OverlayPainter } from '../sinks/drawing/draw-overlay.ts';
import { picturePath, type RecordingFile } from './archive.ts';
import { type FileIndex, readFragment } from './fragment-file.ts';
import { openStored, readStored } from './stored-file.ts';

const SNAPSHOT_WIDTH = 1280;
const CARD_WIDTH = 960;

/**
 * Makes the pictures of an event from its clip: where its object is seen best, with its box and without. If that was before the clip, or after
 * it, there is one when it was raised, without a box: the box would lie on another picture. @throws Error
 */
export async function keepPicture(
  ffmpeg: Ffmpeg,
  clip: string,
  event: RuleEvent,
  { init, head, fragments }: FileIndex,
  masks: StreamConfig['masks'],
): Promise<void> {
  const [first, last] = [fragments[0]!, fragments.at(-1)!];
  const bestUs = event.best?.ptsUs ?? Number.NaN;
  const isBestShown = bestUs >= first.firstUs && bestUs < last.endUs;
  const wantedUs = isBestShown ? bestUs : (event.raised.ptsUs ?? first.firstUs);
  const timeUs = wantedUs < last.endUs ? Math.max(wantedUs, first.firstUs) : last.firstUs;
  const from = fragments.findLastIndex(({ key, firstUs }) => key && firstUs <= timeUs);
  // Pictures are not shown in the order in which they are decoded.
  const until = fragments.findIndex(({ startUs }) => startUs > timeUs);
  const { handle } = await openStored(clip);
  try {
    const parts: Buffer[] = [init];
    for (const fragment of fragments.slice(Math.max(0, from), until === -1 ? undefined : until + 1))
      parts.push(await readFragment(handle, fragment));
    const decoded = await decodePicture(ffmpeg, parts, timeUs - head.originUs);
    const jpeg = masks.length === 0 ? decoded : await masked(decoded, masks);
    if (isBestShown) await writeWholeFile(picturePath(clip, true), await withBox(jpeg, event, event.best!));
    await writeWholeFile(picturePath(clip), jpeg);
  } finally {
    await handle.close();
  }
}

async function masked(jpeg: Buffer, masks: StreamConfig['masks']): Promise<Buffer> {
  const { data, info } = await sharp(jpeg).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  const { width, height } = info;
  const placement = { scaleX: 1, scaleY: 1, offsetX: 0, offsetY: 0 };
  new PictureMask(masks).hide(data, info, info, [{ placement, bounds: { x: 0, y: 0, width, height } }]);
  return encoded(data, info);
}

function encoded(pixels: Buffer, { width, height }: { width: number; height: number }): Promise<Buffer> {
  return sharp(pixels, { raw: { width, height, channels: 3 } })
    .jpeg({ quality: 85 })
    .toBuffer();
}

/** Returns the picture of an event as messages carry it: with its box, at most 1280 wide. @throws Error if there is none. */
export async function snapshotOf(clip: string): Promise<Buffer> {
  const picture = sharp(await pictureOf(clip, true));
  return picture.resize({ width: SNAPSHOT_WIDTH, withoutEnlargement: true }).jpeg({ quality: 80 }).toBuffer();
}

/** Returns the picture of an event, with the box of its object if that is wanted and known. @throws Error if there is none. */
export function pictureOf(clip: string, wantsBox: boolean): Promise<Buffer> {
  const read = (hasBox: boolean): Promise<Buffer> => readStored(picturePath(clip, hasBox), MOST_BYTES.picture);
  return wantsBox ? read(true).catch(() => read(false)) : read(false);
}

/**
 * Returns the picture of the clip of an event, for a list: the object where it is seen best, and what it shows. @throws Error if there is none.
 */
export async function cardPicture({ path, startMs }: RecordingFile, event: RuleEvent): Promise<KeptPicture> {
  const jpeg = await sharp(await pictureOf(path, false))
    .resize({ width: CARD_WIDTH, withoutEnlargement: true })
    .jpeg({ quality: 80 })
    .toBuffer();
  // Without one that has the box, it is of the moment when the event was raised.
  const best = existsSync(picturePath(path, true)) ? event.best : undefined;
  const { width = 0, height = 0 } = event.best ?? (await sharp(jpeg).metadata());
  const timeMs = Date.parse((best ?? event.raised).at ?? '') || startMs;
  return {
    jpeg,
    facts: { moment: 'at', timeMs, width, height, bounds: [0, 0, width, height], box: best?.box ?? null },
  };
}

async function withBox(jpeg: Buffer, event: RuleEvent, best: EventPicture): Promise<Buffer> {
  const { data, info } = await sharp(jpeg).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  const { label = event.rule, trackId } = event;
  const box = { classId: 0, label, score: best.score, box: best.box, ...(trackId === undefined ? {} : { trackId }) };
  new OverlayPainter(info, { zones: [], lines: [] }).draw(
    { pixels: data, width: info.width, height: info.height },
    {
      detections: [box],
      counts: { zones: [], lines: [] },
      sourceWidth: best.width,
      sourceHeight: best.height,
      placement: { scaleX: info.width / best.width, scaleY: info.height / best.height, offsetX: 0, offsetY: 0 },
    },
  );
  return encoded(data, info);
}
