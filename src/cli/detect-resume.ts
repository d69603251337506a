import { createHash } from 'node:crypto';
import { mkdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { isMissing, MOST_BYTES, readGivenText } from '../disk/given-file.ts';
import { writeWholeFile } from '../disk/replace-file.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import type { Runtime } from '../runtime/runtime.ts';
import { fileFailure } from '../sinks/sink-failure.ts';
import type { DetectFlags, DetectPlan } from './detect-plan.ts';

/** Flags that change no result, and those of the model, which is compared itself. */
const FREE_FLAGS: ReadonlySet<string> = new Set([
  ...['resume', 'dryRun', 'json', 'jobs', 'ca', 'insecureTls', 'decoderMemory', 'sandbox', 'threads', 'cache'],
  ...['model', 'engine', 'provider', 'precision'],
]);

/** Where the folder lies, and the output beside it. */
export interface ResumePlace {
  readonly resumeFolder: string;
  readonly firstOutput: { readonly id: string; readonly path: string };
}

/** All that the results of a command depend on, by name. */
type Conditions = Readonly<Record<string, unknown>>;

/** The folder from which `--resume` goes on: what was run, and the results of each input so far. It is deleted at the end. */
export class ResumeFolder {
  readonly path: string;
  /** It holds results of an interrupted run. */
  readonly isContinued: boolean;

  private constructor(path: string, isContinued: boolean) {
    this.path = path;
    this.isContinued = isContinued;
  }

  /**
   * @param isResumed - continues what it holds; otherwise it begins empty.
   * @throws COMMAND_INVALID if inputs, model or options differ from those of the interrupted run, with their names; SINK_FAILED
   */
  static async open(
    { resumeFolder: path, firstOutput: output }: ResumePlace,
    now: Conditions,
    isResumed: boolean,
    note: (text: string) => void,
  ): Promise<ResumeFolder> {
    const runPath = join(path, 'run.json');
    const before = await readConditions(runPath);
    if (isResumed && before !== null) {
      requireSame(before, now);
      return new ResumeFolder(path, true);
    }
    if (isResumed) note('nothing to resume: no interrupted run with these outputs; starting at the first frame');
    else if (before !== null)
      note('an interrupted run with these outputs is discarded; --resume would have continued it');
    try {
      await rm(path, { recursive: true, force: true });
      // A missing folder for the outputs is not created: its name may be wrong.
      await mkdir(path);
      await writeWholeFile(runPath, JSON.stringify(now));
    } catch (error) {
      throw fileFailure(output.id, output.path, error as Error);
    }
    return new ResumeFolder(path, false);
  }

  /** @param order - of the item. */
  recordPath(order: number): string {
    return join(this.path, `${order}.jsonl`);
  }

  remove(): Promise<void> {
    return rm(this.path, { recursive: true, force: true });
  }
}

export async function conditionsOf(plan: DetectPlan, flags: DetectFlags, runtime: Runtime): Promise<Conditions> {
  const inputs = await Promise.all(plan.sources.map(inputConditions));
  const options = Object.fromEntries(
    Object.entries(flags)
      .filter(([flag]) => !FREE_FLAGS.has(flag))
      .map(([flag, value]) => [`--${flag.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`, value]),
  );
  const { engine, provider, precision } = runtime.engineInfo;
  const spec = createHash('sha256').update(JSON.stringify(runtime.spec)).digest('hex');
  return {
    inputs,
    ...options,
    model: `${runtime.spec.name} ${runtime.modelHash} ${spec}`,
    engine: `${engine}/${provider} ${precision}`,
    ffmpeg: runtime.ffmpeg.version,
  };
}

/** Path, size and time of a file; of anything else only its name. */
type InputConditions = readonly [path: string, ...number[]];

async function inputConditions(source: string): Promise<InputConditions> {
  const found = await stat(source).catch(() => null);
  return found === null ? [source] : [source, found.size, Math.floor(found.mtimeMs)];
}

/** @returns null if there is none. @throws COMMAND_INVALID if it cannot be read. */
async function readConditions(path: string): Promise<Conditions | null> {
  try {
    return JSON.parse(await readGivenText(path, { code: 'COMMAND_INVALID', mostBytes: MOST_BYTES.json })) as Conditions;
  } catch (error) {
    if (isMissing(error)) return null;
    if (error instanceof SightlineError) throw error;
    throw new SightlineError('COMMAND_INVALID', `${path} is damaged; delete its folder`);
  }
}

/** @throws COMMAND_INVALID with the names of what differs. */
function requireSame(before: Conditions, now: Conditions): void {
  const names = new Set([...Object.keys(before), ...Object.keys(now)]);
  const changes = [...names]
    .filter((name) => !isDeepStrictEqual(before[name], plainOf(now[name])))
    .map((name) => (name === 'inputs' ? inputChange(before[name], now[name]) : change(name, before[name], now[name])));
  if (changes.length === 0) return;
  throw new SightlineError(
    'COMMAND_INVALID',
    `--resume: cannot continue, because something has changed: ${changes.join('; ')}. Restore it, or run without --resume to start again`,
  );
}

/** As it is read back from JSON. */
function plainOf(value: unknown): unknown {
  return value === undefined ? undefined : (JSON.parse(JSON.stringify(value)) as unknown);
}

function change(name: string, before: unknown, now: unknown): string {
  const text = (value: unknown): string =>
    value === undefined ? 'none' : typeof value === 'string' ? value : JSON.stringify(value);
  if (name === 'model' && text(before).split(' ')[0] === text(now).split(' ')[0])
    return `model ${text(now).split(' ')[0]}: its file or manifest has changed`;
  const [was, is] =
    name === 'model' ? [text(before).split(' ')[0], text(now).split(' ')[0]] : [text(before), text(now)];
  return `${name}: ${is}, before ${was}`;
}

function inputChange(before: unknown, now: unknown): string {
  const [old, current] = [before, now] as [readonly InputConditions[], readonly InputConditions[]];
  const i = current.findIndex((input, at) => !isDeepStrictEqual(input, old[at]));
  if (i === -1) return `inputs: ${current.length}, before ${old.length}`;
  const [path] = current[i]!;
  if (old[i]?.[0] === path) return `input ${path}: the file has changed`;
  return `input ${i + 1} is ${path}, before ${old[i]?.[0] ?? 'none'}`;
}
