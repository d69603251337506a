import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CliResult, ended, temporaryFolder } from '../support/cli.ts';
import { commandsOf, DOC_PAGES } from '../support/doc-code.ts';
import { VideoFolder } from '../support/made-videos.ts';
import { RedisServer, redisMissing } from '../support/redis-server.ts';
import { sharedDir } from '../support/shared.ts';
import { waitFor, within } from '../support/wait-for.ts';

/** A command that is run as it stands, with small files under the names that it has. */
interface Run {
  /** What is put in place of parts of the command: addresses and names that only an example has. */
  readonly instead?: Readonly<Record<string, string>>;
  /** Flags that make it cheap, or lead it to the servers of this test. */
  readonly more?: string;
  /** What it prints, on either output. */
  readonly says?: RegExp;
  /** Exit code, 0 if absent; a list if the command stands several times on its page. */
  readonly code?: number | readonly number[];
  /** What it needs. */
  readonly needs?: 'shared' | 'redis' | 'openssl';
  /** It runs until it is stopped, which this test does once it is ready, or after the last command of the page that needs it. */
  readonly isService?: true | 'to the end';
}

const FAKE = '--engine fake';
const TOKENS = { sightline: 'SIGHTLINE_TOKENS_FILE=tokens.json sightline' };
const DOOR = { 'door.yaml': 'cameras.yaml' };
const RULES = { 'door.yaml': 'rules.yaml', 'new.yaml': 'rules.yaml', 'old.yaml': 'rules.yaml' };
const PIPELINE_URL = '--url $PIPELINE_URL';

const COMMANDS: Readonly<Record<string, Run>> = {
  // README.md and CONTRIBUTING.md
  'npx sightline doctor': { says: /engine onnx/ },
  'npx sightline demo': { isService: true, more: '--port 0', says: /live at http/ },
  'npx sightline run cameras.yaml': { isService: true, more: '--port 0', says: /live at http/ },
  'npx sightline validate cameras.yaml': { says: /cameras/ },
  'npx sightline detect recordings/ --out results/': { more: FAKE, says: /a\.mp4/ },
  'npx sightline detect clip.mp4 --track --video out.mp4': { more: FAKE, says: /clip\.mp4/ },
  'npx sightline eval instances.json --images val2017': { says: /AP/ },
  // docs/accuracy.md
  'sightline eval instances.json --images val --model picodet-s --resize-by ffmpeg': { needs: 'shared', says: /AP/ },
  // docs/batch.md
  'sightline detect recordings/ --dry-run --out results/': { more: FAKE, says: /a\.mp4/ },
  'sightline detect recordings/ --out results/': { more: FAKE, says: /a\.mp4/ },
  'sightline detect recordings/ --out results/ --resume': { more: FAKE, says: /a\.mp4/ },
  // docs/deploy.md
  'export SIGHTLINE_TOKEN=$(openssl rand -hex 24)': { needs: 'openssl' },
  "printf 'REDIS_PASSWORD=%s\\nSIGHTLINE_TOKEN=%s\\n' $(openssl rand -hex 24) $(openssl rand -hex 24) > .env": {
    needs: 'openssl',
    more: '&& cat .env',
    says: /^REDIS_PASSWORD=[0-9a-f]{48}\nSIGHTLINE_TOKEN=[0-9a-f]{48}\n$/,
  },
  // docs/fleet.md
  'export REDIS_URL=redis://10.0.0.5:6379': { instead: { 'redis://10.0.0.5:6379': '$TEST_REDIS' }, needs: 'redis' },
  'npx sightline host --root /srv/footage --root /srv/results': {
    instead: { host: 'host fleet.yaml', '/srv/footage': '$PWD/recordings', '/srv/results': '$PWD/results' },
    more: '--port 0',
    needs: 'redis',
    isService: 'to the end',
    says: /live at http/,
  },
  'npx sightline streams add gate rtsp://camera/stream --priority 5': {
    instead: { 'rtsp://camera/stream': '$PWD/recordings/a.mp4' },
    needs: 'redis',
    says: /gate/,
  },
  'npx sightline submit /srv/footage/ --out /srv/results --track --wait': {
    instead: { '/srv/footage/': '$PWD/recordings/a.mp4', '/srv/results': '$PWD/results' },
    needs: 'redis',
    says: /done +100 %/,
  },
  // docs/make-faster.md and docs/benchmarks.md
  'sightline events door.mp4 --rules door.yaml': { instead: RULES, more: FAKE, says: /door\.mp4: \d+ events?/ },
  'sightline events door.mp4 --rules new.yaml --compare old.yaml': {
    instead: RULES,
    more: FAKE,
    says: /compared: 0 gained, 0 lost/,
  },
  'sightline detect door.mp4 --track --out door.jsonl': { more: FAKE, says: /door\.mp4/ },
  'sightline events door.jsonl --rules door.yaml': { instead: RULES, says: /door\.jsonl: \d+ events?/ },
  'sightline detect yard.mp4 --skip-unchanged --track-between auto --out yard.jsonl': { more: FAKE, says: /yard\.mp4/ },
  'sightline detect street.mp4 --tiles 3x2': { more: FAKE, says: /street\.mp4/ },
  'sightline detect yard.mp4 --region 0,0.4,1,0.6': { more: FAKE, says: /yard\.mp4/ },
  'sightline eval val.json --images val --model yolox-nano --tiles 2x2': { needs: 'shared', says: /AP/ },
  // docs/loadtest.md
  'sightline loadtest gate.yaml': { more: '--minutes 0.05 --cameras 1 --target "drops<=90%"', says: /verdict/ },
  // docs/models.md
  'sightline detect clip.mp4 --model best.onnx': { needs: 'shared', says: /best/ },
  'sightline eval val.json --images val/ --model best.onnx': {
    instead: { 'val.json': 'hats.json' },
    needs: 'shared',
    says: /AP/,
  },
  // docs/secure.md, docs/monitoring.md, docs/cameras.md and docs/change-settings.md
  'sightline tokens add anna --role operator': { instead: TOKENS, says: /anna/ },
  'sightline tokens add prometheus --role metrics --expires 365d': { instead: TOKENS, says: /prometheus/ },
  'sightline alerts cameras.yaml > sightline-rules.yaml': {},
  'sightline tokens list': { instead: TOKENS, says: /anna +operator/ },
  'sightline tokens remove anna': { instead: TOKENS, says: /anna/ },
  'sightline source test @gate-url.txt': { says: /h264, 320x180/ },
  'sightline run cameras.yaml': { isService: true, more: '--no-overlay --port 0', says: /live at http/ },
  'sightline validate cameras.yaml': { says: /cameras/ },
  'sightline pipeline diff cameras.yaml': {},
  'sightline pipeline export cameras.yaml > new.yaml': { instead: { 'new.yaml': 'exported.yaml' } },
  'sightline run cameras.yaml --no-overlay': { isService: true, more: '--port 0', says: /live at http/ },
  // docs/optimize.md
  'sightline run optimize-report/best.yaml': { isService: true, more: '--port 0', says: /live at http/ },
  // docs/start.md, docs/deploy.md and CONTRIBUTING.md
  'npx sightline validate door.yaml': { instead: DOOR, says: /cameras/ },
  'npx sightline run door.yaml': {
    instead: DOOR,
    isService: true,
    more: '--no-overlay --port 0',
    says: /live at http/,
  },
  // docs/rollout.md
  'sightline rollout status': { more: PIPELINE_URL, says: /state +/ },
  'sightline models versions': { more: PIPELINE_URL, says: /cameras@1/ },
  'sightline rollout start --pipeline new.yaml --steps 1,10,50,100 --hold 60s --min-frames 100 --guards guards.yaml --shadow':
    { more: PIPELINE_URL, says: /rollout-2: cameras@1 -> cameras@2/ },
  'sightline rollout promote': { more: PIPELINE_URL, says: /promoted it/ },
  'sightline rollout hold': { more: PIPELINE_URL, says: /holding \(held by/ },
  'sightline rollout hold --release': { more: PIPELINE_URL, says: /let it go on|resumed it/ },
  'sightline rollout promote --full': { more: PIPELINE_URL, says: /state +promoted/ },
  'sightline rollout undo': { more: PIPELINE_URL, says: /undid it/ },
  'sightline rollout history': { more: PIPELINE_URL, says: /undone[\s\S]*started/ },
  'sightline rollout start report/best.yaml': {
    more: `${PIPELINE_URL} --guards guards.yaml`,
    says: /rollout-1: cameras@1 -> cameras@2/,
  },
};

const missing: Readonly<Record<NonNullable<Run['needs']>, boolean>> = {
  shared: sharedDir === null,
  redis: redisMissing !== null,
  openssl: spawnSync('openssl', ['version']).status !== 0,
};
/** Each test starts several processes one after the other. */
const TIMEOUT = { timeout: 400_000 };

describe('the commands of a page, on small files of the names in it', TIMEOUT, () => {
  const temporary = temporaryFolder();
  const videos = new VideoFolder();
  let redis: RedisServer | undefined;
  let env: NodeJS.ProcessEnv;
  const at = (...names: string[]): string => join(temporary.path, ...names);

  beforeAll(async () => {
    await makeFiles(temporary.path, videos);
    if (redisMissing === null) redis = await RedisServer.open({});
    env = {
      ...process.env,
      PATH: `${at('bin')}${delimiter}${process.env.PATH}`,
      SIGHTLINE_MODEL_PATH: sharedDir === null ? '' : resolve(sharedDir, 'models'),
      TEST_REDIS: redis?.url,
    };
  });
  afterAll(async () => {
    await redis?.close();
    temporary.remove();
    videos.remove();
  });

  const start = (command: string): ChildProcess =>
    spawn('bash', ['-c', command], { cwd: temporary.path, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });

  /** Runs a command that goes on, until it prints `says`. */
  async function startService(
    command: string,
    says: RegExp,
  ): Promise<{ log: () => string; stop(): Promise<CliResult> }> {
    const child = start(command);
    let log = '';
    for (const stream of [child.stdout!, child.stderr!])
      stream.on('data', (chunk: Buffer) => {
        log += chunk.toString();
      });
    const result = ended(child);
    const stop = (): Promise<CliResult> => {
      child.kill('SIGTERM');
      return within(`the end of ${command}`, 60_000, result);
    };
    const isReady = waitFor(command, () => says.test(log), { deadlineMs: 180_000 });
    const hasEnded = result.then(() => Promise.reject(new Error(`${command} ended: ${log}`)));
    await Promise.race([isReady, hasEnded]).catch((error: unknown) => {
      child.kill('SIGKILL');
      throw error;
    });
    return { log: () => log, stop };
  }

  const pages = DOC_PAGES.filter((page) => commandsOf(page).some(({ text }) => COMMANDS[text] !== undefined));
  it.each(pages)('%s', async (page) => {
    const services: { stop(): Promise<CliResult> }[] = [];
    const times = new Map<string, number>();
    let before = '';
    try {
      for (const { text } of commandsOf(page)) {
        const given = COMMANDS[text];
        if (given === undefined || (given.needs !== undefined && missing[given.needs])) continue;
        if (given.more?.startsWith(PIPELINE_URL) && env.PIPELINE_URL === undefined) {
          const service = await startService(
            'exec sightline run cameras.yaml --no-overlay --port 0',
            /is running with/,
          );
          services.push(service);
          env.PIPELINE_URL = /live at (http:\S+)/.exec(service.log())![1]!;
        }
        const command = commandOf(text, given);
        if (command.startsWith('export ')) {
          before += `${command}; `;
          expect(spawnSync('bash', ['-c', command], { env }).status, text).toBe(0);
          continue;
        }
        if (given.isService !== undefined) {
          const service = await startService(`${before}exec ${command}`, given.says!);
          if (given.isService === 'to the end') services.push(service);
          else expect((await service.stop()).code, command).toBe(0);
          continue;
        }
        const { code, stdout, stderr } = await ended(start(`${before}${command}`));
        const time = times.get(text) ?? 0;
        times.set(text, time + 1);
        const codes = [given.code ?? 0].flat();
        expect(code, `${command}\n${stdout}${stderr}`).toBe(codes[Math.min(time, codes.length - 1)]);
        expect(`${stdout}${stderr}`, command).toMatch(given.says ?? /^/);
      }
    } finally {
      delete env.PIPELINE_URL;
      for (const service of services.reverse()) expect((await service.stop()).code).toBe(0);
    }
  });
});

/** As it is typed, with what an example has put in place. `npx sightline` of an installed package is the command itself. */
function commandOf(text: string, { instead = {}, more = '' }: Run): string {
  const own = Object.entries(instead).reduce((line, [part, other]) => line.replace(part, () => other), text);
  return `${own.replace(/^npx /, '')} ${more}`.trim();
}

/** Two streets, pictures with annotations, and pipelines of the engine that costs nothing, below the names of the pages. */
async function makeFiles(folder: string, videos: VideoFolder): Promise<void> {
  const at = (...names: string[]): string => join(folder, ...names);
  for (const name of ['recordings', 'results', 'val', 'report', 'optimize-report', 'bin', 'state']) mkdirSync(at(name));
  const clip = await videos.make('clip.mp4', { frames: 25 });
  for (const name of ['clip.mp4', 'yard.mp4', 'street.mp4', 'door.mp4', 'recordings/a.mp4']) cpSync(clip, at(name));
  const image = { id: 1, file_name: '000000000001.jpg', width: 320, height: 240 };
  const grey = { width: 320, height: 240, channels: 3, background: '#808080' } as const;
  await sharp({ create: grey }).toFile(at('val', image.file_name));
  for (const name of ['val2017', 'photos']) cpSync(at('val'), at(name), { recursive: true });
  cpSync(at('val', image.file_name), at('recordings/b.jpg'));
  const annotation = { id: 1, image_id: 1, category_id: 1, bbox: [10, 20, 100, 80], area: 8000, iscrowd: 0 };
  const coco = { images: [image], annotations: [annotation], categories: [{ id: 1, name: 'person' }] };
  for (const name of ['instances.json', 'val.json', 'annotations.json']) writeFileSync(at(name), JSON.stringify(coco));
  // A class that best.onnx has.
  writeFileSync(at('hats.json'), JSON.stringify({ ...coco, categories: [{ id: 1, name: "driver's hat" }] }));
  writeFileSync(at('gate-url.txt'), at('clip.mp4'));
  const pipeline = (rows: readonly number[], more: object = {}): string =>
    JSON.stringify({
      name: 'cameras',
      description: 'A looped file in place of a camera.',
      model: { engine: 'fake', threads: 1, fake: { callMs: 1, rows } },
      streams: [{ id: 'door', source: at('clip.mp4'), loop: true, realtime: true }],
      rollout: { folder: at('state') },
      ...more,
    });
  const row = [10, 20, 100, 80, 0.9, 0];
  for (const name of ['cameras.yaml', 'gate.yaml', 'optimize-report/best.yaml']) writeFileSync(at(name), pipeline(row));
  for (const name of ['best.yaml', 'new.yaml', 'report/best.yaml'])
    writeFileSync(at(name), pipeline([...row.slice(0, 4), 0.8, 0]));
  writeFileSync(at('rules.yaml'), JSON.stringify({ events: [{ id: 'seen', kind: 'appears' }] }));
  const fleet = { capacityFps: 100, schemes: ['file'], roots: [folder] };
  writeFileSync(at('fleet.yaml'), pipeline(row, { streams: [], fleet }));
  // What could roll it back within seconds on a busy machine.
  const off = ['p99', 'fps', 'drops', 'confidence', 'deviceTime'].map((guard) => [guard, { isOn: false }]);
  writeFileSync(at('guards.yaml'), JSON.stringify(Object.fromEntries(off)));
  if (sharedDir !== null) cpSync(join(sharedDir, 'models/layouts/yolo11.onnx'), at('best.onnx'));
  cpSync('pipelines', at('pipelines'), { recursive: true });
  writeFileSync(
    at('bin/sightline'),
    `#!/bin/sh\nexec "${process.execPath}" "${resolve('dist/workers/sightline.process.js')}" "$@"\n`,
  );
  chmodSync(at('bin/sightline'), 0o755);
}
