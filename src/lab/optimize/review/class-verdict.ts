/**
 * What answers of people say of a class on which two detectors disagree. Imports nothing: the page of the review runs this file as it is compiled.
 */

export type Answer = 'yes' | 'no' | 'unknown';

/** One object that one of two detectors reports and the other does not. */
export interface Disputed {
  readonly id: string;
  /** Which of them reports it. */
  readonly by: 'today' | 'new';
  /** Frames in which it is disputed, at least 1. */
  readonly frames: number;
  /** Whether there is a picture to ask with; default: true. */
  readonly hasPicture?: boolean;
}

/** A class on which two detectors disagree. */
export interface DisputedCounts {
  readonly label: string;
  /** Boxes that both report, over all frames. */
  readonly both: number;
  readonly objects: readonly Disputed[];
}

export interface ClassVerdict {
  /**
   * `not worse`: of the boxes that today's detector reports at most the allowed share is true and lost, and of those that the new one reports at most the
   * allowed share more is wrong; `worse`: one of both is certainly beyond; `open`: more answers are needed.
   */
  readonly state: 'not worse' | 'worse' | 'open';
  /** True boxes that the new one finds fewer, as a share of those that today's reports; below 0 it finds more. With its 95 % interval. */
  readonly lost: { readonly estimate: number; readonly low: number; readonly high: number };
  /** Objects with an answer of yes or no. */
  readonly answered: number;
  /** Answers that would settle it if they go on as they are; null where no picture is left that would. 0 if it is settled. */
  readonly more: number | null;
  /** Id of the object to ask about next; null if nothing helps. */
  readonly next: string | null;
}

/** Standard errors of a 95 % interval that is looked at after each answer: 1.96 would be for one look at the end. */
const SIGMAS = 2.5;
/** A class is not settled by fewer objects, unless it has no more: one wrong answer would decide it. */
const FEWEST_TO_SETTLE = 5;
/** Answers among the objects of one detector from which on one that differs from the others is asked again. */
const FEWEST_TO_DOUBT = 5;
/** An answer is doubted if at most this share of the others says the same. */
const DOUBTED_SHARE = 1 / 3;

/** Objects of one detector that are disputed in about as many frames: what is long in the picture is often truer than what flickers. */
interface Stratum {
  readonly by: Disputed['by'];
  readonly objects: readonly Disputed[];
}

/** What is asked of a class. */
interface Question {
  readonly strata: readonly Stratum[];
  readonly both: number;
  readonly answers: ReadonlyMap<string, readonly Answer[]>;
  readonly allowed: number;
  /** Answered objects without which it is open. */
  readonly fewest: number;
}

/** True boxes in a stratum: what is known and what is expected of the rest. */
interface Estimate {
  readonly sum: number;
  readonly variance: number;
}

/**
 * Judges a class. Objects are clusters of boxes: one answer holds for all frames of an object. In each of up to four strata (by detector, long and short) the share
 * of true boxes among the unanswered is a ratio estimate with Jeffreys' prior, Beta(1/2 + n p, 1/2 + n (1 - p)) with the effective size n = (sum w)² / sum w²
 * (Kish); the answered ones count as they are. Both losses are linear in the strata's sums, so their variances add.
 *
 * An answer that goes against the others of its detector is asked once more, and a third time if the two differ: one wrong answer in ten would otherwise make a
 * class of false alarms look true.
 *
 * @param answers - by id, all answers that an object was given, in turn. @param allowed - share that may be lost, 0 to 1.
 */
export function judgeClass(
  { both, objects }: DisputedCounts,
  answers: ReadonlyMap<string, readonly Answer[]>,
  allowed: number,
): ClassVerdict {
  const known = new Map<string, number>();
  for (const { id } of objects) {
    const truth = truthOf(answers.get(id) ?? []);
    if (truth !== null) known.set(id, truth);
  }
  const untold = objects.filter(({ id }) => answers.has(id) && !known.has(id)).length;
  const fewest = Math.min(FEWEST_TO_SETTLE, objects.length - untold);
  const question: Question = { strata: strataOf(objects), both, answers, allowed, fewest };
  const doubted = doubtedOf(objects, answers, known);
  const now = judge(question, known);
  const answered = known.size;
  if (doubted.length > 0)
    return {
      ...now,
      state: 'open',
      answered,
      more: doubted.length + (moreOf(question, known) ?? 0),
      next: doubted[0]!,
    };
  if (now.state !== 'open') return { ...now, answered, more: 0, next: null };
  return { ...now, answered, more: moreOf(question, known), next: nextOf(question, known)?.id ?? null };
}

/** 1 if the object is there, 0 if it is not, null if nobody can tell so far. */
function truthOf(given: readonly Answer[]): number | null {
  const yes = given.filter((answer) => answer === 'yes').length;
  const no = given.filter((answer) => answer === 'no').length;
  return yes === no ? null : Number(yes > no);
}

/** Ids of objects whose answers have to be confirmed. */
function doubtedOf(
  objects: readonly Disputed[],
  answers: ReadonlyMap<string, readonly Answer[]>,
  known: ReadonlyMap<string, number>,
): string[] {
  const doubted: string[] = [];
  for (const by of ['today', 'new'] as const) {
    const own = objects.filter((one) => one.by === by);
    const told = own.filter(({ id }) => known.has(id));
    for (const { id } of own) {
      const given = (answers.get(id) ?? []).filter((answer) => answer !== 'unknown');
      if (given.length === 2 && given[0] !== given[1]) doubted.push(id);
      if (given.length !== 1) continue;
      const alike = told.filter((other) => known.get(other.id) === known.get(id)).length;
      const isAgainst = told.length >= FEWEST_TO_DOUBT && alike <= told.length * DOUBTED_SHARE;
      // Of a few objects each answer decides much.
      const isOneOfFew = own.length < FEWEST_TO_DOUBT && told.length === own.length;
      if (isAgainst || isOneOfFew) doubted.push(id);
    }
  }
  return doubted;
}

/** Splits the objects of each detector at their mean number of frames; in each stratum in an order that says nothing about them. */
function strataOf(objects: readonly Disputed[]): Stratum[] {
  return (['today', 'new'] as const).flatMap((by) => {
    const own = objects.filter((one) => one.by === by).sort((a, b) => (a.id < b.id ? -1 : 1));
    const mean = sumOf(own) / Math.max(1, own.length);
    return [own.filter(({ frames }) => frames > mean), own.filter(({ frames }) => frames <= mean)]
      .filter((part) => part.length > 0)
      .map((part) => ({ by, objects: part }));
  });
}

function sumOf(objects: readonly Pick<Disputed, 'frames'>[]): number {
  return objects.reduce((sum, { frames }) => sum + frames, 0);
}

function estimateOf(
  { objects }: Stratum,
  known: ReadonlyMap<string, number>,
): Estimate & { readonly share: number; readonly rest: number } {
  const told = objects.filter(({ id }) => known.has(id));
  const [all, answered] = [sumOf(objects), sumOf(told)];
  const truths = told.reduce((sum, { id, frames }) => sum + frames * known.get(id)!, 0);
  const squares = told.reduce((sum, { frames }) => sum + frames ** 2, 0);
  const size = squares === 0 ? 0 : answered ** 2 / squares;
  const share = (size * (answered === 0 ? 0 : truths / answered) + 0.5) / (size + 1);
  const rest = all - answered;
  const restSquares = objects.reduce((sum, { frames }) => sum + frames ** 2, 0) - squares;
  const spread = share * (1 - share);
  return { sum: truths + rest * share, variance: spread * (rest ** 2 / (size + 2) + restSquares), share, rest };
}

/** `between 3 fewer and 9 more`: what is lost of 100 boxes that today's detector reports. */
export function rangeText({ low, high }: Pick<ClassVerdict['lost'], 'low' | 'high'>): string {
  const [fewest, most] = [Math.round(100 * low), Math.round(100 * high)];
  if (fewest === most) return `${Math.max(0, most)} fewer`;
  return low >= 0 ? `between ${fewest} and ${most} fewer` : `between ${Math.max(0, most)} fewer and ${-fewest} more`;
}

/**
 * The objects of a class that people are asked about: at most so many, from each stratum in proportion to its frames.
 *
 * @returns their ids.
 */
export function askedObjects({ objects }: Pick<DisputedCounts, 'objects'>, most: number): ReadonlySet<string> {
  const strata = strataOf(objects);
  const taken = new Map(strata.map((stratum) => [stratum, 0]));
  const asked = new Set<string>();
  while (asked.size < most) {
    // D'Hondt: the next place goes to the stratum with most frames for each place that it would have.
    const [first] = strata
      .filter((stratum) => taken.get(stratum)! < stratum.objects.length)
      .sort((a, b) => sumOf(b.objects) / (taken.get(b)! + 1) - sumOf(a.objects) / (taken.get(a)! + 1));
    if (first === undefined) break;
    const at = taken.get(first)!;
    asked.add(first.objects[at]!.id);
    taken.set(first, at + 1);
  }
  return asked;
}

interface Judged extends Pick<ClassVerdict, 'state' | 'lost'> {
  /** How far the losses are from being allowed, with their error, in boxes; positive is open or worse. */
  readonly open: { readonly found: number; readonly right: number };
}

function judge({ strata, both, allowed, fewest }: Question, known: ReadonlyMap<string, number>): Judged {
  const side = (by: Disputed['by']): Estimate & { readonly boxes: number } => {
    const own = strata.filter((one) => one.by === by);
    const parts = own.map((one) => estimateOf(one, known));
    return {
      sum: parts.reduce((sum, part) => sum + part.sum, 0),
      variance: parts.reduce((sum, part) => sum + part.variance, 0),
      boxes: own.reduce((sum, one) => sum + sumOf(one.objects), 0),
    };
  };
  const [today, fresh] = [side('today'), side('new')];
  const [reportedToday, reportedNew] = [both + today.boxes, both + fresh.boxes];
  const found = today.sum - fresh.sum - allowed * reportedToday;
  const foundError = SIGMAS * Math.sqrt(today.variance + fresh.variance);
  const most = Math.max(reportedToday, 1);
  // Who reports nothing reports nothing wrong.
  const isCompared = reportedToday > 0 && reportedNew > 0;
  const right = isCompared ? (both + today.sum) / reportedToday - (both + fresh.sum) / reportedNew - allowed : -allowed;
  const rightError = isCompared
    ? SIGMAS * Math.sqrt(today.variance / reportedToday ** 2 + fresh.variance / reportedNew ** 2)
    : 0;
  const isEnough = known.size > 0 && known.size >= fewest;
  const isWorse = found - foundError > 0 || right - rightError > 0;
  const isFine = found + foundError <= 0 && right + rightError <= 0;
  const estimate = (today.sum - fresh.sum) / most;
  const reach = foundError / most;
  return {
    state: !isEnough ? 'open' : isWorse ? 'worse' : isFine ? 'not worse' : 'open',
    lost: { estimate, low: estimate - reach, high: Math.min(1, estimate + reach) },
    open: { found: found + foundError, right: (right + rightError) * Math.max(reportedToday, reportedNew) },
  };
}

/** The first unanswered object of the stratum in which one more answer takes most from the error of what is furthest from being allowed. */
function nextOf(question: Question, known: ReadonlyMap<string, number>): Disputed | null {
  const { strata, both, answers } = question;
  const { open } = judge(question, known);
  let best: { readonly object: Disputed; readonly gain: number } | null = null;
  for (const stratum of strata) {
    const object = stratum.objects.find(
      ({ id, hasPicture = true }) => hasPicture && !known.has(id) && !answers.has(id),
    );
    if (object === undefined) continue;
    const { variance, share } = estimateOf(stratum, known);
    const after = estimateOf(stratum, new Map([...known, [object.id, share]])).variance;
    // What is right is a share of what each of them reports.
    const reported = both + sumOf(strata.filter(({ by }) => by === stratum.by).flatMap(({ objects }) => objects));
    const gain = (variance - after) / (open.found >= open.right ? 1 : reported ** 2);
    if (best === null || gain > best.gain) best = { object, gain };
  }
  return best?.object ?? null;
}

/** Most answers that are looked ahead. */
const MOST_AHEAD = 500;

/** How many more answers settle a class if each is as those before it; null if the pictures do not suffice. */
function moreOf(question: Question, known: ReadonlyMap<string, number>): number | null {
  const { strata } = question;
  const told = new Map(known);
  const shareOf = (by: Disputed['by']): number => {
    const own = strata
      .filter((one) => one.by === by)
      .flatMap(({ objects }) => objects.filter(({ id }) => known.has(id)));
    return own.length === 0 ? 0.5 : own.reduce((sum, { id, frames }) => sum + frames * known.get(id)!, 0) / sumOf(own);
  };
  const shares = { today: shareOf('today'), new: shareOf('new') };
  for (let more = 0; more <= MOST_AHEAD; more += 1) {
    if (judge(question, told).state !== 'open') return more;
    const next = nextOf(question, told);
    if (next === null) return null;
    told.set(next.id, shares[next.by]);
  }
  return null;
}
