import type { Command, CommandOptions } from 'commander';
import { redact } from '../base/core/redact.ts';
import { MOST_BYTES, readGivenTextSync } from '../base/disk/given-file.ts';
import { SightlineError } from '../base/errors/sightline-error.ts';
import type { FleetSummary } from '../fleet/control/view/fleet-summary.ts';
import type { FleetHost } from '../wire/protocol/fleet-report.ts';
import type { StreamReport } from '../wire/protocol/report.ts';
import { type CliIo, show, table, wrongCommand } from './cli-io.ts';
import { addFlags, type FlagsOf, type FlagTable, flagTable, given, settingsIn } from './flag-values.ts';
import { FLEET_CLIENT_FLAGS, type FleetClientFlags, type OpenControl, openRedis, withFleet } from './fleet-access.ts';
import type { FleetDesk } from './fleet-desk.ts';

const ADD_FLAGS = flagTable({
  ...FLEET_CLIENT_FLAGS,
  '--pipeline <name>': 'pipeline to run it (default: the only one that the hosts run)',
  '--max-fps <n>': ['maximum frames per second', Number],
  '--priority <n>': ['-100 to 100; a full fleet slows streams of higher priority last', Number],
  '--config <file>': 'settings of streams[] in docs/config.md: a YAML or JSON file, or inline JSON',
});
const DRAIN_FLAGS = flagTable({
  ...FLEET_CLIENT_FLAGS,
  '--undo': 'assign work to the host again',
});

const HELP = `
Examples:
  sightline streams                       lists them, as "streams list" does
  sightline streams add gate @gate-url.txt --max-fps 10 --priority 5     the file holds rtsp://user:password@camera/1
  sightline streams add yard rtsp://camera/2 --config '{"track":true,"target":{"fps":10}}'
  sightline streams move gate host-2      pins the stream to this host
  sightline streams move gate auto        lets the fleet choose the host again
  sightline streams drain host-2          moves its streams to other hosts, so that it can be stopped
  sightline streams remove yard

  SIGHTLINE_TOKEN=... sightline streams list --url https://host-1:8080     through a host, without access to Redis

An added stream runs as long as any host of the fleet can run it.`;

/** Adds `streams`. Its subcommands talk to Redis, so they work whichever hosts are up, or to a host with `--url`. */
export function addStreams(program: Command, io: CliIo, open: OpenControl = openRedis): void {
  const streams = program.command('streams').addHelpText('after', HELP);
  /** @param run - returns what to print: with `--json` the document, otherwise the text. */
  const act = (
    flags: FleetClientFlags,
    run: (desk: FleetDesk) => Promise<readonly [document: unknown, text: string]>,
  ) =>
    withFleet(flags, io, open, async (desk) => {
      const [document, text] = await run(desk);
      show(io, flags, document, () => text);
    });
  const command = (
    usage: string,
    description: string,
    flags: FlagTable = FLEET_CLIENT_FLAGS,
    options: CommandOptions = {},
  ): Command => addFlags(streams.command(usage, options).description(description), flags);

  command('list', 'list every stream with its host and figures', FLEET_CLIENT_FLAGS, { isDefault: true })
    .allowExcessArguments()
    .action(async (flags: FleetClientFlags, { args: [unknown] }: Command) => {
      // Commander passes a command that it does not know to the default one.
      if (unknown !== undefined) {
        const known = streams.commands.map((each) => each.name()).join(', ');
        throw wrongCommand(`unknown command '${unknown}': expected ${known}, or nothing to list`);
      }
      await act(flags, async (desk) => {
        const summary = await desk.summary();
        return [summary, summaryText(summary)];
      });
    });
  command('add <id> <source>', 'add a stream to the fleet', ADD_FLAGS).action(
    (id: string, source: string, flags: FlagsOf<typeof ADD_FLAGS>) =>
      act(flags, async (desk) => {
        const added = await desk.addStream(streamRequest(id, source, flags));
        const where = added.pipeline === undefined ? '' : ` to pipeline ${added.pipeline}`;
        return [added, `${added.id} is added${where}`];
      }),
  );
  command('move <id> <host>', 'choose the host of a stream; "auto" lets the fleet choose').action(
    (id: string, host: string, flags: FleetClientFlags) =>
      act(flags, async (desk) => {
        const wantedHost = host === 'auto' ? null : host;
        await desk.moveStream(id, wantedHost);
        const text = wantedHost === null ? `the fleet chooses the host of ${id}` : `${id} moves to ${host}`;
        return [{ id, wantedHost }, text];
      }),
  );
  command('remove <id>', 'remove a stream from the fleet').action((id: string, flags: FleetClientFlags) =>
    act(flags, async (desk) => {
      await desk.removeStream(id);
      return [{ id }, `${id} is removed`];
    }),
  );
  command('drain <host>', 'move all streams off a host and assign it no more work', DRAIN_FLAGS).action(
    (host: string, flags: FlagsOf<typeof DRAIN_FLAGS>) =>
      act(flags, async (desk) => {
        const isDraining = flags.undo !== true;
        await desk.setDraining(host, isDraining);
        return [{ host, isDraining }, isDraining ? `${host} is draining` : `${host} takes work again`];
      }),
  );
}

/** Builds a stream request from a command line. Single flags override `--config`. The result is not validated. */
function streamRequest(id: string, source: string, flags: FlagsOf<typeof ADD_FLAGS>): object {
  const { pipeline, maxFps, priority, config } = flags;
  return { ...(config === undefined ? {} : readConfig(config)), ...given({ pipeline, maxFps, priority }), id, source };
}

/** Settings that are given in place of a file may be long, and hold a password. */
const MOST_SHOWN_CHARS = 200;

function readConfigFile(path: string): string {
  const as = `--config: expected a file or a JSON object, received "${redact(path, MOST_SHOWN_CHARS)}"`;
  return readGivenTextSync(path, { code: 'CONFIG_NOT_FOUND', as, mostBytes: MOST_BYTES.settings });
}

function readConfig(text: string): object {
  const isFile = !text.trimStart().startsWith('{');
  // Settings without braces: not quoted, since they may hold a password.
  if (isFile && /:\s|\n/.test(text))
    throw new SightlineError('CONFIG_INVALID', '--config: expected a file or a JSON object, received other text');
  const expected = 'an object with the settings of one stream';
  return settingsIn(isFile ? readConfigFile(text) : text, '--config', expected);
}

/** Formats the streams with their hosts, then the hosts, then the missed targets and the last error of each stream that has any. */
function summaryText({ hosts, streams, overload }: FleetSummary): string {
  const parts = [streams.length === 0 ? 'No streams. `sightline streams add` adds one.' : streamsTable(streams)];
  parts.push('', hosts.length === 0 ? 'No hosts. `sightline host` starts one.' : hostsTable(hosts));
  const overloads = hosts.flatMap((host) => (host.overload === undefined ? [] : `${host.id}: ${host.overload}`));
  if (overload !== undefined) overloads.push(overload);
  if (overloads.length > 0) parts.push('', ...overloads);
  const faults = streams.flatMap((stream) =>
    [stream.missReasons?.fps, stream.missReasons?.latency, stream.trackProblem, errorText(stream)]
      .filter((text) => text != null)
      .map((text) => `${stream.id}: ${text}`),
  );
  if (faults.length > 0) parts.push('', ...faults);
  return parts.join('\n');
}

/** The newest error and its time; null if there is none. */
function errorText({ state, lastError, lastErrorAtMs = null }: StreamReport): string | null {
  if (lastError === null || lastErrorAtMs === null) return lastError;
  const time = new Date(lastErrorAtMs).toISOString().replace(/\.\d+Z$/, 'Z');
  return state === 'running' ? `last error, at ${time}: ${lastError}` : `${lastError} (since ${time})`;
}

function streamsTable(streams: readonly StreamReport[]): string {
  const head = ['stream', 'state', 'host', 'fps', 'p50', 'p99', 'fence', 'source'];
  const rows = streams.map(({ id, state, sign, host, fence, fps, latencyMs: { window }, source }) => [
    id,
    sign == null ? state : `${state}, ${sign.name}`,
    host ?? '-',
    host === undefined ? '-' : fps.published.toFixed(1),
    window.count === 0 ? '-' : `${window.p50.toFixed(0)} ms`,
    window.count === 0 ? '-' : `${window.p99.toFixed(0)} ms`,
    `${fence ?? '-'}`,
    source,
  ]);
  return table([head, ...rows]);
}

function hostsTable(hosts: readonly FleetHost[]): string {
  const head = ['host', 'state', 'live', 'bulk', 'capacity', 'streams', 'segments', 'pipeline'];
  const rows = hosts.map(({ id, state, liveFps, bulkFps, capacityFps, streams, segments, pipeline }) => [
    id,
    state,
    `${liveFps.toFixed(0)} fps`,
    `${bulkFps.toFixed(0)} fps`,
    `${capacityFps.toFixed(0)} fps`,
    `${streams}`,
    `${segments}`,
    pipeline,
  ]);
  return table([head, ...rows]);
}
