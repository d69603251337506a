/** COCO's category ids go from 1 to 90; the ten in `UNUSED_COCO_IDS` have no class. */
export const LAST_COCO_ID = 90;
export const UNUSED_COCO_IDS: ReadonlySet<number> = new Set([12, 26, 29, 30, 45, 66, 68, 69, 71, 83]);
