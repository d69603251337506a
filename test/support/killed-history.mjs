/**
 * Records events of rules in a history until it is killed, and prints the number of each that is on the disk. Arguments: path of the
 * history, and the number of the first event.
 */
import { History } from '../../dist/src/after/history/history.js';

const [path, first] = process.argv.slice(2);
const history = await History.open({
  path,
  maxBytes: 2 ** 24,
  days: 30,
  onNotice: (text) => process.stdout.write(`notice ${text}\n`),
});
const moment = { ptsUs: 0 };
const common = { rule: 'in', kind: 'enters', stream: 'gate', began: moment, raised: moment, reason: 'somebody is in' };
process.stdout.write('ready\n');
for (let i = Number(first); ; i++) {
  // Several at once, and figures beside them, as on a busy host.
  const both = ['new', 'end'].map((phase, seq) => history.record({ ...common, id: `e${i}`, seq, phase }));
  for (let frame = 0; frame < 20; frame++) {
    const box = { classId: 0, label: 'person', score: 0.9, box: [10, 20, 30, 40], trackId: i };
    const zones = [{ id: 'door', inside: frame % 3 }];
    const size = { width: 640, height: 360 };
    history.observe({
      streamId: 'gate',
      frame,
      ptsUs: frame * 40_000,
      ...size,
      by: 'inferred',
      detections: [box],
      zones,
    });
  }
  void history.seen({ fromS: 0, toS: 1, stepS: 60, offsetS: 0 });
  history.add({ type: 'event', timeMs: Date.now(), kind: 'line-crossed', message: `crossing ${i}` });
  if ((await Promise.all(both)).every(Boolean)) process.stdout.write(`${i}\n`);
}
