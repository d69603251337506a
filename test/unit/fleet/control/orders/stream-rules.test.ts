import { describe, expect, it } from 'vitest';
import { StreamRules } from '../../../../../src/fleet/control/orders/stream-rules.ts';
import { parseStream } from '../../../../../src/settings/config/parse-stream.ts';

const source = 'rtsp://bob:hunter2@camera.example/1';
const gate = parseStream({ id: 'gate', source }, {});
const currentOf = (id: string) => (id === 'gate' ? gate : null);

function rig() {
  const admitted: string[] = [];
  return { admitted, rules: new StreamRules({ defaults: {}, admit: (address) => void admitted.push(address) }) };
}

describe('the test of a source', () => {
  it('takes the source of a stream, read without its password, for the one that is there', async () => {
    const { rules, admitted } = rig();
    const read = { id: 'gate', source: 'rtsp://***@camera.example/1', transport: 'udp' };
    expect(await rules.tested(read, currentOf)).toMatchObject({ source, transport: 'udp' });
    expect(admitted, 'it runs already').toEqual([]);
  });

  it.each([
    { id: 'gate', source: 'rtsp://***@camera.example/2' },
    { id: 'yard', source: 'rtsp://***@camera.example/1' },
    { source: 'rtsp://***@camera.example/1' },
  ])('puts no password into another one: %j', async (request) => {
    const { rules, admitted } = rig();
    expect((await rules.tested(request, currentOf)).source).toBe(request.source);
    expect(admitted).toEqual([request.source]);
  });

  it.each([[null], [7], [{}], [{ id: 'gate' }]])('refuses %j', async (request) => {
    await expect(rig().rules.tested(request, currentOf)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });
});
