import { open, realpath, rm, stat } from 'node:fs/promises';
import type { Command } from 'commander';
import { type ExportManifest, exportSpan, hostKey, verifyExport } from '../after/recording/export-span.ts';
import { faultsOf } from '../after/recording/fragment-file.ts';
import { archiveIn, recordedFiles, requireOrder, requireStream } from '../after/recording/read-recorded.ts';
import { recordingsIn, spansOf } from '../after/recording/spans.ts';
import { counted } from '../base/core/counted.ts';
import { SightlineError } from '../base/errors/sightline-error.ts';
import { type CliIo, JSON_FLAG, type JsonFlag, note, show, table, wrongCommand } from './cli-io.ts';
import { addFlags, type FlagsOf, type FlagTable, flagTable, required, timeOf } from './flag-values.ts';
import { ReportedFailure } from './interruption.ts';

const LIST_FLAGS = flagTable({
  '--stream <id>': 'only of this stream',
  '--from <time>': 'only from this date and time on',
  '--to <time>': 'only up to this date and time',
  ...JSON_FLAG,
});
const EXPORT_FLAGS = flagTable({
  '--stream <id>': required('stream'),
  '--from <time>': required('date and time of its beginning'),
  '--to <time>': required('date and time of its end'),
  '--out <file>': required('file to write; it must not exist'),
  ...JSON_FLAG,
});
type ListFlags = FlagsOf<typeof LIST_FLAGS>;
type ExportFlags = FlagsOf<typeof EXPORT_FLAGS>;

const HELP = `
Examples:
  sightline recordings list ~/.cache/sightline/recordings/live --stream door
  sightline recordings verify ~/.cache/sightline/recordings/live          every file, fragment by fragment
  sightline recordings export ~/.cache/sightline/recordings/live --stream door \\
    --from 2026-05-04T21:30:00+02:00 --to 2026-05-04T21:35:00+02:00 --out door.mp4
  sightline recordings verify door.mp4                                    an exported file

The folder is recording.folder of the pipeline file, else recordings/NAME in the cache. An export begins at the key frame at or
before its beginning; its last box is a manifest of what is missing and why, signed with the key of the host (+host-key.pem).`;

/** Adds `recordings`: lists, checks and exports what a host has recorded. */
export function addRecordings(program: Command, io: CliIo): void {
  const recordings = program.command('recordings').addHelpText('after', HELP);
  const command = (usage: string, description: string, flags: FlagTable): Command =>
    addFlags(recordings.command(usage).description(description), flags);
  command('list <folder>', 'list what is recorded, and what is missing in between', LIST_FLAGS).action(
    (folder: string, flags: ListFlags) => list(folder, flags, io),
  );
  command('verify <path>', 'compare recordings, or an exported file, with their hashes', JSON_FLAG).action(
    (path: string, flags: JsonFlag) => verify(path, flags, io),
  );
  command('export <folder>', 'write a time of a stream as one MP4, with a signed manifest', EXPORT_FLAGS).action(
    (folder: string, flags: ExportFlags) => exportTo(folder, flags, io),
  );
}

async function list(folder: string, { stream, from, to, ...flags }: ListFlags, io: CliIo): Promise<void> {
  const query = { stream, fromMs: timeOf('--from', from), toMs: timeOf('--to', to) };
  if (query.fromMs !== undefined && query.toMs !== undefined) requireOrder(query.fromMs, query.toMs);
  const archive = await archiveIn(folder);
  if (stream !== undefined) requireStream(archive, folder, stream);
  const spans = spansOf(recordingsIn(archive.files, query));
  const rows = spans.map((span) => [
    span.stream,
    new Date(span.fromMs).toISOString(),
    new Date(span.toMs).toISOString(),
    span.ofEvents ? 'events' : 'continuous',
    `${(span.bytes / 2 ** 20).toFixed(1)} MiB`,
    span.gap === null ? '' : `before it: ${span.gap}`,
  ]);
  show(io, flags, { folder, spans }, () => (rows.length === 0 ? `Nothing is recorded in ${folder}.` : table(rows)));
}

async function verify(path: string, flags: JsonFlag, io: CliIo): Promise<void> {
  const { files, manifest } = path.endsWith('.mp4') ? await verifyFile(path) : await verifyFolder(path);
  const bad = files.filter(({ faults }) => faults.length > 0);
  show(io, flags, { path, files: files.length, bad, ...(manifest === undefined ? {} : { manifest }) }, () =>
    [
      ...(manifest === undefined ? [] : [manifestText(manifest)]),
      ...bad.flatMap((file) => file.faults.map((fault) => `${file.path}: ${fault}`)),
      `${counted(files.length, 'file')}, ${bad.length} damaged`,
    ].join('\n'),
  );
  const [first] = bad;
  if (first !== undefined)
    throw new ReportedFailure(new SightlineError('RECORDING_DAMAGED', `${first.path}: ${first.faults[0]}`));
}

interface Checked {
  readonly files: readonly { readonly path: string; readonly faults: readonly string[] }[];
  readonly manifest?: ExportManifest;
}

async function verifyFile(path: string): Promise<Checked> {
  const exported = await verifyExport(path).catch((error: Error) => unreadable(path, error));
  if (exported === null) return { files: [{ path, faults: await faultsOfNamed(path).catch(() => noExport(path)) }] };
  return { files: [{ path, faults: exported.faults }], manifest: exported.manifest };
}

/** Who runs a command may name a link to a recording. */
async function faultsOfNamed(path: string): Promise<string[]> {
  return faultsOf(await realpath(path));
}

async function verifyFolder(folder: string): Promise<Checked> {
  const isFolder = await stat(folder).then(
    (found) => found.isDirectory(),
    () => true,
  );
  if (!isFolder) throw wrongCommand(`${folder}: expected a folder of recordings or a file .mp4, received another file`);
  const files = [];
  for (const { path } of (await archiveIn(folder)).files.filter((file) => !file.isOpen))
    files.push({ path, faults: await faultsOf(path).catch((error: Error) => [error.message]) });
  return { files };
}

async function exportTo(folder: string, { stream, from, to, out, ...flags }: ExportFlags, io: CliIo): Promise<void> {
  const [fromMs, toMs] = [timeOf('--from', from)!, timeOf('--to', to)!];
  const files = await recordedFiles(folder, stream, { fromMs, toMs });
  const parts = exportSpan(files, { fromMs, toMs }, await hostKey(folder));
  const handle = await open(out, 'wx').catch((error: NodeJS.ErrnoException) => {
    throw wrongCommand(`--out: expected a new file, ${error.code === 'EEXIST' ? `${out} exists` : error.message}`);
  });
  try {
    let next = await parts.next();
    for (; next.done !== true; next = await parts.next()) await handle.writeFile(next.value);
    await handle.close();
    const manifest = next.value;
    show(io, flags, { file: out, manifest }, () => manifestText(manifest));
    note(io, `${out}: ${counted(manifest.frames, 'frame')}, ${manifest.missingFrames} missing`);
  } catch (error) {
    await handle.close();
    await rm(out, { force: true });
    throw error;
  }
}

function manifestText({ stream, from, to, gaps, publicKey }: ExportManifest): string {
  const rows = gaps.map((gap) => ['gap', gap.from, gap.to, `${counted(gap.frames, 'frame')}, ${gap.reason}`]);
  return table([['stream', stream], ['from', from], ['to', to], ['key', publicKey], ...rows]);
}

function unreadable(path: string, { message }: Error): never {
  const said = message.startsWith(`${path}: `) ? message : `${path}: ${message}`;
  throw new SightlineError('RECORDING_DAMAGED', said, { path });
}

function noExport(path: string): never {
  const expected = 'it is no export of Sightline: it has no manifest; nor one of its recordings: it has no index';
  throw new SightlineError('RECORDING_DAMAGED', `${path}: ${expected}`, { path });
}
