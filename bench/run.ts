import { parseArgs } from 'node:util';
import { table } from '../src/cli/cli-io.ts';
import { bulk } from './bulk.bench.ts';
import { cameraLatency } from './camera-latency.bench.ts';
import { controlMemory } from './control-memory.bench.ts';
import { controlPlane } from './control-plane.bench.ts';
import { engines } from './engines.bench.ts';
import { feed } from './feed.bench.ts';
import { halfLoad } from './half-load.bench.ts';
import { hardCases } from './hard-cases.bench.ts';
import { hotSwap } from './hot-swap.bench.ts';
import { int8 } from './int8.bench.ts';
import { memory } from './memory.bench.ts';
import { metrics } from './metrics.bench.ts';
import { optimizeSearch } from './optimize-search.bench.ts';
import { overload } from './overload.bench.ts';
import { ownCost } from './own-cost.bench.ts';
import { packets } from './packets.bench.ts';
import { pageLoad } from './page-load.bench.ts';
import { pageScroll } from './page-scroll.bench.ts';
import { cascade } from './peers/cascade.bench.ts';
import { peers } from './peers/peers.bench.ts';
import { peersOpenvino } from './peers/peers-openvino.bench.ts';
import { requests } from './requests.bench.ts';
import { review } from './review.bench.ts';
import { rolloutSimulation } from './rollout-simulation.bench.ts';
import { rollouts } from './rollouts.bench.ts';
import { rules } from './rules.bench.ts';
import { serviceMemory } from './service-memory.bench.ts';
import { skipping } from './skipping.bench.ts';
import { openContext } from './support/bench-context.ts';
import { describeMachine } from './support/machine.ts';
import { type SectionRecord, sectionText, writeResults } from './support/report.ts';
import type { Section } from './support/section.ts';
import { throughput } from './throughput.bench.ts';
import { tiles } from './tiles.bench.ts';
import { tracking } from './tracking.bench.ts';

/**
 * Runs the benchmark sections. Nothing is asserted: the report lists the figures with their targets.
 *
 *     npm run bench -- [--only throughput,peers] [--seconds 10] [--quick] [--cases blind]
 *
 * `--cases` names cases of the sections of roll-outs by parts of their names: each can take minutes.
 */
const SECTIONS: readonly Section[] = [
  throughput,
  ownCost,
  halfLoad,
  overload,
  cameraLatency,
  memory,
  serviceMemory,
  engines,
  int8,
  skipping,
  hardCases,
  tiles,
  tracking,
  review,
  peers,
  peersOpenvino,
  cascade,
  controlPlane,
  controlMemory,
  optimizeSearch,
  bulk,
  feed,
  metrics,
  packets,
  pageLoad,
  pageScroll,
  hotSwap,
  requests,
  rolloutSimulation,
  rollouts,
  rules,
];
const SECONDS = 10;
const QUICK_SECONDS = 3;

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    seconds: { type: 'string' },
    quick: { type: 'boolean', default: false },
    cases: { type: 'string' },
  },
});
const chosen = choose(values.only);
const isQuick = values.quick;
const seconds = Number(values.seconds ?? (isQuick ? QUICK_SECONDS : SECONDS));
if (!(seconds >= 1 && seconds <= 3600))
  stop(`--seconds: expected a number from 1 to 3600, received "${values.seconds}"`);

const context = await openContext(
  { seconds, isQuick, ...(values.cases === undefined ? {} : { cases: values.cases.split(',') }) },
  process.env,
);
const machine = describeMachine(context);
console.log(table(Object.entries(machine).map(([name, value]) => [name, String(value)])));
const records: SectionRecord[] = [];
for (const section of chosen) {
  context.note(`\n${section.id} ...`);
  const record = await run(section);
  records.push(record);
  console.log(sectionText(record));
}
const isWhole = chosen.length === SECTIONS.length && !isQuick && values.cases === undefined;
const path = await writeResults({ machine, secondsPerRun: seconds, isQuick, sections: records }, isWhole);
console.log(`\nwritten: ${path}`);
if (records.some(({ error }) => error !== null)) process.exitCode = 1;

/** Runs a section. A failure is recorded, and the other sections still run. */
async function run(section: Section): Promise<SectionRecord> {
  const before = performance.now();
  const { id, title } = section;
  const elapsed = (): number => Math.round((performance.now() - before) / 1000);
  try {
    const result = await section.run(context);
    return { id, title, seconds: elapsed(), result, error: null };
  } catch (error) {
    context.note(String((error as Error).stack));
    return { id, title, seconds: elapsed(), result: null, error: (error as Error).message };
  }
}

function choose(only: string | undefined): readonly Section[] {
  if (only === undefined) return SECTIONS;
  return only.split(',').map((id) => {
    const section = SECTIONS.find((candidate) => candidate.id === id.trim());
    return (
      section ?? stop(`--only: no section "${id}"; expected one of ${SECTIONS.map((known) => known.id).join(', ')}`)
    );
  });
}

function stop(why: string): never {
  console.error(why);
  process.exit(2);
}
