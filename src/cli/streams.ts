import type { Command } from 'commander';
import type { ControlPlane } from '../control/control-plane.ts';
import { StreamOrders } from '../control/orders/stream-orders.ts';
import { readFleetSummary } from '../control/view/fleet-summary.ts';
import { redact } from '../core/redact.ts';
import { type CliIo, print, printJson } from './cli-io.ts';
import { addFleetFlag, type FleetFlags, type OpenControl, openRedis, withFleet } from './fleet-access.ts';
import { type StreamRequestFlags, streamRequest } from './stream-request.ts';
import { summaryText } from './stream-tables.ts';

interface StreamsFlags extends FleetFlags {
  readonly json?: boolean;
}

const HELP = `
Examples:
  sightline streams list
  sightline streams add gate rtsp://user:password@camera/1 --max-fps 10 --priority 5
  sightline streams add yard rtsp://camera/2 --config '{"track":true,"target":{"fps":10}}'
  sightline streams move gate host-2      to this host, and it stays there
  sightline streams move gate auto        the fleet chooses again
  sightline streams drain host-2          its streams go to others, so that it can be stopped
  sightline streams remove yard

What is ordered here runs as long as the fleet has a host for it, wherever that is.`;

/** Every subcommand speaks to Redis, not to a host: it works whichever hosts are up. */
export function addStreams(program: Command, io: CliIo, open: OpenControl = openRedis): void {
  const streams = program
    .command('streams')
    .description('live streams of the fleet: list, add, move, remove; drain hosts')
    .addHelpText('after', HELP);
  const act = <F extends StreamsFlags>(flags: F, run: (control: ControlPlane) => Promise<void>): Promise<void> =>
    withFleet(flags, io, open, run);
  const command = (usage: string, description: string): Command =>
    addFleetFlag(streams.command(usage).description(description)).option(
      '--json',
      'one JSON document on standard output',
    );

  command('list', 'every stream: who runs it, and how it does').action((flags: StreamsFlags) =>
    act(flags, async (control) => {
      const summary = await readFleetSummary(control);
      if (flags.json === true) printJson(io, summary);
      else print(io, summaryText(summary));
    }),
  );
  command('add <id> <source>', 'order a stream')
    .option('--pipeline <name>', 'pipeline that runs it; the only one that the hosts run where absent')
    .option('--max-fps <n>', 'take no more frames a second than this', Number)
    .option('--priority <n>', '-100 to 100; higher keeps its rate longer while the fleet is full', Number)
    .option('--config <file>', 'settings as in docs/config.md under streams[]: a YAML or JSON file, or JSON itself')
    .action((id: string, source: string, flags: StreamsFlags & StreamRequestFlags) =>
      act(flags, async (control) => {
        const order = await ordersOf(control).add(streamRequest(id, source, flags));
        const config = { ...order.config, source: redact(order.config.source) };
        tell({ ...order, config }, `${order.id} is ordered for pipeline ${order.pipeline}`, flags);
      }),
    );
  command('move <id> <host>', 'choose the host of a stream; "auto" leaves it to the fleet').action(
    (id: string, host: string, flags: StreamsFlags) =>
      act(flags, async (control) => {
        const order = await ordersOf(control).move(id, host === 'auto' ? null : host);
        const { wantedHost } = order;
        tell(
          { id, wantedHost },
          wantedHost === null ? `${id} goes where the fleet wants it` : `${id} goes to ${host}`,
          flags,
        );
      }),
  );
  command('remove <id>', 'end a stream for good').action((id: string, flags: StreamsFlags) =>
    act(flags, async (control) => {
      await ordersOf(control).remove(id);
      tell({ id }, `${id} is removed`, flags);
    }),
  );
  command('drain <host>', 'take all streams from a host and give it no more work')
    .option('--undo', 'let it work again')
    .action((host: string, flags: StreamsFlags & { undo?: boolean }) =>
      act(flags, async (control) => {
        const isDraining = flags.undo !== true;
        await ordersOf(control).setDraining(host, isDraining);
        tell({ host, isDraining }, isDraining ? `${host} is drained` : `${host} takes work again`, flags);
      }),
    );

  function tell(document: object, text: string, { json }: StreamsFlags): void {
    if (json === true) printJson(io, document);
    else print(io, text);
  }
}

function ordersOf(control: ControlPlane): StreamOrders {
  return new StreamOrders({ control, sender: 'cli', pipeline: null, defaults: {}, admit: () => {} });
}
