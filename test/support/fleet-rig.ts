import { SightlineError } from '../../src/base/errors/sightline-error.ts';
import type { FleetViewOptions } from '../../src/fleet/control/view/fleet-view.ts';
import { FleetView } from '../../src/fleet/control/view/fleet-view.ts';
import { FleetPlane, hostCard } from './fleet-plane.ts';
import { ManualClock } from './manual-clock.ts';
import { RuntimeDouble } from './runtime-double.ts';
import { hostReport, scaleReport, streamReport } from './sample-reports.ts';

/** Turns of the event loop that a message and what it causes may take; one was too few now and then. */
const TURNS = 10;

/** Waits until published messages have arrived and promises have settled. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < TURNS; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** A view of a fleet of two hosts on a clock that the test advances. */
export class FleetRig {
  readonly clock = new ManualClock();
  readonly plane = new FleetPlane(this.clock);
  readonly own = new RuntimeDouble();
  readonly view: FleetView;
  /** Live hosts. */
  beating = ['host-1', 'host-2'];

  private constructor(options: Partial<FleetViewOptions>) {
    this.view = new FleetView({
      control: this.plane,
      own: this.own,
      hostId: 'host-1',
      pipeline: 'street',
      defaults: { maxFps: 12 },
      admitStream: (address) => {
        if (address.startsWith('file:'))
          throw new SightlineError('SOURCE_FORBIDDEN', 'stream: source: file: is refused');
      },
      admitJob: () => {},
      advise: ({ hosts }, { waiting }) => scaleReport(hosts.length + Math.sign(waiting)),
      clock: this.clock,
      ...options,
    });
  }

  static async open(options: Partial<FleetViewOptions> = {}): Promise<FleetRig> {
    const rig = new FleetRig(options);
    await rig.second();
    await rig.view.start();
    return rig;
  }

  /** Advances by a second: live hosts send heartbeats, and the view refreshes. */
  async second(): Promise<void> {
    for (const id of this.beating) await this.plane.beat(hostCard(id));
    this.clock.advance(1000);
    await settled();
  }

  /** A host claims the lease of a stream and reports it; the number distinguishes reports. */
  async takeOver(hostId: string, id: string, fence: number, publishedFps: number): Promise<void> {
    this.plane.hold(id, hostId, fence);
    await this.report(hostId, id, fence, publishedFps);
  }

  /** A host reports one stream; the number distinguishes reports. */
  async report(hostId: string, id: string, fence: number, publishedFps: number): Promise<void> {
    const stream = { ...streamReport(id), fps: { in: 25, inferred: 25, published: publishedFps }, fence };
    const body = { timeMs: 1, streams: [stream], failures: [], host: hostReport() };
    this.plane.bus.publish({ topic: 'stats', hostId, stream: null, fence: null, body });
    await settled();
  }
}
