import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { candidateModels } from '../../../../../src/lab/optimize/run/candidate-models.ts';
import { readEnvironment } from '../../../../../src/settings/config/environment.ts';
import { temporaryFolder } from '../../../../support/cli.ts';
import { sharedDir } from '../../../../support/shared.ts';

describe.skipIf(sharedDir === null)('the detectors of --candidates (needs the shared folder)', () => {
  const { path: folder, remove } = temporaryFolder();
  afterAll(remove);
  const weights = (name: string): string => join(sharedDir!, 'models', name);
  const tried = async (): Promise<{ readonly names: string[]; readonly notes: string[] }> => {
    const notes: string[] = [];
    const options = { own: 'yolox-nano', folder, int8Engines: [], note: (text: string) => notes.push(text) };
    const environment = readEnvironment({ SIGHTLINE_MODEL_PATH: join(sharedDir!, 'models') });
    const models = await candidateModels({ ...options, environment });
    return { names: models.map(({ name }) => name).filter((name) => name.startsWith(folder)), notes };
  };

  it('are manifests and bare files; the weights of a manifest are not tried a second time', async () => {
    const manifest = readFileSync('models/gfl/nanodet-m.yaml', 'utf8');
    const mine = manifest
      .replace('name: nanodet-m\n', 'name: mine\n')
      .replace(/"https:[^"]*"/, '"file:nanodet_m_416.onnx"');
    writeFileSync(join(folder, 'mine.yaml'), mine);
    symlinkSync(weights('nanodet_m_416.onnx'), join(folder, 'nanodet_m_416.onnx'));
    symlinkSync(weights('picodet_s_416.onnx'), join(folder, 'bare.onnx'));
    expect(await tried()).toEqual({ names: [join(folder, 'mine.yaml'), join(folder, 'bare.onnx')], notes: [] });
  });

  it('are tried as bare files beside a manifest that cannot be used', async () => {
    writeFileSync(join(folder, 'mine.yaml'), 'name: mine\n');
    const { names, notes } = await tried();
    expect(names).toEqual([join(folder, 'bare.onnx'), join(folder, 'nanodet_m_416.onnx')]);
    expect(notes).toEqual([expect.stringContaining('mine.yaml is not tried')]);
  });
});
