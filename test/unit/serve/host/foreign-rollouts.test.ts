import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Incidents } from '../../../../src/base/flow/incidents.ts';
import { HostRollouts } from '../../../../src/serve/host/host-rollouts.ts';
import { PipelineHost } from '../../../../src/serve/host/pipeline-host.ts';
import { RuntimeTarget } from '../../../../src/serve/host/runtime-target.ts';
import { parsePipeline } from '../../../../src/serve/pipeline/load-pipeline.ts';
import type { Version } from '../../../../src/wire/protocol/rollout-records.ts';
import { makePipe } from '../../../support/made-pipe.ts';
import { testFfmpeg } from '../../../support/made-videos.ts';
import { manifestText } from '../../../support/tiny-models.ts';
import { within } from '../../../support/wait-for.ts';

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'sightline-foreign-rollouts-')));
const ENVIRONMENT = { ffmpegPath: testFfmpeg.path, searchPath: '', modelPath: [], cacheDir: folder, token: undefined };

let host: PipelineHost;
let rollouts: HostRollouts;

async function open(model: object, roots: readonly string[]): Promise<void> {
  const document = {
    name: 'people',
    description: 'No stream.',
    model: { engine: 'fake', ...model },
    rollout: { modelRoots: roots, folder: join(folder, 'state') },
  };
  const config = parsePipeline(JSON.stringify(document), 'test');
  const environment = ENVIRONMENT;
  const onNotice = (): void => undefined;
  host = await PipelineHost.open(config, {
    environment,
    stdout: process.stdout,
    onNotice,
    admit: async () => undefined,
  });
  const incidents = new Incidents();
  rollouts = (await HostRollouts.tryOpen(host, config, {
    environment,
    onNotice,
    incidents,
    fleet: null,
    streams: () => [{ id: 'camera' }],
  }))!;
  await rollouts.start();
}

beforeEach(() => {
  mkdirSync(join(folder, 'models'), { recursive: true });
  for (const name of ['own', 'other', 'models/third'])
    writeFileSync(join(folder, `${name}.yaml`), manifestText(basename(name), 'own.onnx'));
});
afterEach(async () => {
  await rollouts.close();
  await host.stop();
  rmSync(folder, { recursive: true });
});

describe('the record of a roll-out, which somebody may have forged', () => {
  it.each([{ name: '/dev/ptmx' }, { name: '/dev/ptmx.yaml' }, { name: 'x.onnx', labels: '/dev/ptmx' }])(
    'makes no host open %j',
    async (model) => {
      await open({}, []);
      const versionOf = (hash: string, change: object): Version => {
        const { model: checked, batch } = parsePipeline(
          JSON.stringify({ name: 'people', description: 'Forged.', model: { engine: 'fake', ...change } }),
          'test',
        );
        return { hash: hash.repeat(64), label: 'people@9', model: checked, batch, weights: [], createdMs: 0 };
      };
      const target = new RuntimeTarget({
        runtime: host.runtime,
        streams: host.streams,
        initial: versionOf('a', {}),
        environment: ENVIRONMENT,
        modelRoots: { roots: [], files: [] },
        recordings: '',
        onNotice: () => undefined,
      });
      const forged = versionOf('b', model);
      for (let i = 0; i < 5; i += 1)
        await expect(within('the answer', 10_000, target.load(forged))).rejects.toMatchObject({
          code: 'MODEL_FORBIDDEN',
        });
      expect(target.isLoaded(forged.hash)).toBe(false);
      target.close();
    },
  );
});

describe('a request for a roll-out over the network', () => {
  it.each(['/dev/ptmx', '/dev/zero', '/etc/passwd', '/proc/self/environ'])(
    'that names the file %s is refused without opening it, and other requests go on',
    async (model) => {
      await open({}, []);
      const refused = [1, 2, 3, 4, 5].map(() => rollouts.own.agent.startRollout({ model }, 'somebody'));
      for (const each of refused)
        await expect(within('the answer', 10_000, each)).rejects.toMatchObject({ code: 'MODEL_FORBIDDEN' });
      await expect(rollouts.own.agent.startRollout({ model: 'yolox-nano' }, 'somebody')).resolves.toMatchObject({
        to: 'people@2',
      });
    },
  );

  it('may name a FIFO below a root, which is refused at once', async () => {
    await open({}, [join(folder, 'models')]);
    const model = makePipe(join(folder, 'models/pipe.onnx'));
    await expect(
      within('the answer', 10_000, rollouts.own.agent.startRollout({ model }, 'somebody')),
    ).rejects.toMatchObject({
      message: expect.stringMatching(/it is a pipe/),
    });
  });

  it('may change the settings of the file that the host runs, and name files below a root', async () => {
    await open({ name: join(folder, 'own.yaml') }, [join(folder, 'models')]);
    const start = (name: string, scoreThreshold: number) =>
      rollouts.own.agent.startRollout({ settings: { model: { engine: 'fake', name, scoreThreshold } } }, 'somebody');
    await expect(start(join(folder, 'other.yaml'), 0.4)).rejects.toMatchObject({ code: 'MODEL_FORBIDDEN' });
    await start(join(folder, 'own.yaml'), 0.4);
    await rollouts.own.agent.actOnRollout('abort', { who: 'somebody', isFull: false, seen: null });
    await start(join(folder, 'models/third.yaml'), 0.4);
  });

  it('may not name class names elsewhere', async () => {
    await open({ name: join(folder, 'own.yaml') }, []);
    const settings = { model: { engine: 'fake', name: 'x.onnx', labels: '/etc/passwd' } };
    await expect(rollouts.own.agent.startRollout({ settings }, 'somebody')).rejects.toMatchObject({
      code: 'MODEL_FORBIDDEN',
    });
  });
});
