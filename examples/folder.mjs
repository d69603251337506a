// Writes what is in each video and picture of a folder, one JSON line for each frame.
//   node examples/folder.mjs videos/ >results.jsonl
import { readdir } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { Sightline } from 'sightline';

const PICTURES = new Set(['.jpg', '.jpeg', '.png', '.webp']);
const folder = process.argv[2] ?? '.';
const engine = await Sightline.open({ env: process.env });
/** @param {object} result */
const write = (result) => process.stdout.write(`${JSON.stringify(result)}\n`);

try {
  const names = (await readdir(folder)).sort();
  const isPicture = (/** @type {string} */ name) => PICTURES.has(extname(name).toLowerCase());
  await Promise.all(
    names.filter(isPicture).map(async (name) => write({ source: name, ...(await engine.detect(join(folder, name))) })),
  );
  for (const [i, name] of names.filter((each) => !isPicture(each)).entries()) {
    const id = `file-${i}`;
    const results = engine.results({ streams: [id] });
    try {
      await engine.streams.add({ id, source: join(folder, name) });
      for await (const result of results) write(result);
    } catch (error) {
      console.error(`${name} was left out: ${/** @type {Error} */ (error).message}`);
    }
  }
} finally {
  await engine.close();
}
