import { describe, expect, it } from 'vitest';
import { examineOpenvino, openvinoFindings } from '../../../src/cli/doctor-openvino.ts';
import { hasOpenvino, openvinoDir } from '../../support/openvino.ts';

const environment = { ffmpegPath: undefined, searchPath: '', modelPath: [], cacheDir: '/nowhere', token: undefined };
const { signal } = new AbortController();

describe('OpenVINO in the report of the doctor', () => {
  it('has the version and the native number formats of each device', () => {
    const findings = openvinoFindings(
      { libraryPath: '/opt/libopenvino_c.so', foundBy: 'OPENVINO_DIR', version: null },
      {
        version: '2026.4.1-22982-e213a147257-releases/2026/4',
        devices: [
          { name: 'CPU', fullName: 'Intel Xeon', capabilities: ['BF16', 'WINOGRAD', 'FP32', 'INT8', 'EXPORT_IMPORT'] },
          { name: 'GPU.0', fullName: 'Intel Arc', capabilities: ['FP32', 'FP16'] },
        ],
      },
    );
    expect(findings.map(({ what, verdict, found }) => [what, verdict, found])).toEqual([
      ['engine openvino', 'ok', 'OpenVINO 2026.4.1 at /opt/libopenvino_c.so (OPENVINO_DIR)'],
      ['openvino CPU', 'ok', 'Intel Xeon, computes natively in f32, bf16, int8'],
      ['openvino GPU.0', 'ok', 'Intel Arc, computes natively in f32, f16'],
    ]);
  });

  it('is a note with the set-up command if it is not set up, since the engine is optional', async () => {
    const [finding] = await examineOpenvino(environment, signal);
    expect(finding).toMatchObject({ verdict: 'note', remedy: 'sightline setup openvino' });
  });

  it('names a configured folder that does not contain it', async () => {
    const [finding] = await examineOpenvino({ ...environment, openvinoDir: '/nowhere/openvino' }, signal);
    expect(finding).toMatchObject({ verdict: 'note', found: expect.stringContaining('received /nowhere/openvino') });
  });

  it.skipIf(!hasOpenvino)('lists f32 on the CPU for the installed version', async () => {
    const [library, ...devices] = await examineOpenvino({ ...environment, openvinoDir }, signal);
    expect(library).toMatchObject({ verdict: 'ok', found: expect.stringMatching(/^OpenVINO 20\d\d\.\d/) });
    const cpu = devices.find(({ what }) => what === 'openvino CPU');
    expect(cpu?.found).toMatch(/computes natively in f32/);
  });
});
