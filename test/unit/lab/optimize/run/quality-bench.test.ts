import { describe, expect, it } from 'vitest';
import type { ClipBlock } from '../../../../../src/frame/decode/cut-blocks.ts';
import type { CollectedResults } from '../../../../../src/lab/optimize/gate/collect-results.ts';
import { isSkipLever, LEVER_IDS, LEVERS } from '../../../../../src/lab/optimize/levers/levers.ts';
import type { StageChoice } from '../../../../../src/lab/optimize/levers/stages-lever.ts';
import type { Configuration } from '../../../../../src/lab/optimize/result.ts';
import { labelsIn, splitEvidence } from '../../../../../src/lab/optimize/run/evidence.ts';
import {
  type Collectors,
  QualityBench,
  type QualityOptions,
} from '../../../../../src/lab/optimize/run/quality-bench.ts';
import type { RecordedResults } from '../../../../../src/network/evaluate/recorded-results.ts';
import { parsePipeline } from '../../../../../src/serve/pipeline/load-pipeline.ts';
import { parseStream } from '../../../../../src/settings/config/parse-stream.ts';
import {
  asleepFrom,
  labelledScene,
  mapDetections,
  seePictures,
  seeVideo,
  shiftedBy,
} from '../../../../support/gate-scenes.ts';
import { OTHER_VALUES, BASELINE as PLAIN } from '../../../../support/sample-steps.ts';
import { trueTracksOf } from '../../../../support/true-tracks.ts';

const BASELINE: Configuration = {
  ...PLAIN,
  model: 'own',
  maxDelayMs: 5,
};
const OTHER: Configuration = { ...BASELINE, model: 'other' };
const FAST_FORMAT: Configuration = { ...BASELINE, engine: 'openvino', precision: 'bf16' };
const SKIPPING: Configuration = { ...BASELINE, skipUnchanged: true };
const GATE = { id: 'gate', from: [0.5, 0], to: [0.5, 1] };
const PICTURES = 400;
const SIGHT = { seed: 1, missRatio: 0.02, jitter: 0.02 };

/** What a configuration finds in pictures and in a clip. */
interface Eyes {
  readonly pictures?: (scene: ReturnType<typeof labelledScene>) => RecordedResults;
  readonly video?: (clip: RecordedResults) => RecordedResults;
}

interface World extends Partial<QualityOptions> {
  readonly labelled?: boolean;
  readonly counted?: boolean;
  /** No recording: labels alone. */
  readonly hasNoClip?: boolean;
  /** By text that names the model, engine and skipping. */
  readonly eyes?: Readonly<Record<string, Eyes>>;
  readonly clip?: RecordedResults;
}

const block = (i: number): ClipBlock => ({ path: `${i}.mkv`, startUs: i * 10e6, durationUs: 10e6, frames: 100 });
const BLOCKS = Array.from({ length: 4 }, (_, i) => block(i));

/** A bench whose runs are made up: the clip is cut into four blocks of ten seconds. */
function benchOf({ labelled = false, counted = false, hasNoClip = false, eyes = {}, ...rest }: World) {
  const { clip = seeVideo(SIGHT), ...options } = rest;
  const pipeline = parsePipeline(
    'name: test\ndescription: Made up.\nstreams: [{ id: cam, source: clip.mp4 }]\n',
    'test',
  );
  const scene = labelledScene(PICTURES, 4);
  const labels = labelled ? labelsIn(scene, 'pictures') : null;
  const collected: string[] = [];
  const runs: string[] = [];
  const eyesOf = (model: string, engine: string, isSkipping: boolean): Eyes =>
    eyes[[model, engine, ...(isSkipping ? ['skipping'] : [])].join(' ')] ?? eyes[model] ?? {};
  const collectors = {
    onImages: async ({ model }, { paths, settings }) => {
      runs.push(`pictures ${JSON.stringify([model, settings])}`);
      const places = paths.map((path) => scene.images.findIndex(({ fileName }) => path.endsWith(`/${fileName}`)));
      const see = eyesOf(model.name, model.engine, false).pictures ?? ((all) => seePictures(all, SIGHT));
      const all = see(scene);
      collected.push(`pictures ${model.name}: ${places.length}`);
      const frames = places.map((place, frame) => ({ ...all.frames[place]!, frame }));
      return { ...all, frames, seconds: 1 } as unknown as CollectedResults;
    },
    onVideo: async ({ model }, streamed, clips) => {
      const { skip } = streamed;
      runs.push(`video ${JSON.stringify([model, streamed])}`);
      const isSkipping = skip !== undefined && (skip.unchanged !== false || skip.trackBetween !== 1);
      const see = eyesOf(model.name, model.engine, isSkipping).video ?? ((seen) => seen);
      const all = see(clip);
      collected.push(`video ${model.name}: ${clips!.join(' ')}`);
      const places = clips!.map((path) => Number.parseInt(path, 10));
      const frames = places
        .flatMap((place) => all.frames.slice(place * 100, (place + 1) * 100))
        // A key frame every two seconds; frame numbers count decoded frames.
        .filter((_, i) => streamed.decode !== 'key' || i % 20 === 0)
        .map((frame, i) => (streamed.decode === 'key' ? { ...frame, frame: i } : frame));
      const startsUs = places.map((place) => place * 10e6);
      return { ...all, frames, seconds: 1, startsUs } as unknown as CollectedResults;
    },
  } satisfies Collectors;
  const stream = parseStream({ id: 'cam', source: 'clip.mp4', ...(counted ? { lines: [GATE] } : {}) }, {});
  const bench = new QualityBench({
    pipeline,
    baseline: BASELINE,
    evidence: splitEvidence(labels, null, hasNoClip ? [] : BLOCKS),
    stream,
    maxLoss: 0.02,
    acceptsCounts: false,
    mostFinalists: 3,
    seed: 1,
    collectors,
    note: () => undefined,
    ...options,
    ...({ environment: {}, ffmpeg: {}, signal: new AbortController().signal } as Pick<
      QualityOptions,
      'environment' | 'ffmpeg' | 'signal'
    >),
  });
  return { bench, collected, runs };
}

/** Every third object is not found. */
const blind: Eyes = {
  pictures: (scene) => seePictures(scene, { ...SIGHT, missRatio: 0.3 }),
  video: (clip) => mapDetections(clip, (found, { frame }) => (frame % 3 === 0 ? null : found)),
};
/** Objects cross the line in the middle twice as often, as those of a tracker that changes ids there. */
const jumpy: Eyes = {
  video: (clip) =>
    mapDetections(clip, (found, { frame }) => ({
      ...found,
      box: shiftedBy(found.box, frame % 2 === 0 ? 0.6 : -0.6, 0),
    })),
};

describe('identities', () => {
  const sequences = [trueTracksOf(seeVideo({ seed: 0, missRatio: 0, jitter: 0 }), '0')];
  /** Within a second it takes an object for another, in the boxes that today's has. */
  const renewing: Eyes = {
    video: (clip) =>
      mapDetections(clip, (found, { frame }) => ({ ...found, trackId: found.trackId! * 100 + Math.floor(frame / 9) })),
  };

  it('are judged by the verdict where true tracks are known, and by nothing else', async () => {
    const { bench, runs } = benchOf({ sequences, followsObjects: false, eyes: { 'own openvino': renewing } });
    const verdict = await bench.confirm(FAST_FORMAT, 1);
    expect(verdict).toMatchObject({ verdict: 'refused', identities: { verdict: 'refused', measure: 'IDF1' } });
    expect(verdict.reason).toMatch(/IDF1 0\.\d+ against 0\.\d+ on \d+ true tracks/);
    // Nothing of the camera's own scene, and objects of the class that people have followed.
    expect(JSON.parse(runs.at(-1)!.slice('video '.length))[1]).toMatchObject({ labels: ['person'], lines: [] });
    const searched = benchOf({ sequences, followsObjects: false, eyes: { 'own openvino': renewing } });
    expect(await searched.bench.screen(FAST_FORMAT)).toMatchObject({ verdict: 'passed' });
    const without = benchOf({ followsObjects: false, eyes: { 'own openvino': renewing } });
    expect(await without.bench.confirm(FAST_FORMAT, 1)).toMatchObject({ verdict: 'passed' });
  });

  it('pass where they are kept, also by what skips', async () => {
    const { bench } = benchOf({ sequences });
    for (const configuration of [FAST_FORMAT, SKIPPING, { ...BASELINE, decode: 'key' } as const])
      expect((await bench.confirm(configuration, 1)).identities).toMatchObject({
        verdict: configuration.decode === 'key' ? 'refused' : 'passed',
      });
    expect((await bench.confirm({ ...BASELINE, lanes: 4 }, 1)).identities).toBeUndefined();
  });

  it('decide in place of the tracks of the clip, of which the baseline is no truth', async () => {
    const clipOnly: Eyes = {
      video: (clip) =>
        mapDetections(clip, (found, { frame }) =>
          frame < 100 ? found : { ...found, trackId: found.trackId! * 100 + Math.floor(frame / 9) },
        ),
    };
    const eyes = { 'own onnx skipping': clipOnly };
    const first = [trueTracksOf(seeVideo({ seed: 0, missRatio: 0, jitter: 0 }, 100), '0')];
    const without = await benchOf({ eyes }).bench.confirm(SKIPPING, 1);
    expect(without).toMatchObject({ verdict: 'refused', reason: expect.stringMatching(/tracks were kept/) });
    const judged = await benchOf({ eyes, sequences: first }).bench.confirm(SKIPPING, 1);
    expect(judged.verdict).toBe('passed');
    const { tracks, kept } = judged.skips!.video!.tracks;
    expect(kept).toBeLessThan(0.8 * tracks);
  });

  it('use as many sequences as the budget allows, and none in which the baseline follows nobody', async () => {
    const notes: string[] = [];
    const note = (text: string) => void notes.push(text);
    const two = [...sequences, trueTracksOf(seeVideo({ seed: 0, missRatio: 0, jitter: 0 }, 100), '1')];
    await benchOf({ sequences: two, note }).bench.prepare(600, 50);
    expect(notes).toEqual([]);
    await benchOf({ sequences: two, note }).bench.prepare(60, 20);
    expect(notes).toContain('the budget allows 1 of the 2 sequences; a longer one uses all');
    const blindfolded: Eyes = { video: (clip) => mapDetections(clip, () => null) };
    const { bench } = benchOf({ sequences, note, eyes: { own: blindfolded } });
    await bench.prepare(600, 50);
    expect(notes.at(-1)).toMatch(/^the sequences cannot decide and are left out: the reference follows none/);
    expect((await bench.confirm(FAST_FORMAT, 1)).identities).toBeUndefined();
  });
});

describe('another detector', () => {
  it('is refused without labels, however well it agrees', async () => {
    const { bench, collected } = benchOf({});
    expect(await bench.confirm(OTHER, 1)).toMatchObject({
      verdict: 'refused',
      reason: expect.stringMatching(/labels/),
    });
    expect(await bench.screen(OTHER)).toMatchObject({ verdict: 'refused', chance: 0 });
    expect(collected).toEqual([]);
  });

  it('is left to people without labels, if they want to answer, and never proven by that alone', async () => {
    const asksPeople = true;
    const { bench } = benchOf({ asksPeople, eyes: { other: blind } });
    const judged = await bench.confirm(OTHER, 1);
    expect(judged.verdict).toBe('passed');
    expect(judged.differences.map(({ kind, subject }) => `${kind} ${subject}`)).toEqual([
      'class car',
      'class person',
      'class dog',
      'detector ',
    ]);
    expect(judged.differences[0]!.text).toMatch(
      /: both report \d+ boxes in the clip, today's detector \d+ others, this one 0 others$/,
    );
    // One that agrees is worth looking at; one that finds nothing of it is not.
    const nothing: Eyes = { video: (clip) => mapDetections(clip, () => null) };
    const chances = await Promise.all(
      [{}, { other: blind }, { other: nothing }].map(
        async (eyes) => (await benchOf({ asksPeople, eyes }).bench.screen(OTHER)).settledChance,
      ),
    );
    expect(chances).toEqual([1, expect.any(Number), 0]);
    expect(chances[1]).toBeGreaterThan(0.3);
    expect(await benchOf({ asksPeople }).bench.confirm(OTHER, 1)).toMatchObject({
      verdict: 'passed',
      differences: [{ kind: 'detector' }],
    });
  });

  it('passes with labels that show no loss', async () => {
    expect(await benchOf({ labelled: true }).bench.confirm(OTHER, 1)).toMatchObject({ verdict: 'passed' });
  });

  it('is refused where labels show a loss', async () => {
    const judged = await benchOf({ labelled: true, eyes: { other: { pictures: blind.pictures! } } }).bench.confirm(
      OTHER,
      1,
    );
    expect(judged.verdict).toBe('refused');
  });

  it('is judged, run and recommended at the threshold that suits its own scores', async () => {
    // The same boxes with half of the scores, which the threshold of the other would hide.
    const faint: Eyes = {
      pictures: (scene) => {
        const { frames, ...seen } = seePictures(scene, SIGHT);
        const halved = frames.map((frame) => ({
          ...frame,
          detections: frame.detections.map((found) => ({ ...found, score: found.score / 2 })),
        }));
        return { ...seen, frames: halved };
      },
    };
    const { bench } = benchOf({ labelled: true, eyes: { other: faint } });
    expect(await bench.confirm(OTHER, 1)).toMatchObject({ verdict: 'passed' });
    const threshold = await bench.scoreThresholdOf(OTHER);
    expect(threshold).toBeCloseTo(seePictures(labelledScene(PICTURES, 4), SIGHT).scoreThreshold / 2, 2);
    expect((await bench.applied({ ...OTHER, skipUnchanged: true })).model.scoreThreshold).toBe(threshold);
    expect((await bench.applied(FAST_FORMAT)).model.scoreThreshold).toBeUndefined();
  });

  it('leaves changed counts of the user to people, since labels show no loss, unless they are accepted', async () => {
    const eyes = { other: { video: jumpy.video! } };
    const open = await benchOf({ labelled: true, counted: true, eyes }).bench.confirm(OTHER, 1);
    expect(open.verdict).toBe('passed');
    expect(open.differences).toEqual([
      { kind: 'line', subject: 'gate', text: expect.stringMatching(/line gate counts/) },
    ]);
    const accepted = await benchOf({ labelled: true, counted: true, eyes, acceptsCounts: true }).bench.confirm(
      OTHER,
      1,
    );
    expect(accepted).toMatchObject({ verdict: 'passed', differences: [] });
    expect(accepted.video!.video!.counts[0]!.candidate).not.toEqual(accepted.video!.video!.counts[0]!.reference);
  });

  it('leaves to people, with accepted counts and without labels, that it loses tracks', async () => {
    const gone: Eyes = { video: (clip) => mapDetections(clip, (found) => (found.trackId! % 3 === 0 ? null : found)) };
    const world = { acceptsCounts: true, eyes: { other: gone } };
    expect(await benchOf(world).bench.confirm(OTHER, 1)).toMatchObject({
      verdict: 'passed',
      differences: expect.arrayContaining([expect.objectContaining({ kind: 'tracks' })]),
    });
    const same = await benchOf({ acceptsCounts: true }).bench.confirm(OTHER, 1);
    expect(same).toMatchObject({ verdict: 'passed', differences: [] });
  });

  const isClass = (name: string) => (found: { readonly label: string }) => found.label === name;
  const lacking = (name: string) => (results: RecordedResults) =>
    mapDetections(results, (found) => (isClass(name)(found) ? null : found));

  it('leaves to people a class that vanishes from the clip and not from the labelled pictures, as of one that is blind by night', async () => {
    const label = seeVideo(SIGHT).frames.flatMap(({ detections }) => detections)[0]!.label;
    const judged = await benchOf({ labelled: true, eyes: { other: { video: lacking(label) } } }).bench.confirm(
      OTHER,
      1,
    );
    expect(judged).toMatchObject({ verdict: 'passed', settled: [] });
    expect(judged.differences).toEqual([
      {
        kind: 'class',
        subject: label,
        text: expect.stringMatching(
          / this one none; labels: of \d+ objects \d+ were found before, \d+ now, which does not explain that \d+ objects of the clip are missed: the clip is unlike the labelled pictures$/,
        ),
      },
    ]);
    // Where one in five is still found, it is no less a question.
    const fewer = (results: RecordedResults) =>
      mapDetections(results, (found) => (isClass(label)(found) && found.trackId! % 6 !== 0 ? null : found));
    const few = await benchOf({ labelled: true, eyes: { other: { video: fewer } } }).bench.confirm(OTHER, 1);
    expect(few.differences).toEqual([expect.objectContaining({ kind: 'class', subject: label })]);
  });

  it('leaves to people a class that only the clip has', async () => {
    const clip = mapDetections(seeVideo(SIGHT), (found) =>
      found.trackId! % 2 === 0 ? { ...found, label: 'handbag' } : found,
    );
    const eyes = { other: { video: lacking('handbag') } };
    const judged = await benchOf({ labelled: true, clip, eyes }).bench.confirm(OTHER, 1);
    expect(judged).toMatchObject({ verdict: 'passed', settled: [] });
    expect(judged.differences).toEqual([
      {
        kind: 'class',
        subject: 'handbag',
        text: expect.stringMatching(
          /^handbag: today's detector reports \d+ in the clip, this one none; labels: no object, too few to judge$/,
        ),
      },
    ]);
    // The search sees it only where it looks at the clip; then it is hardly ever proven, and as likely as before if people accept it.
    const { bench } = benchOf({ labelled: true, clip, eyes });
    const [blindly, looked] = [await bench.screen(OTHER), await bench.screen(OTHER, true)];
    expect(blindly).toMatchObject({ verdict: 'passed', differences: [] });
    expect(looked.chance).toBeCloseTo(0.1 * blindly.chance, 10);
    expect(looked.settledChance).toBe(blindly.chance);
  });

  it('takes answers of people about the objects of such a class as labels', async () => {
    const clip = mapDetections(seeVideo(SIGHT), (found) =>
      found.trackId! % 2 === 0 ? { ...found, label: 'handbag' } : found,
    );
    const world = { labelled: true, clip, eyes: { other: { video: lacking('handbag') } } };
    const judged = await benchOf(world).bench.confirm(OTHER, 1);
    const [bags] = judged.video!.video!.disputed!.classes;
    // The held-out blocks are the first, third and fourth: times are those of the recording.
    const times = bags!.objects.flatMap(({ boxes }) => boxes.map(({ atUs }) => Math.floor(atUs / 10e6)));
    expect(new Set(times)).toEqual(new Set([0, 2, 3]));
    const saying = (answer: 'yes' | 'no', count = Number.POSITIVE_INFINITY) => {
      const answers = bags!.objects.slice(0, count).map((object) => {
        const { atUs, box } = object.boxes[0]!;
        return { label: 'handbag', recording: '', atUs, box: [...box] as [number, number, number, number], answer };
      });
      return benchOf({ ...world, answers }).bench.settle(judged);
    };
    expect(saying('no')).toMatchObject({ verdict: 'passed', differences: [] });
    expect(saying('no').settled[0]!.text).toMatch(/by \d+ answers it finds .*, which is not worse$/);
    expect(saying('yes')).toMatchObject({
      verdict: 'refused',
      reason: expect.stringMatching(/handbag: by .* is worse/),
    });
    expect(saying('yes', 2).differences[0]!.text).toMatch(/; by 2 answers .*; about \d+ more would settle it$/);
    expect(saying('yes', 2).verdict).toBe('passed');
  });

  it('says what would settle it where there are too few labels to decide', async () => {
    const worse: Eyes = { pictures: (scene) => seePictures(scene, { ...SIGHT, seed: 7, missRatio: 0.03 }) };
    const judged = await benchOf({ labelled: true, eyes: { other: worse }, maxLoss: 0.012 }).bench.confirm(OTHER, 3);
    expect(judged.verdict).toBe('inconclusive');
    expect(judged.differences).toEqual([
      { kind: 'undecided', subject: '', text: expect.stringMatching(/it may lose 0\.0\d\d where 0\.012 is allowed/) },
    ]);
  });

  it('is never passed on a clip without objects, also with accepted counts', async () => {
    const empty = mapDetections(seeVideo(SIGHT), () => null);
    const judged = await benchOf({ clip: empty, acceptsCounts: true }).bench.confirm(OTHER, 1);
    expect(judged).toMatchObject({ verdict: 'inconclusive', reason: expect.stringMatching(/finds no object/) });
  });
});

describe('the same detector in another format', () => {
  it('passes if it finds the same, and is refused if it does not', async () => {
    expect((await benchOf({}).bench.confirm(FAST_FORMAT, 1)).verdict).toBe('passed');
    const { bench } = benchOf({ eyes: { 'own openvino': blind } });
    expect((await bench.confirm(FAST_FORMAT, 1)).verdict).toBe('refused');
  });

  it('leaves lost tracks to people where labels show no loss', async () => {
    const eyes = { 'own openvino': { video: blind.video! } };
    const late: Eyes = { video: (clip) => mapDetections(clip, (found) => (found.trackId! % 2 === 0 ? null : found)) };
    expect((await benchOf({ labelled: true, eyes }).bench.confirm(FAST_FORMAT, 1)).labels!.verdict).toBe('passed');
    const judged = await benchOf({ labelled: true, eyes: { 'own openvino': late } }).bench.confirm(FAST_FORMAT, 1);
    expect(judged).toMatchObject({ verdict: 'passed' });
    expect(judged.differences.map(({ kind }) => kind)).toContain('tracks');
  });
});

describe('what changes no detection', () => {
  const threads: Configuration = { ...BASELINE, inferenceThreads: 2 };

  it('is checked by a run: it detects the same, or the baseline stays', async () => {
    const { bench, collected } = benchOf({});
    expect(await bench.checkHarmless(threads)).toMatchObject({ verdict: 'passed', loss: 0 });
    expect(collected).toHaveLength(2);
    let runs = 0;
    const second: Eyes = { video: (clip) => (runs++ === 0 ? clip : blind.video!(clip)) };
    const broken = await benchOf({ eyes: { own: second } }).bench.checkHarmless(threads);
    expect(broken).toMatchObject({ verdict: 'refused', reason: expect.stringMatching(/was expected to detect/) });
  });

  it.each([{ labelled: true }, { labelled: true, hasNoClip: true }])(
    'is checked of another network, too, against one frame at a time: %o',
    async (world) => {
      // The second run is in batches, of which only the first picture is seen.
      const inBatches = <T>(first: (all: T) => RecordedResults, second: (all: T) => RecordedResults) => {
        let runs = 0;
        return (all: T) => (runs++ === 0 ? first(all) : second(all));
      };
      const firstOnly = (results: RecordedResults): RecordedResults => ({
        ...results,
        frames: results.frames.map((frame) => (frame.frame % 4 === 0 ? frame : { ...frame, detections: [] })),
      });
      const pictures = (scene: Parameters<typeof seePictures>[0]) => seePictures(scene, SIGHT);
      const batched: Configuration = { ...OTHER, maxBatch: 8, inferenceThreads: 2 };
      const bears = await benchOf(world).bench.checkHarmless(batched);
      expect(bears).toMatchObject({ verdict: 'passed', loss: 0 });
      const other: Eyes = {
        video: inBatches((clip) => clip, firstOnly),
        pictures: inBatches(pictures, (scene) => firstOnly(pictures(scene))),
      };
      const breaks = await benchOf({ ...world, eyes: { other } }).bench.checkHarmless(batched);
      expect(breaks).toMatchObject({
        verdict: 'refused',
        reason: expect.stringMatching(
          /^in batches of 8 on 2 threads it was expected to detect what it detects one frame/,
        ),
      });
    },
  );
});

describe('a lever', () => {
  // The engine of the baseline does not compute what the sample takes.
  const values: Configuration = { ...OTHER_VALUES, precision: 'f16' };
  // Second stages, which this pipeline has none of, are judged below.
  it.each(LEVER_IDS.filter((id) => id !== 'stages'))(
    'that may change detections is judged as it is written into the pipeline: %s',
    async (lever) => {
      const { bench, runs } = benchOf({ labelled: true, acceptsCounts: true });
      await bench.confirm({ ...BASELINE, [lever]: values[lever] }, 1);
      const { affectsDetections } = LEVERS[lever];
      const distinct = (kind: string): number => new Set(runs.filter((run) => run.startsWith(kind))).size;
      // The baseline, and the candidate where it may differ; a picture does not show what is skipped.
      expect(distinct('video')).toBe(affectsDetections ? 2 : 1);
      expect(distinct('pictures')).toBe(affectsDetections && !isSkipLever(lever) ? 2 : 1);
    },
  );
});

describe('threads and lanes', () => {
  it('change no detection and need no verdict', async () => {
    const { bench, collected } = benchOf({});
    const judged = await bench.confirm({ ...BASELINE, inferenceThreads: 2, lanes: 2 }, 3);
    expect(judged).toMatchObject({ verdict: 'passed', loss: 0, labels: null, video: null, skips: null });
    expect(collected).toEqual([]);
  });
});

describe('skipped work', () => {
  it('is refused where the gate sleeps', async () => {
    const eyes = { 'own onnx skipping': { video: (clip: RecordedResults) => asleepFrom(clip, 30) } };
    expect((await benchOf({ eyes }).bench.confirm(SKIPPING, 1)).verdict).toBe('refused');
  });

  it('keeps the ids of objects where somebody uses them, and only there', async () => {
    const renamed: Eyes = {
      video: (clip) =>
        mapDetections(clip, (found, { frame }) => ({
          ...found,
          trackId: found.trackId! + 100 * Math.floor(frame / 4),
        })),
    };
    const eyes = { 'own onnx skipping': renamed };
    const judged = await benchOf({ eyes }).bench.confirm(SKIPPING, 1);
    expect(judged).toMatchObject({ verdict: 'refused', reason: expect.stringMatching(/tracks were kept/) });
    expect((await benchOf({ eyes, followsObjects: false }).bench.confirm(SKIPPING, 1)).verdict).toBe('passed');
    // What comes is seen in time all the same.
    const asleep = { 'own onnx skipping': { video: (clip: RecordedResults) => asleepFrom(clip, 30) } };
    expect((await benchOf({ eyes: asleep, followsObjects: false }).bench.confirm(SKIPPING, 1)).verdict).toBe('refused');
  });

  it('adds its loss and its bound to those of the detector', async () => {
    const missing = (seed: number): Eyes => ({
      video: (clip) =>
        mapDetections(clip, (found, { frame }) => ((frame * 31 + found.trackId! * 7 + seed) % 90 === 0 ? null : found)),
    });
    const eyes = { 'own openvino': missing(1), 'own openvino skipping': missing(2) };
    const { bench } = benchOf({ eyes });
    const format = await bench.confirm(FAST_FORMAT, 1);
    const both = await bench.confirm({ ...FAST_FORMAT, skipUnchanged: true }, 1);
    expect(format.verdict).toBe('passed');
    expect(both.skips!.verdict).toBe('passed');
    expect(both.loss).toBeCloseTo(both.video!.loss + both.skips!.loss);
    expect(both.upperBound).toBeCloseTo(both.video!.interval[1] + both.skips!.interval[1]);
    expect(both.upperBound!).toBeGreaterThan(0.02);
    expect(both.verdict).not.toBe('passed');
  });
});

describe('decoding key frames only, one every two seconds', () => {
  const KEY: Configuration = { ...BASELINE, decode: 'key' };

  it('is refused where things move: the last result holds, and what comes is seen late', async () => {
    const { bench, collected } = benchOf({});
    const judged = await bench.confirm(KEY, 1);
    expect(judged.verdict).toBe('refused');
    expect(judged.reason).toMatch(/appear more than 500 ms late/);
    expect(judged.skips!.loss).toBeGreaterThan(0.1);
    // No frame is missing: each has a result to be judged by.
    expect(judged.reason).not.toMatch(/frames were published/);
    expect(judged.skips!.pictures).toBe(300);
    expect(collected).toHaveLength(2);
  });

  it('passes in scenes in which nothing moves', async () => {
    const clip = seeVideo(SIGHT);
    const { detections } = clip.frames[100]!;
    const still = { ...clip, frames: clip.frames.map((frame) => ({ ...frame, detections })) };
    expect((await benchOf({ clip: still }).bench.confirm(KEY, 1)).verdict).toBe('passed');
  });

  it('needs no verdict of its own where the pipeline does so already', async () => {
    const { bench } = benchOf({ baseline: KEY });
    expect(await bench.confirm({ ...KEY, lanes: 2 }, 1)).toMatchObject({ verdict: 'passed', skips: null, video: null });
  });
});

describe('the two parts', () => {
  it('share no picture and no block, and the search never sees the held-out part', async () => {
    const { bench, collected } = benchOf({ labelled: true, counted: true });
    await bench.screen(OTHER);
    expect(collected).toEqual(['pictures own: 100', 'pictures other: 100', 'video own: 1.mkv', 'video other: 1.mkv']);
    collected.length = 0;
    await bench.confirm(OTHER, 3);
    expect(collected).toContain('pictures other: 300');
    expect(collected).toContain('video other: 0.mkv 2.mkv 3.mkv');
  });

  it('make the verdict stricter the more finalists there are', async () => {
    const { bench } = benchOf({ labelled: true });
    const [one, three] = [await bench.confirm(OTHER, 1), await bench.confirm(OTHER, 3)];
    expect(one.labels!.level).toBe(0.975);
    expect(three.labels!.level).toBeCloseTo(1 - 0.025 / 3);
    expect(three.upperBound!).toBeGreaterThanOrEqual(one.upperBound!);
  });

  it('let the search part rank an unlikely candidate, and not refuse it: few pictures decide nothing', async () => {
    const worse: Eyes = { pictures: (scene) => seePictures(scene, { ...SIGHT, missRatio: 0.08 }) };
    const { bench } = benchOf({ labelled: true, eyes: { other: worse } });
    const judged = await bench.screen(OTHER);
    expect(judged).toMatchObject({
      verdict: 'passed',
      reason: expect.stringContaining('pictures that the search has not seen'),
    });
    expect(judged.chance).toBeLessThan(0.2);
    expect((await bench.screen(FAST_FORMAT)).chance).toBeGreaterThan(judged.chance);
    // The held-out part decides.
    expect((await bench.confirm(OTHER, 1)).verdict).not.toBe('passed');
  });
});

describe('evidence that cannot decide', () => {
  it('is named before anything is tried: no object in the clip', async () => {
    const empty = mapDetections(seeVideo(SIGHT), () => null);
    const { detections, skips } = await benchOf({ clip: empty }).bench.prepare(600, 50);
    expect(detections).toContain('the recording cannot decide: the reference finds no object');
    expect(skips).toBe(detections);
  });

  it('leaves detections to labels where only the clip is empty', async () => {
    const empty = mapDetections(seeVideo(SIGHT), () => null);
    const { detections, skips } = await benchOf({ clip: empty, labelled: true }).bench.prepare(600, 50);
    expect(detections).toBeNull();
    expect(skips).toContain('finds no object');
  });

  it('is a recording of a single block', async () => {
    const { bench } = benchOf({ evidence: splitEvidence(null, null, [block(0)]) });
    expect((await bench.prepare(600, 50)).detections).toContain('too short to be split');
  });

  it('is nothing where both parts suffice', async () => {
    expect(await benchOf({ labelled: true }).bench.prepare(600, 50)).toEqual({ detections: null, skips: null });
  });
});

describe('a short budget', () => {
  it('cuts the held-out part and says so, but never below what can decide', async () => {
    const notes: string[] = [];
    const { bench, collected } = benchOf({ labelled: true, note: (text) => notes.push(text) });
    await bench.prepare(60, 20);
    expect(notes.join()).toMatch(/the budget allows \d+ of the 300 held-out pictures/);
    await bench.confirm(OTHER, 1);
    const judged = collected.find((entry) => entry.startsWith('pictures other'))!;
    expect(Number(judged.split(': ')[1])).toBeGreaterThanOrEqual(40);
    expect(Number(judged.split(': ')[1])).toBeLessThan(300);
  });
});

describe('second stages', () => {
  const parts = { name: 'test', description: 'Made up.', streams: [{ id: 'cam', source: 'clip.mp4' }] };
  const stages = [{ name: 'colour', model: { name: 'm.yaml' }, per: 'frame' }];
  const pipeline = parsePipeline(JSON.stringify({ ...parts, stages }), 'test');
  const looking = (per: StageChoice['per']): Configuration => ({
    ...BASELINE,
    stages: [{ name: 'colour', model: 'm.yaml', per, again: undefined }],
  });
  const baseline = looking('frame');
  const paces: string[] = [];

  /** Says the same for each object at any pace, but another colour where it looks for the best picture. */
  function bench() {
    const onVideo = async ({ stages: [stage] = [] }: Parameters<Collectors['onVideo']>[0]) => {
      const per = stage?.per ?? 'none';
      paces.push(per);
      const label = per === 'bestOfTrack' ? 'blue' : 'red';
      const clip = mapDetections(seeVideo(SIGHT), (found) => ({
        ...found,
        attributes: { colour: { label, score: 1, atUs: 0 } },
      }));
      return { ...clip, seconds: 1, startsUs: [0] } as unknown as CollectedResults;
    };
    const collectors = { onVideo, onImages: () => Promise.reject(new Error('no pictures')) } as Collectors;
    return benchOf({ pipeline, baseline, collectors }).bench;
  }

  it('are judged by what they say of each object, at the pace of the configuration', async () => {
    const same = await bench().confirm(looking('track'), 1);
    expect(same.verdict, same.reason).toBe('passed');
    expect(same.stages!.video!.attributes![0]).toMatchObject({ attribute: 'colour' });
    const other = await bench().confirm(looking('bestOfTrack'), 1);
    expect(other.differences).toContainEqual(
      expect.objectContaining({ kind: 'attribute', text: expect.stringMatching(/colour agrees for 0 of/) }),
    );
    expect(new Set(paces)).toEqual(new Set(['frame', 'track', 'bestOfTrack']));
  });

  it('are judged with skipped work too, and not where a pipeline has none', async () => {
    expect((await bench().confirm({ ...baseline, trackBetween: 3 }, 1)).stages).toBeDefined();
    expect((await benchOf({}).bench.confirm(SKIPPING, 1)).stages).toBeUndefined();
  });
});
