import { open, rm } from 'node:fs/promises';
import type { Command } from 'commander';
import { counted } from '../core/counted.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import { Archive, type RecordingFile } from '../recording/archive.ts';
import { type ExportManifest, exportSpan, hostKey, verifyExport } from '../recording/export-span.ts';
import { faultsOf } from '../recording/fragment-file.ts';
import { type ExportedSpan, iso, type RecordedSpan, readSpan } from '../recording/recorded-span.ts';
import { recordingsIn, spansOf } from '../recording/spans.ts';
import { type CliIo, JSON_FLAG, type JsonFlag, note, show, table, wrongCommand } from './cli-io.ts';
import { timeOf } from './flag-values.ts';
import { ReportedFailure } from './reported-failure.ts';

interface ListFlags extends JsonFlag {
  readonly stream?: string;
  readonly from?: string;
  readonly to?: string;
}

interface ExportFlags extends JsonFlag {
  readonly stream: string;
  readonly from: string;
  readonly to: string;
  readonly out: string;
}

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
  recordings
    .command('list <folder>')
    .description('list what is recorded, and what is missing in between')
    .option('--stream <id>', 'only of this stream')
    .option('--from <time>', 'only from this date and time on')
    .option('--to <time>', 'only up to this date and time')
    .option(...JSON_FLAG)
    .action((folder: string, flags: ListFlags) => list(folder, flags, io));
  recordings
    .command('verify <path>')
    .description('compare recordings, or an exported file, with their hashes')
    .option(...JSON_FLAG)
    .action((path: string, flags: JsonFlag) => verify(path, flags, io));
  recordings
    .command('export <folder>')
    .description('write a time of a stream as one MP4, with a signed manifest')
    .requiredOption('--stream <id>', 'stream')
    .requiredOption('--from <time>', 'date and time of its beginning')
    .requiredOption('--to <time>', 'date and time of its end')
    .requiredOption('--out <file>', 'file to write; it must not exist')
    .option(...JSON_FLAG)
    .action((folder: string, flags: ExportFlags) => exportTo(folder, flags, io));
}

async function list(folder: string, { stream, from, to, ...flags }: ListFlags, io: CliIo): Promise<void> {
  const query = { stream, fromMs: timeOf('--from', from), toMs: timeOf('--to', to) };
  const spans = spansOf(recordingsIn((await archiveIn(folder)).files, query));
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
  if (exported === null) return { files: [{ path, faults: await faultsOf(path) }] };
  return { files: [{ path, faults: exported.faults }], manifest: exported.manifest };
}

async function verifyFolder(folder: string): Promise<Checked> {
  const files = [];
  for (const { path } of (await archiveIn(folder)).files.filter((file) => !file.isOpen))
    files.push({ path, faults: await faultsOf(path).catch((error: Error) => [error.message]) });
  return { files };
}

/** Reads a time of a stream, without the file that is being written: it gets another name. @throws as `recordedFiles` */
export async function readRecorded(folder: string, stream: string, span: ExportedSpan): Promise<RecordedSpan> {
  const files = await recordedFiles(folder, stream, span);
  return await readSpan(
    files.filter(({ isOpen }) => !isOpen),
    span,
  );
}

/**
 * Returns the recordings of a stream that overlap a time, in order.
 *
 * @throws COMMAND_INVALID, RECORDING_NOT_FOUND if there are none, with what there is.
 */
async function recordedFiles(folder: string, stream: string, { fromMs, toMs }: ExportedSpan): Promise<RecordingFile[]> {
  if (fromMs >= toMs) throw wrongCommand('--from: expected a time before --to');
  const archive = await archiveIn(folder);
  const known = [...new Set(archive.files.map((file) => file.stream))].sort();
  const missing = (what: string): SightlineError =>
    new SightlineError('RECORDING_NOT_FOUND', `${folder}: nothing of stream "${stream}"${what}`);
  if (!known.includes(stream)) throw missing(`; it has ${known.join(', ')}`);
  const files = recordingsIn(archive.files, { stream, fromMs, toMs });
  if (files.length > 0) return files;
  const [first, last] = [0, -1].map((i) => recordingsIn(archive.files, { stream }).at(i));
  const there =
    first === undefined ? 'it has clips only' : `its recordings are of ${iso(first.startMs)} to ${iso(last!.endMs)}`;
  throw missing(` is recorded from ${iso(fromMs)} to ${iso(toMs)}; ${there}`);
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

/** @throws RECORDING_NOT_FOUND if there is none */
async function archiveIn(folder: string): Promise<Archive> {
  const archive = await Archive.read(folder);
  if (archive.files.length > 0) return archive;
  throw new SightlineError('RECORDING_NOT_FOUND', `${folder}: expected a folder of recordings, found none in it`);
}

function unreadable(path: string, { message }: Error): never {
  throw new SightlineError('RECORDING_DAMAGED', `${path}: ${message}`, { path });
}
