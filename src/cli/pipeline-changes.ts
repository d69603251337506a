import type { Command } from 'commander';
import { isMap, isSeq, parseDocument } from 'yaml';
import { canonicalJson } from '../base/core/canonical-json.ts';
import { SightlineError } from '../base/errors/sightline-error.ts';
import { shownOverlay } from '../serve/gateway/routes-pipeline.ts';
import { type Overlay, type OverlayEntry, overlaid } from '../serve/host/overlay/overlay.ts';
import { OverlayFile, overlayPath, readOverlay } from '../serve/host/overlay/overlay-file.ts';
import { loadPipeline, parsePipeline, readPipelineText } from '../serve/pipeline/load-pipeline.ts';
import type { PipelineConfig } from '../serve/pipeline/pipeline.ts';
import { type CliIo, JSON_FLAG, type JsonFlag, note, print, show, wrongCommand } from './cli-io.ts';
import { addFlags } from './flag-values.ts';
import { ACCESS_FLAGS, type GatewayFlags, gatewayApi, refuseAccessFlags } from './gateway-client.ts';

const HELP = `
Examples:
  sightline pipeline diff cameras.yaml                    what REST and the dashboard changed of its streams
  sightline pipeline export cameras.yaml > new.yaml       the file with these changes, passwords included
  sightline pipeline reset cameras.yaml gate              drops what was changed of gate; without a stream: everything
  sightline pipeline reset --url http://127.0.0.1:8080    the same in a pipeline that runs: its streams follow at once

diff and export read the files, so they work whether the pipeline runs or not.`;

/** Adds `pipeline`: shows, exports and drops what REST and the dashboard changed of a pipeline. */
export function addPipeline(program: Command, io: CliIo): void {
  const pipeline = program.command('pipeline').addHelpText('after', HELP);
  const shown = pipeline.command('diff <pipeline>').description('list the changes, passwords hidden');
  addFlags(shown, JSON_FLAG).action((path: string, flags: JsonFlag) => diff(path, flags, io));
  pipeline
    .command('export <pipeline>')
    .description('print the pipeline file with the changes')
    .action((path: string) => exportFile(path, io));
  const dropped = pipeline
    .command('reset [pipeline] [streams...]')
    .description('drop the changes of these streams, or of all; with --url, name no file');
  addFlags(dropped, {
    '--url <url>': 'gateway of the running pipeline',
    ...ACCESS_FLAGS,
    ...JSON_FLAG,
  }).action((path: string | undefined, streams: readonly string[], flags: Partial<GatewayFlags>) =>
    reset(path, streams, flags, io),
  );
}

async function open(path: string, { environment: { cacheDir } }: CliIo) {
  const config = loadPipeline(path);
  const place = { pipeline: config.name, pipelinePath: path, cacheDir };
  return { config, place, overlay: await readOverlay(place) };
}

async function diff(path: string, flags: JsonFlag, io: CliIo): Promise<void> {
  const { config, place, overlay } = await open(path, io);
  const { notes } = overlaid(config, overlay);
  const streams = shownOverlay(overlay) as Overlay;
  show(io, flags, { path, overlay: overlayPath(place), streams, notes }, () => {
    const lines = Object.entries(streams).flatMap(([id, entry]) => entryLines(id, entry));
    return lines.length === 0 ? `Nothing was changed of ${path}.` : lines.join('\n');
  });
  if (flags.json !== true) for (const text of notes) note(io, `note: ${text}`);
}

/** `+ yard  source rtsp://...`, `- gate`, `~ door  maxFps: 15 -> 7`. */
function entryLines(id: string, { added, changed, isRemoved, isPaused }: OverlayEntry): string[] {
  const text = (value: unknown): string => (value === undefined ? 'not set' : JSON.stringify(value));
  if (isRemoved === true) return [`- ${id}`];
  const paused = isPaused === true ? [`${added === undefined ? '~' : '+'} ${id}  paused`] : [];
  const settings = Object.entries(added ?? {}).map(([key, value]) => `+ ${id}  ${key}: ${text(value)}`);
  const changes = Object.entries(changed ?? {}).map(
    ([key, { file, now }]) => `~ ${id}  ${key}: ${text(file)} -> ${text(now)}`,
  );
  return [...settings, ...changes, ...paused];
}

async function exportFile(path: string, io: CliIo): Promise<void> {
  const { config, overlay } = await open(path, io);
  const { streams, notes } = overlaid(config, overlay);
  const text = exported(readPipelineText(path), config, overlay);
  print(io, text.trimEnd());
  for (const sentence of notes) note(io, `note: ${sentence}`);
  const paused = streams.filter(({ isPaused }) => isPaused).map((stream) => stream.config.id);
  if (paused.length > 0)
    note(io, `note: a pipeline file cannot pause streams; these are paused now: ${paused.join(', ')}`);
}

/**
 * Returns the text of a pipeline file with the streams as the overlay has them. Comments, and what was not changed, stay.
 *
 * @throws INTERNAL_ERROR if the result would have other settings.
 */
export function exported(text: string, config: PipelineConfig, overlay: Overlay): string {
  if (Object.keys(overlay).length === 0) return text;
  const document = parseDocument(text);
  const { streams } = overlaid(config, overlay);
  const wanted = new Map(streams.map((stream) => [stream.config.id, stream.config]));
  if (!isSeq(document.get('streams'))) document.set('streams', document.createNode([]));
  const ids = config.streams.map(({ id }) => id);
  // From the last one on, so that the places of the others stay.
  for (const [i, id] of [...ids.entries()].reverse()) {
    if (!wanted.has(id)) document.deleteIn(['streams', i]);
    else if (overlay[id]?.added !== undefined)
      document.setIn(['streams', i], document.createNode({ id, ...overlay[id].added }));
    else
      for (const [key, { now }] of Object.entries(overlay[id]?.changed ?? {})) {
        // An alias cannot be changed alone.
        if (!isMap(document.getIn(['streams', i], true)))
          document.setIn(['streams', i], document.createNode((document.toJS() as PipelineConfig).streams[i]));
        if (now === undefined) document.deleteIn(['streams', i, key]);
        else document.setIn(['streams', i, key], typeof now === 'object' ? document.createNode(now) : now);
      }
  }
  for (const [id, { added }] of Object.entries(overlay))
    if (added !== undefined && !ids.includes(id) && wanted.has(id))
      document.addIn(['streams'], document.createNode({ id, ...added }));
  const result = document.toString({ lineWidth: 0 });
  const again = parsePipeline(result, 'the exported file').streams;
  if (canonicalJson(again) === canonicalJson([...wanted.values()])) return result;
  throw new SightlineError(
    'INTERNAL_ERROR',
    'the exported file would not give the settings in use; a file cannot unset a key that its `defaults` set',
  );
}

async function reset(
  path: string | undefined,
  streams: readonly string[],
  flags: Partial<GatewayFlags>,
  io: CliIo,
): Promise<void> {
  const { url } = flags;
  if (url !== undefined) {
    // Without a file the first word is a stream.
    const ids = [...(path === undefined ? [] : [path]), ...streams];
    const report = await gatewayApi(io, { ...flags, url }).pipeline.reset(ids.length === 0 ? null : ids);
    show(io, flags, report, () => `${ids.join(', ') || 'every stream'} has the settings of the pipeline file`);
    return;
  }
  refuseAccessFlags(flags, '--url');
  if (path === undefined) throw wrongCommand('pipeline reset: expected a pipeline file or --url, received neither');
  const { place } = await open(path, io);
  const file = await OverlayFile.open(place);
  try {
    if (file.problem === null) for (const notice of file.notices) note(io, notice);
    if (file.problem !== null)
      throw new SightlineError('SINK_BUSY', `${file.problem}; add --url to reset the running pipeline`);
    const ids = streams.length === 0 ? Object.keys(file.streams) : streams;
    const unknown = ids.filter((id) => file.streams[id] === undefined);
    if (unknown.length > 0)
      throw new SightlineError('STREAM_NOT_FOUND', `the overlay changes no stream ${unknown.join(', ')}: ${file.path}`);
    for (const id of ids) file.set(id, undefined);
    await file.save();
    if (file.problem !== null) throw new SightlineError('SINK_FAILED', file.problem);
    show(io, flags, { path, overlay: file.path, reset: ids }, () =>
      ids.length === 0 ? `Nothing was changed of ${path}.` : `reset: ${ids.join(', ')}`,
    );
  } finally {
    await file.close();
  }
}
