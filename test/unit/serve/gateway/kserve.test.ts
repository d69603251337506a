import { describe, expect, it } from 'vitest';
import { openGateway } from '../../../support/open-gateways.ts';
import { JPEG, RequestPortDouble } from '../../../support/request-port-double.ts';
import { RuntimeDouble } from '../../../support/runtime-double.ts';

/** What the server says of itself, or of a model. */
interface Metadata {
  readonly inputs: readonly { readonly name: string }[];
}

async function open(runtime = new RuntimeDouble()) {
  const port = new RequestPortDouble();
  const { url } = await openGateway(runtime, { requests: port });
  const infer = async (
    body: object | Buffer,
    headers: Record<string, string> = {},
    path = '/v2/models/double/infer',
  ): Promise<Response> =>
    fetch(url + path, { method: 'POST', body: Buffer.isBuffer(body) ? body : JSON.stringify(body), headers });
  return {
    port,
    url,
    infer,
    get: async (path: string): Promise<Metadata> => (await fetch(url + path)).json() as never,
  };
}

/** 2x1 pixels. */
const PIXELS = [
  [
    [1, 2, 3],
    [4, 5, 255],
  ],
];
const image = { name: 'image', shape: [1, 2, 3], datatype: 'UINT8' };
const encoded = { name: 'encoded', shape: [1], datatype: 'BYTES' };

/** The JSON, then the bytes, with the header that says where they begin. */
function binary(json: object, ...parts: Uint8Array[]): [Buffer, Record<string, string>] {
  const head = Buffer.from(JSON.stringify(json));
  return [Buffer.concat([head, ...parts]), { 'inference-header-content-length': String(head.length) }];
}

const element = (bytes: Buffer): Buffer => {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(bytes.length);
  return Buffer.concat([length, bytes]);
};

describe('KServe v2', () => {
  it('tells what is here, and whether it can infer', async () => {
    const runtime = new RuntimeDouble();
    const { url, get } = await open(runtime);
    expect(await get('/v2')).toMatchObject({ name: 'sightline', extensions: ['binary_tensor_data'] });
    const model = await get('/v2/models/double');
    expect(model).toMatchObject({ name: 'double', versions: ['1', '2'] });
    expect(model.inputs.map(({ name }) => name)).toEqual(['image', 'encoded']);
    expect(await get('/v2/models/double/versions/2')).toEqual(model);
    for (const path of [
      '/v2/health/live',
      '/v2/health/ready',
      '/v2/models/double/ready',
      '/v2/models/double/versions/1/ready',
    ])
      expect([path, (await fetch(url + path)).status]).toEqual([path, 200]);
    runtime.ready = { isReady: false, reason: 'loading' };
    for (const path of ['/v2/health/ready', '/v2/models/double/ready'])
      expect([path, (await fetch(url + path)).status]).toEqual([path, 503]);
    expect((await fetch(`${url}/v2/health/live`)).status).toBe(200);
  });

  it.each([
    ['nested', PIXELS],
    ['flat', PIXELS.flat(2)],
  ])('takes pixels as %s JSON, and answers in JSON', async (_, data) => {
    const { port, infer } = await open();
    const reply = await infer({ id: 'a', inputs: [{ ...image, data }] });
    expect(reply.headers.get('content-type')).toContain('application/json');
    expect(await reply.json()).toEqual({
      model_name: 'double',
      model_version: '1',
      id: 'a',
      outputs: [
        { name: 'boxes', datatype: 'FP32', shape: [2, 4], data: [1, 2, 3, 4, 5.25, 6, 7, 8] },
        { name: 'scores', datatype: 'FP32', shape: [2], data: [0.9, 0.5] },
        { name: 'class_ids', datatype: 'INT32', shape: [2], data: [0, 2] },
        { name: 'labels', datatype: 'BYTES', shape: [2], data: ['person', 'car'] },
      ],
      parameters: { width: 64, height: 48, cached: false },
    });
    expect(port.asked[0]!.picture).toEqual({ data: Uint8Array.of(1, 2, 3, 4, 5, 255), width: 2, height: 1 });
  });

  it('takes pixels as binary data, and answers the chosen outputs as binary data', async () => {
    const { port, infer } = await open();
    const outputs = [{ name: 'labels' }, { name: 'scores', parameters: { binary_data: false } }, { name: 'boxes' }];
    const reply = await infer(
      ...binary(
        {
          inputs: [{ ...image, parameters: { binary_data_size: 6 } }],
          outputs,
          parameters: { binary_data_output: true, timeout: 2_000_000 },
        },
        Uint8Array.from(PIXELS.flat(2)),
      ),
      '/v2/models/double/versions/2/infer',
    );
    const bytes = Buffer.from(await reply.arrayBuffer());
    const length = Number(reply.headers.get('inference-header-content-length'));
    const json = JSON.parse(bytes.subarray(0, length).toString());
    expect(json).toMatchObject({
      model_version: '2',
      outputs: [
        { name: 'labels', parameters: { binary_data_size: 17 } },
        { name: 'scores', data: [0.9, 0.5] },
        { name: 'boxes', parameters: { binary_data_size: 32 } },
      ],
    });
    const rest = bytes.subarray(length);
    expect(rest.subarray(0, 17)).toEqual(Buffer.concat([element(Buffer.from('person')), element(Buffer.from('car'))]));
    const floats = Array.from({ length: 8 }, (_, i) => rest.readFloatLE(17 + i * 4));
    expect(floats).toEqual([1, 2, 3, 4, 5.25, 6, 7, 8]);
    expect(port.asked[0]!.version).toBe('2');
  });

  it.each([
    [
      'binary data',
      binary({ inputs: [{ ...encoded, parameters: { binary_data_size: JPEG.length + 4 } }] }, element(JPEG)),
    ],
    ['base64', [{ inputs: [{ ...encoded, data: [JPEG.toString('base64')] }] }, {}] as const],
  ])('takes a picture file as %s', async (_, [body, headers]) => {
    const { port, infer } = await open();
    expect((await infer(body, headers)).status).toBe(200);
    expect(Buffer.from(port.asked[0]!.picture as Uint8Array)).toEqual(JPEG);
  });

  const bad: [string, object | Buffer, Record<string, string>, number, string][] = [
    ['no JSON', Buffer.from('{'), {}, 400, 'body: expected JSON'],
    ['no body', Buffer.alloc(0), {}, 400, 'body: expected JSON'],
    ['no input', { inputs: [] }, {}, 400, 'inputs: expected at least 1 entry'],
    [
      'another input',
      { inputs: [{ ...image, name: 'x', data: [] }] },
      {},
      400,
      'inputs[0].name: expected image or encoded',
    ],
    ['another datatype', { inputs: [{ ...image, datatype: 'FP32', data: [] }] }, {}, 400, 'datatype: expected UINT8'],
    [
      'four dimensions',
      { inputs: [{ ...image, shape: [1, 1, 2, 3], data: [] }] },
      {},
      400,
      'shape: expected [-1,-1,3]',
    ],
    ['four channels', { inputs: [{ ...image, shape: [1, 2, 4], data: [] }] }, {}, 400, 'shape: expected [-1,-1,3]'],
    ['too few values', { inputs: [{ ...image, data: [1, 2, 3] }] }, {}, 400, 'data: expected 6 bytes'],
    ['no pixel', { inputs: [{ ...image, shape: [0, 2, 3], data: [] }] }, {}, 400, 'at least one pixel'],
    ['a size beyond any memory', { inputs: [{ ...image, shape: [1e9, 1e9, 3], data: [] }] }, {}, 400, 'data: expected'],
    [
      'a value above 255',
      { inputs: [{ ...image, data: [1, 2, 3, 4, 5, 256] }] },
      {},
      400,
      'data[5]: expected a whole number',
    ],
    [
      'deeply nested values',
      Buffer.from(
        `{"inputs":[{"name":"image","shape":[1,2,3],"datatype":"UINT8","data":${'['.repeat(50_000)}${']'.repeat(50_000)}}]}`,
      ),
      {},
      400,
      'received more than 64 lists and sections within each other',
    ],
    ['no data', { inputs: [image] }, {}, 400, 'shared memory is not supported'],
    ['text that is no base64', { inputs: [{ ...encoded, data: ['?'] }] }, {}, 400, 'in base64'],
    [
      'another output',
      { inputs: [{ ...image, data: PIXELS }], outputs: [{ name: 'masks' }] },
      {},
      400,
      'outputs[0].name: expected one of boxes',
    ],
    [
      'an output named as a key of every object',
      { inputs: [{ ...image, data: PIXELS }], outputs: [{ name: 'toString' }] },
      {},
      400,
      'outputs[0].name',
    ],
    [
      'fewer bytes than stated',
      ...binary({ inputs: [{ ...image, parameters: { binary_data_size: 6 } }] }, Buffer.alloc(5)),
      400,
      'binary_data_size: expected 5',
    ],
    [
      'bytes that nobody stated',
      ...binary({ inputs: [{ ...image, data: PIXELS }] }, Buffer.alloc(5)),
      400,
      'binary_data_size: expected 5',
    ],
    [
      'an element with a wrong length',
      ...binary({ inputs: [{ ...encoded, parameters: { binary_data_size: 8 } }] }, Buffer.alloc(8, 255)),
      400,
      '4 bytes with the length 4',
    ],
    [
      'a header beyond the body',
      { inputs: [] },
      { 'inference-header-content-length': '99999' },
      400,
      'Inference-Header-Content-Length',
    ],
    [
      'a header that is no number',
      { inputs: [] },
      { 'inference-header-content-length': '-1' },
      400,
      'Inference-Header-Content-Length',
    ],
    ['a packed body', { inputs: [] }, { 'content-encoding': 'deflate' }, 400, 'Content-Encoding'],
    ['more JSON than it parses', Buffer.alloc(512 * 1024 + 1, ' '), {}, 413, 'send the tensor as binary data'],
  ];
  it.each(bad)('refuses %s', async (_, body, headers, status, message) => {
    const { port, infer } = await open();
    const reply = await infer(body, headers);
    const { error } = (await reply.json()) as { error: string };
    expect([reply.status, error]).toEqual([status, expect.stringContaining(message)]);
    expect(port.asked).toEqual([]);
  });

  it('knows no other model and no other version', async () => {
    const { infer } = await open();
    for (const path of ['/v2/models/other/infer', '/v2/models/double/versions/3/infer']) {
      const reply = await infer({ inputs: [{ ...image, data: PIXELS }] }, {}, path);
      expect([reply.status, await reply.text()]).toEqual([422, expect.stringMatching(/^\{"error":".*MODEL_NOT_FOUND/)]);
    }
  });
});
