import { mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ResultRecord } from '../../src/wire/protocol/result-record.ts';
import { temporaryFolder } from '../support/cli.ts';
import { cliHere } from '../support/cli-here.ts';
import { HostProcess } from '../support/host-process.ts';
import { modelPlaces } from '../support/model-places.ts';
import { parquetRows } from '../support/parquet-rows.ts';
import { RedisServer, redisMissing } from '../support/redis-server.ts';
import { sharedDir } from '../support/shared.ts';
import { writeClassifier, writeColourNetwork } from '../support/staged-host.ts';

const ENVIRONMENT = {
  SIGHTLINE_MODEL_PATH: modelPlaces.modelPath.join(':'),
  SIGHTLINE_CACHE_DIR: modelPlaces.cacheDir,
};
/** Seconds of media time; the clip has several key frames in that. */
const SEGMENT_S = '2';

describe.skipIf(sharedDir === null || redisMissing !== null)(
  'submit --stages (needs ../shared and redis-server)',
  () => {
    const temporary = temporaryFolder();
    const folder = realpathSync(temporary.path);
    const clip = join(realpathSync(sharedDir ?? '.'), 'videos/bikes.mp4');
    const hosts: HostProcess[] = [];
    let redis: RedisServer;
    let able: HostProcess;

    const write = (name: string, stage: object): string => {
      const model = { name: writeClassifier(folder, 'colours', ['red', 'green', 'blue'], 'colours.onnx') };
      const stages = [{ name: 'colour', on: { labels: ['person', 'bicycle'], marginRatio: 0.1 }, model, ...stage }];
      writeFileSync(
        join(folder, name),
        JSON.stringify({ name: 'bikes', description: 'Bicycles.', stages, streams: [] }),
      );
      return join(folder, name);
    };
    const startHost = async (id: string, name: string, modelRoots: readonly string[]): Promise<HostProcess> => {
      const pipeline = {
        name,
        description: 'Bicycles.',
        model: { name: 'yolox-nano', engine: 'onnx', threads: 1 },
        fleet: { capacityFps: 20, roots: [folder, realpathSync(sharedDir!)], schemes: ['file'] },
        rollout: { modelRoots },
      };
      writeFileSync(join(folder, `${id}.yaml`), JSON.stringify(pipeline));
      const host = await HostProcess.start(id, [join(folder, `${id}.yaml`), '--redis', redis.url], ENVIRONMENT);
      hosts.push(host);
      return host;
    };
    const submit = (stages: string, out: string, ...flags: string[]) => {
      mkdirSync(join(folder, out), { recursive: true });
      const args = ['submit', clip, '--stages', stages, '--out', join(folder, out), '--every', '5', '--wait'];
      if (!flags.includes('--pipeline')) flags.push('--pipeline', 'bikes');
      args.push(...flags);
      return cliHere([...args, '--redis', redis.url], ENVIRONMENT);
    };
    const detect = async (stages: string, out: string): Promise<string> => {
      const args = ['detect', clip, '--model', 'yolox-nano', '--engine', 'onnx', '--every', '5', '--stages', stages];
      const { code, stderr } = await cliHere([...args, '--out', join(folder, out)], ENVIRONMENT);
      expect(code, stderr).toBe(0);
      return readFileSync(join(folder, out), 'utf8');
    };
    const records = (text: string): ResultRecord[] =>
      text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as ResultRecord);
    const detectionsOf = (text: string) => records(text).flatMap(({ detections }) => detections);
    const bare = (text: string) =>
      records(text).map(({ detections, ...record }) => ({
        ...record,
        detections: detections.map(({ attributes: _, ...detection }) => detection),
      }));

    beforeAll(async () => {
      writeColourNetwork(folder);
      redis = await RedisServer.open();
      able = await startHost('able', 'bikes', [folder]);
    }, 60_000);

    afterAll(async () => {
      for (const host of hosts) await host.kill();
      await redis?.close();
      temporary.remove();
    });

    it('gives byte for byte what detect --stages gives, of a file in one piece', async () => {
      const stages = write('best.yaml', { per: 'bestOfTrack' });
      const { code, stderr } = await submit(stages, 'best', '--segment-seconds', '0', '--parquet');
      expect(code, stderr).toBe(0);
      const lines = readFileSync(join(folder, 'best/bikes.mp4.jsonl'), 'utf8');
      expect(lines).toBe(await detect(stages, 'best.jsonl'));
      const found = detectionsOf(lines);
      expect(found.filter(({ attributes }) => attributes?.colour !== undefined).length).toBeGreaterThan(20);
      const rows = (await parquetRows(join(folder, 'best/bikes.mp4.parquet'))) as { attributes: unknown }[];
      expect(rows.map(({ attributes }) => attributes)).toEqual(found.map(({ attributes = null }) => attributes));
    }, 120_000);

    it.each(['track', 'frame'])(
      'goes on with tracks over the borders of segments, and with what is known of them: per %s',
      async (per) => {
        const stages = write(`${per}.yaml`, { per });
        const { code, stderr } = await submit(stages, per, '--segment-seconds', SEGMENT_S);
        expect(code, stderr).toBe(0);
        const lines = readFileSync(join(folder, per, 'bikes.mp4.jsonl'), 'utf8');
        const whole = await detect(stages, `${per}.jsonl`);
        expect(bare(lines)).toEqual(bare(whole));
        // Behind a border an object is looked at once its segment has a track of it.
        const [cut, one] = [detectionsOf(lines), detectionsOf(whole)];
        const late = cut.filter(({ attributes }, i) => attributes?.colour?.atUs !== one[i]!.attributes?.colour?.atUs);
        expect(late.length / one.filter(({ attributes }) => attributes !== undefined).length).toBeLessThan(0.2);
      },
      120_000,
    );

    it('leaves its tasks to hosts that may load the models', async () => {
      const unable = await startHost('unable', 'bikes', []);
      const stages = write('shared.yaml', { per: 'track' });
      // The first task can only go to the host that lacks the model.
      able.signal('SIGSTOP');
      const said = unable.logged(/host unable cannot run the job: stages\.colour\.model: .*rollout\.modelRoots/);
      const submitted = submit(stages, 'shared', '--segment-seconds', SEGMENT_S);
      await said.finally(() => able.signal('SIGCONT'));
      const { code, stderr } = await submitted;
      expect(code, stderr).toBe(0);
      const expected = readFileSync(join(folder, 'track/bikes.mp4.jsonl'), 'utf8');
      expect(readFileSync(join(folder, 'shared/bikes.mp4.jsonl'), 'utf8')).toBe(expected);
      await unable.stop();
    }, 120_000);

    it('fails with the reason where no host has them', async () => {
      const alone = await startHost('alone', 'other', []);
      const second = await startHost('second', 'other', []);
      const stages = write('alone.yaml', { per: 'track' });
      const { code, stderr } = await submit(stages, 'alone', '--pipeline', 'other');
      expect(code).toBe(1);
      expect(stderr).toMatch(/MODEL_FORBIDDEN: host (?:alone|second) cannot run the job: stages\.colour\.model/);
      await Promise.all([alone.stop(), second.stop()]);
    }, 120_000);

    it('refuses settings that no host could use', async () => {
      const zone = await submit(write('zone.yaml', { on: { zone: 'yard' } }), 'x');
      expect([zone.code, zone.stderr]).toEqual([2, expect.stringMatching(/stages\[0\]\.on\.zone: expected a zone/)]);
      writeFileSync(join(folder, 'none.yaml'), JSON.stringify({ name: 'n', description: 'None.', streams: [] }));
      const none = await submit(join(folder, 'none.yaml'), 'x');
      expect([none.code, none.stderr]).toEqual([2, expect.stringMatching(/expected a pipeline with stages/)]);
    });
  },
);
