import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { type FfmpegBinary, openFfmpeg } from '../frame/decode/ffmpeg-binary.ts';
import type { CameraSpec } from '../lab/loadtest/cameras/camera-plan.ts';
import { GatewaySubject } from '../lab/loadtest/gateway-subject.ts';
import { figureText, reasonsText, writeLoadReport } from '../lab/loadtest/load-report.ts';
import { CAMERA_PROTOCOLS, type LoadResult, PROFILES, type ProfileName } from '../lab/loadtest/load-result.ts';
import type { LoadSubject } from '../lab/loadtest/load-subject.ts';
import { ownStreamId, thisOwner } from '../lab/loadtest/own-streams.ts';
import { type LoadPlan, runLoadTest } from '../lab/loadtest/run-load-test.ts';
import { RuntimeSubject } from '../lab/loadtest/runtime-subject.ts';
import { capacityText, counted, targetValue } from '../lab/measure/report/figures.ts';
import { parseTargets, type Target } from '../lab/measure/targets.ts';
import { demoClip } from '../network/store/package-root.ts';
import { parsePipeline, readPipelineText } from '../serve/pipeline/load-pipeline.ts';
import { DETECTOR, withOneDetector } from '../serve/pipeline/one-detector.ts';
import type { PipelineConfig } from '../serve/pipeline/pipeline.ts';
import { parseInputSize } from '../settings/config/model-config.ts';
import { type CliIo, JSON_FLAG, note, show, table, wrongCommand } from './cli-io.ts';
import { addFlags, type FlagsOf, flagTable, numberIf, whole } from './flag-values.ts';
import { ACCESS_FLAGS, DEFAULT_GATEWAY_URL, gatewayAddress, refuseAccessFlags } from './gateway-client.ts';
import { ReportedFailure } from './interruption.ts';

const CAMERA_FPS = 25;

const FLAGS = flagTable({
  '--fleet': 'load a running gateway instead of a pipeline',
  '--url <url>': `address of the gateway (default: ${DEFAULT_GATEWAY_URL}); implies --fleet`,
  ...ACCESS_FLAGS,
  '--detector <name>': DETECTOR,
  '--profile <name>': ['kind of load', PROFILES, 'baseline'],
  '--cameras <n>': [
    "cameras at a time (default: the pipeline's streams); stress: to begin with",
    whole('--cameras', 1, 1024),
  ],
  '--minutes <m>': [
    'length (default: baseline 1, peak 3, stress 3, endurance 60)',
    numberIf('--minutes', 'a number above 0, up to 10080 (a week)', (value) => value > 0 && value <= 10_080),
  ],
  '--target <targets>': 'such as "fps>=10,p99<=200ms,drops<=1%" (default: the targets of the streams)',
  '--protocol <name>': ['how cameras are read', CAMERA_PROTOCOLS, 'http'],
  '--camera-fps <n>': [
    `full rate of a camera (default: ${CAMERA_FPS}, or that of the target)`,
    numberIf('--camera-fps', 'a number from 1 to 120', (value) => value >= 1 && value <= 120),
  ],
  '--camera-size <size>': ['size of every camera, such as 1280x720 (default: several sizes)', cameraSizeOf],
  '--camera-host <address>': ['address of this machine on which hosts reach the cameras', '127.0.0.1'],
  '--max-cameras <n>': ['stress: most cameras', whole('--max-cameras', 1, 1024), 256],
  '--seed <n>': ['start value of everything random in the plan of the cameras', whole('--seed', 0, 2 ** 31), 1],
  '--report <dir>': 'write loadtest.json and loadtest.html there',
  ...JSON_FLAG,
});
type LoadFlags = FlagsOf<typeof FLAGS>;

const DEFAULT_MINUTES: Readonly<Record<ProfileName, number>> = { baseline: 1, peak: 3, stress: 3, endurance: 60 };
/** Expected load of a gateway, which does not say what it was built for. */
const GATEWAY_CAMERAS = 4;
/** A peak is this much above the expected load. */
const PEAK_RATIO = 1.5;
const DEFAULT_P99_MS = 500;

const HELP = `
Examples:
  sightline loadtest pipelines/live-detect.yaml --cameras 4            the expected load for a minute
  sightline loadtest gate.yaml --profile stress --target "fps>=10,p99<=200ms"    where it breaks, how, and how it recovers
  sightline loadtest gate.yaml --profile endurance --minutes 60 --report out/    whether anything grows
  sightline loadtest --fleet --url http://gateway:8080 --camera-host 10.0.0.5    a running gateway, with streams of its own

Profiles: baseline, the expected load: cameras of several sizes and rates; some send bursts, leave or freeze. peak: half as
many again, all at their full rate. stress: equal cameras, more and more until a target is missed; then less. endurance: as
baseline, for long; slopes of memory, descriptors, threads and latency.
Exit codes: 0 all targets met; 3 a target was missed, or the frames do not prove that it is met.`;

export function addLoadtest(program: Command, io: CliIo): void {
  const command = program
    .command('loadtest')
    .argument('[pipeline]', 'YAML file; its model and the settings of its streams are used, not their sources');
  addFlags(command, FLAGS)
    .addHelpText('after', HELP)
    .action((pipeline: string | undefined, flags: LoadFlags) => loadtest(pipeline, flags, io));
}

async function loadtest(path: string | undefined, flags: LoadFlags, io: CliIo): Promise<void> {
  const isFleet = flags.fleet === true || flags.url !== undefined;
  checkFlags(path, flags, isFleet);
  const { environment } = io;
  const onNotice = (text: string): void => note(io, text);
  const pipeline =
    path === undefined ? null : parsePipeline(withOneDetector(readPipelineText(path), path, flags.detector), path);
  const targets = targetsOf(flags, pipeline);
  const ffmpeg = await openFfmpeg(environment, onNotice, pipeline?.decoder);
  const plan = planOf(flags, { pipeline, targets, ffmpeg });
  const subject: LoadSubject =
    pipeline === null
      ? await GatewaySubject.open(gatewayAddress(io, { ...flags, url: flags.url ?? DEFAULT_GATEWAY_URL }), onNotice)
      : await RuntimeSubject.open(path!, pipeline, { ffmpeg, environment, note: onNotice, signal: io.stop });
  let result: LoadResult;
  try {
    result = await runLoadTest(subject, plan, { signal: io.stop, note: onNotice });
  } catch (error) {
    if (!io.stop.aborted) throw error;
    note(io, 'stopped before the load test ended; its streams are removed');
    throw new ReportedFailure({ message: 'stopped', exitCode: 1 });
  }
  if (flags.report !== undefined) note(io, `written: ${(await writeLoadReport(flags.report, result)).join(', ')}`);
  show(io, flags, result, () => resultText(result));
  if (result.verdict !== 'met') throw new ReportedFailure({ message: result.reason, exitCode: 3 });
}

/** @throws COMMAND_INVALID */
function checkFlags(path: string | undefined, flags: LoadFlags, isFleet: boolean): void {
  if (isFleet && path !== undefined) throw wrongCommand('--fleet: expected no pipeline, since the gateway has its own');
  if (!isFleet && path === undefined) throw wrongCommand('expected a pipeline file, or --fleet');
  if (!isFleet) refuseAccessFlags(flags, '--fleet');
  if (isFleet && flags.detector !== undefined)
    throw wrongCommand('--detector: expected a pipeline file, which has several');
}

/** @throws COMMAND_INVALID */
function cameraSizeOf(text: string): LoadPlan['size'] {
  const size = parseInputSize(/^\d+x\d+$/.test(text) ? text : '0x0');
  const isFit = [size.width, size.height].every((px) => px >= 32 && px <= 4096 && px % 2 === 0);
  if (isFit) return size;
  throw wrongCommand(`--camera-size: expected even numbers from 32 to 4096, as in 1280x720, received "${text}"`);
}

/** The targets that were given, or those of the pipeline's streams. */
function targetsOf({ target }: LoadFlags, pipeline: PipelineConfig | null): Target[] {
  if (target !== undefined) return parseTargets(target);
  const wanted = (pipeline?.streams ?? []).map((stream) => stream.target);
  const fps = wanted.flatMap((each) => each.fps ?? []);
  const latencies = wanted.flatMap(({ latencyMs }) => latencyMs ?? []);
  const p99 = latencies.length > 0 ? Math.min(...latencies) : DEFAULT_P99_MS;
  return parseTargets([...(fps.length > 0 ? [`fps>=${Math.max(...fps)}`] : []), `p99<=${p99}ms`].join(','));
}

interface PlanContext {
  readonly pipeline: PipelineConfig | null;
  readonly targets: readonly Target[];
  readonly ffmpeg: FfmpegBinary;
}

function planOf(flags: LoadFlags, { pipeline, targets, ffmpeg }: PlanContext): LoadPlan {
  const { profile, protocol, seed, cameraHost, maxCameras } = flags;
  const expected = pipeline === null ? GATEWAY_CAMERAS : Math.max(1, pipeline.streams.length);
  const usual = { baseline: expected, peak: Math.ceil(expected * PEAK_RATIO), stress: 1, endurance: expected }[profile];
  const cameras = flags.cameras ?? usual;
  const owner = thisOwner();
  const wantedFps = targets.find(({ metric }) => metric === 'fps')?.limit ?? 0;
  return {
    profile,
    protocol,
    seed,
    cameraHost,
    targets,
    cameras,
    ffmpeg,
    mostCameras: Math.max(cameras, maxCameras),
    seconds: (flags.minutes ?? DEFAULT_MINUTES[profile]) * 60,
    fps: flags.cameraFps ?? Math.min(120, Math.max(CAMERA_FPS, wantedFps)),
    size: flags.cameraSize ?? null,
    pictures: picturesOf(pipeline),
    streamId: (n) => (pipeline === null ? ownStreamId(owner, n) : `camera-${n}`),
  };
}

/** Cameras show the first file that the pipeline reads, else a test picture. */
function picturesOf(pipeline: PipelineConfig | null): CameraSpec['pictures'] {
  for (const { source } of pipeline?.streams ?? []) {
    if (source === 'demo') return { kind: 'file', path: demoClip() };
    if (existsSync(source)) return { kind: 'file', path: source };
  }
  return { kind: 'test' };
}

function resultText(result: LoadResult): string {
  const { profile, subject, seconds, targets, steps, cameras, breakPoint, degradation, slopes, notes } = result;
  const percent = (ratio: number): string => `${(ratio * 100).toFixed(1)} %`;
  const ms = (value: number): string => `${value.toFixed(1)} ms`;
  const lines = [
    `${subject}: ${profile}, ${seconds.toFixed(0)} s, seed ${result.seed}`,
    `verdict: ${result.verdict} (${result.reason})`,
    '',
    table([
      ['target', 'measured', 'verdict', 'reason'],
      ...targets.map(({ target, measured, state, reason }) => [
        target,
        measured === null ? '-' : targetValue(target, measured).replaceAll('\u00a0', ' '),
        state,
        reason,
      ]),
    ]),
    '',
    table([
      ['step', 'cameras', 'offered', 'published', 'p50', 'p99', 'oldest', 'dropped', 'verdict'],
      ...steps.map((step) => [
        step.name,
        String(step.cameras),
        `${step.offeredFps.toFixed(1)} fps`,
        `${step.fps.toFixed(1)} fps`,
        ms(step.latencyMs.p50),
        ms(step.latencyMs.p99),
        ms(step.oldestMs),
        percent(step.dropRatio),
        step.verdict,
      ]),
    ]),
  ];
  if (breakPoint !== null) {
    const broken =
      breakPoint.brokenAt === null ? 'more were not tried' : `${breakPoint.brokenAt} do not (${breakPoint.target})`;
    lines.push('', `break point: ${capacityText(breakPoint.cameras, breakPoint.isProven)}; ${broken}`);
    if (breakPoint.firstToGive !== null)
      lines.push(`first to give way: ${breakPoint.firstToGive}. ${breakPoint.explanation ?? ''}`);
  }
  if (degradation !== null)
    lines.push(
      `with ${counted(degradation.cameras, 'camera')}: ages ${degradation.areAgesBounded ? 'bounded' : 'not bounded'} (oldest ${ms(degradation.oldestMs)}), ` +
        `shares ${degradation.isFair ? 'fair' : 'not fair'} (Jain's index ${degradation.fairness.toFixed(3)}), ` +
        `drops ${degradation.areDropsNamed ? 'named' : 'not all named'} (${reasonsText(degradation.dropped)})`,
      result.recoverySeconds === null
        ? 'it did not recover after the load fell'
        : `recovered ${result.recoverySeconds.toFixed(1)} s after the load fell`,
    );
  if (slopes.length > 0)
    lines.push(
      '',
      table([
        ['figure', 'mean', 'per hour', '95 % interval', 'allowed', 'verdict'],
        ...slopes.map(({ figure, mean, perHour, interval, allowedPerHour, verdict }) => {
          const text = (value: number): string => figureText(figure, value).replaceAll('\u00a0', ' ');
          return [figure, text(mean), text(perHour), interval.map(text).join(' to '), text(allowedPerHour), verdict];
        }),
      ]),
    );
  const cost = cameras.cpuCores === null ? 'part of the pipeline' : `${cameras.cpuCores.toFixed(2)} cores`;
  lines.push(
    '',
    `cameras: ${cameras.protocol}, ${cost}; ${cameras.framesOffered} frames offered, ${cameras.framesLost} not taken, ${cameras.framesUnread} without a reader`,
    ...notes.map((text) => `note: ${text}`),
  );
  return lines.join('\n');
}
