import { afterEach, describe, expect, it } from 'vitest';
import { GatewayApi } from '../../../../src/wire/client/gateway-api.ts';
import { sendByFetch } from '../../../../src/wire/client/send-request.ts';
import { OnvifCamera, type OnvifShape } from '../../../support/onvif-camera.ts';
import { openGateway } from '../../../support/open-gateways.ts';
import { RuntimeDouble } from '../../../support/runtime-double.ts';

const LOGIN = { user: 'viewer', password: 'pa:ss&wörd' };
const main = {
  token: 'main',
  name: 'Main',
  width: 1920,
  height: 1080,
  fps: 25,
  uri: 'rtsp://127.0.0.1:9/main',
};
let nextPort = 42_800 + (process.pid % 1000);
let camera: OnvifCamera | null = null;
afterEach(() => camera?.close());

async function open(shape: Partial<OnvifShape> = {}, networks = ['127.0.0.0/8']) {
  nextPort += 1;
  camera = await OnvifCamera.open({ profiles: [main], port: nextPort, login: LOGIN, ...shape });
  const { url } = await openGateway(new RuntimeDouble(), { discovery: { networks, port: nextPort } });
  const closed = new AbortController().signal;
  const send = sendByFetch({ base: new URL(`${url}/`), token: null, timeoutMs: 60_000, closed, fetch });
  return { url, camera, api: new GatewayApi(send) };
}

describe('a search for cameras over REST', () => {
  it('lists what each offers to this login, without the login', async () => {
    const { api } = await open();
    const [{ token: _, uri: source, ...rest }, cameras] = [main, await api.discover(LOGIN)];
    const found = { address: '127.0.0.1', name: 'Front Door', hardware: 'T-1000' };
    expect(cameras).toEqual([{ ...found, problem: null, streams: [{ ...rest, codec: 'H264', source }] }]);
  });

  it('names a camera that wants a login, and why it shows no streams', async () => {
    const { api } = await open();
    const cameras = await api.discover();
    expect(cameras).toEqual([expect.objectContaining({ address: '127.0.0.1', streams: [] })]);
    expect(cameras[0]!.problem).toMatch(/login/);
  });

  it('is one at a time', async () => {
    const { api } = await open();
    const both = await Promise.allSettled([api.discover(LOGIN), api.discover(LOGIN)]);
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    const { reason } = both.find(({ status }) => status === 'rejected') as PromiseRejectedResult;
    expect(reason.code).toBe('LIMIT_REACHED');
    expect(await api.discover(LOGIN), 'the next one').toHaveLength(1);
  });

  it('sends nothing into networks that fleet.networks leaves out', async () => {
    const { api, camera } = await open({}, ['10.255.255.0/30']);
    await expect(api.discover(LOGIN)).rejects.toMatchObject({ code: 'SOURCE_UNREACHABLE' });
    expect(camera.requests).toEqual([]);
  });

  it('refuses a login of another form, and does not repeat it', async () => {
    const { url } = await open();
    const reply = await fetch(`${url}/api/sources/discover`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ login: { user: 'viewer', password: 'hunter2', more: 1 } }),
    });
    const text = await reply.text();
    expect(reply.status).toBe(400);
    expect(text).toContain('login');
    expect(text).not.toContain('hunter2');
  });
});
