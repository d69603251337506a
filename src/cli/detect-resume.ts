import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { fileFailure } from '../after/sinks/sink-failure.ts';
import { isMissing, MOST_BYTES, readGivenText } from '../base/disk/given-file.ts';
import { removeTemporaries, writeWholeFile } from '../base/disk/replace-file.ts';
import { SightlineError } from '../base/errors/sightline-error.ts';
import type { Runtime } from '../frame/runtime/runtime.ts';
import { wrongCommand } from './cli-io.ts';
import type { WrittenLabels } from './detect-outputs.ts';
import type { DetectFlags, DetectPlan, OutputPlace, OutputPlan } from './detect-plan.ts';
import type { ItemSummary } from './item-results.ts';

/** Flags that change no result, and those of the model, which is compared itself. */
const FREE_FLAGS: ReadonlySet<string> = new Set([
  ...['resume', 'dryRun', 'json', 'jobs', 'ca', 'insecureTls', 'decoderMemory', 'sandbox', 'threads', 'cache'],
  ...['model', 'engine', 'provider', 'precision'],
]);

/** All that the results of a command depend on, by name. */
type Conditions = Readonly<Record<string, unknown>>;

/** What a run that was not interrupted left for `--resume`. */
export interface FinishedRun {
  readonly items: readonly ItemSummary[];
  /** Its files, those of labels left out. */
  readonly written: readonly string[];
  /** Its label files; null if it wrote none. Absent from earlier releases. */
  readonly labels?: WrittenLabels | null;
}

/** What an earlier run with these outputs left. */
interface Left {
  /** Results of an interrupted run, which are continued. */
  readonly isContinued: boolean;
  /** The same command has done all that is asked for. */
  readonly finished: FinishedRun | null;
  /** Label files of a finished run that this one replaces; null if there are none. */
  readonly replaced: WrittenLabels | null;
  /** Why it begins anew, for the user; null if that needs no words. */
  readonly notice: string | null;
}

const NOTHING: Left = { isContinued: false, finished: null, replaced: null, notice: null };

/**
 * The folder from which `--resume` goes on: what was run, and the results of each input so far. Once all inputs are done it keeps only
 * what was run and how it ended.
 */
export class ResumeFolder {
  readonly #path: string;
  /** The output beside it, or that holds it. */
  readonly #output: OutputPlace;
  readonly #now: Conditions;
  readonly left: Left;

  private constructor(path: string, output: OutputPlace, now: Conditions, left: Left) {
    this.#path = path;
    this.#output = output;
    this.#now = now;
    this.left = left;
  }

  /**
   * Looks at what an earlier run left, and changes nothing.
   *
   * @param isResumed - continues what it holds; otherwise it begins empty.
   * @returns null if these outputs cannot be continued.
   * @throws COMMAND_INVALID if inputs, model or options differ from those of the interrupted run, with their names
   */
  static async open(
    { resumeFolder: path, places: [output] }: OutputPlan,
    now: Conditions,
    isResumed: boolean,
  ): Promise<ResumeFolder | null> {
    if (path === null || output === undefined) return null;
    return new ResumeFolder(path, output, now, leftBy(await readRun(join(path, RUN_FILE)), now, isResumed));
  }

  /** Discards what an earlier run left, unless that is continued. Call it once nothing refuses the command any more. @throws SINK_FAILED */
  async begin(note: (text: string) => void): Promise<void> {
    if (this.left.notice !== null) note(this.left.notice);
    if (this.left.isContinued) return;
    try {
      await rm(this.#path, { recursive: true, force: true });
      // A missing folder for the outputs is not created: its name may be wrong.
      await mkdir(this.#path);
      await writeWholeFile(join(this.#path, RUN_FILE), JSON.stringify(this.#now));
    } catch (error) {
      throw fileFailure(this.#output.id, this.#output.path, error as Error);
    }
  }

  /** @param order - of the item. */
  recordPath(order: number): string {
    return join(this.#path, `${order}.jsonl`);
  }

  /** All inputs are done: notes that, and deletes the records. */
  async finish(finished: FinishedRun): Promise<void> {
    const path = join(this.#path, RUN_FILE);
    await writeWholeFile(path, JSON.stringify({ ...this.#now, [FINISHED]: finished }));
    for (const { item } of finished.items) await rm(this.recordPath(item.order), { force: true });
    await removeTemporaries(path);
  }
}

const RUN_FILE = 'run.json';
/** Beside the conditions. No flag has this name. */
const FINISHED = 'finished';

/** @throws COMMAND_INVALID if an interrupted run cannot be continued. */
function leftBy(before: EarlierRun | null, now: Conditions, isResumed: boolean): Left {
  const anew = (notice: string | null, replaced: WrittenLabels | null = null): Left => ({
    ...NOTHING,
    notice,
    replaced,
  });
  if (before === null) {
    const notice = 'nothing to resume: no interrupted run with these outputs; starting at the first frame';
    return anew(isResumed ? notice : null);
  }
  const { conditions, finished } = before;
  if (!isResumed) {
    const notice = 'an interrupted run with these outputs is discarded; --resume would have continued it';
    return anew(finished === null ? notice : null);
  }
  const changes = changesOf(conditions, now);
  if (finished !== null) {
    const missing = finished.written.filter((path) => !existsSync(path)).map((path) => `${path} is missing`);
    const news = [...changes, ...missing];
    if (news.length === 0) return { ...NOTHING, finished };
    return anew(`the run before was finished, but ${news.join('; ')}: it begins anew`, finished.labels);
  }
  if (changes.length === 0) return { ...NOTHING, isContinued: true };
  throw wrongCommand(
    `--resume: cannot continue, because something has changed: ${changes.join('; ')}. Restore it, or run without --resume to start again`,
  );
}

/** As they are read back from JSON. */
export async function conditionsOf(plan: DetectPlan, flags: DetectFlags, runtime: Runtime): Promise<Conditions> {
  const inputs = await Promise.all(plan.sources.map(({ path }) => inputConditions(path)));
  const options = Object.fromEntries(
    Object.entries(flags)
      .filter(([flag]) => !FREE_FLAGS.has(flag))
      .map(([flag, value]) => [`--${flag.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`, value]),
  );
  const { engine, provider, precision } = runtime.engineInfo;
  const spec = createHash('sha256').update(JSON.stringify(runtime.spec)).digest('hex');
  const conditions = {
    inputs,
    ...options,
    ...(flags.stages === undefined ? {} : { stages: runtime.secondStages.all.map(({ config }) => config) }),
    // A single one as in the records of earlier releases.
    ...(flags.out?.length === 1 ? { '--out': flags.out[0] } : {}),
    model: `${runtime.spec.name} ${runtime.modelHash} ${spec}`,
    engine: `${engine}/${provider} ${precision}`,
    ffmpeg: runtime.ffmpeg.version,
  };
  return JSON.parse(JSON.stringify(conditions)) as Conditions;
}

/** Path, size and time of a file; of anything else only its name. */
type InputConditions = readonly [path: string, ...number[]];

async function inputConditions(source: string): Promise<InputConditions> {
  const found = await stat(source).catch(() => null);
  return found === null ? [source] : [source, found.size, Math.floor(found.mtimeMs)];
}

interface EarlierRun {
  readonly conditions: Conditions;
  /** Null if it was interrupted. */
  readonly finished: FinishedRun | null;
}

/** @returns null if there is none. @throws COMMAND_INVALID if it cannot be read. */
async function readRun(path: string): Promise<EarlierRun | null> {
  try {
    const text = await readGivenText(path, { code: 'COMMAND_INVALID', mostBytes: MOST_BYTES.json });
    const { [FINISHED]: finished = null, ...conditions } = JSON.parse(text) as Conditions;
    return { conditions, finished: finished as FinishedRun | null };
  } catch (error) {
    if (isMissing(error)) return null;
    if (error instanceof SightlineError) throw error;
    throw wrongCommand(`${path} is damaged; delete its folder`);
  }
}

/** What differs, by name. */
function changesOf(before: Conditions, now: Conditions): string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(now)]);
  return [...names]
    .filter((name) => !isDeepStrictEqual(before[name], now[name]))
    .map((name) => (name === 'inputs' ? inputChange(before[name], now[name]) : change(name, before[name], now[name])));
}

function change(name: string, before: unknown, now: unknown): string {
  const text = (value: unknown): string =>
    value === undefined ? 'none' : typeof value === 'string' ? value : JSON.stringify(value);
  if (name !== 'model') return `${name}: ${text(now)}, before ${text(before)}`;
  const [was, is] = [text(before).split(' ')[0], text(now).split(' ')[0]];
  return was === is ? `model ${is}: its file or manifest has changed` : `model: ${is}, before ${was}`;
}

function inputChange(before: unknown, now: unknown): string {
  const [old, current] = [before, now] as [readonly InputConditions[], readonly InputConditions[]];
  const i = current.findIndex((input, at) => !isDeepStrictEqual(input, old[at]));
  if (i === -1) return `inputs: ${current.length}, before ${old.length}`;
  const [path] = current[i]!;
  if (old[i]?.[0] === path) return `input ${path}: the file has changed`;
  return `input ${i + 1} is ${path}, before ${old[i]?.[0] ?? 'none'}`;
}
