import type { ChildProcess } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { hasOpenssl, TestAuthority } from '../support/certificates.ts';
import { type CliResult, cli, ended, startCli, temporaryFolder } from '../support/cli.ts';
import { cliHere } from '../support/cli-here.ts';
import { waitFor, within } from '../support/wait-for.ts';

const ENVIRONMENT_TOKEN = 'an administrator of the environment';

interface Answer {
  readonly status: number;
  readonly text: string;
}

describe.skipIf(!hasOpenssl)('a host with TLS and tokens, as a process', () => {
  const folder = temporaryFolder();
  const path = (name: string): string => join(folder.path, name);
  const tokensFile = path('tokens.json');
  const tokens: Record<string, string> = {};
  let authority: TestAuthority;
  let child: ChildProcess;
  let result: Promise<CliResult>;
  let url: string;
  let log = '';

  async function addToken(name: string, role: string, ...more: string[]): Promise<string> {
    const { code, stdout, stderr } = await cliHere([
      'tokens',
      'add',
      name,
      '--role',
      role,
      '--file',
      tokensFile,
      ...more,
    ]);
    expect([code, stderr]).toEqual([0, expect.stringContaining('only time that the token is shown')]);
    tokens[name] = stdout.trim();
    return tokens[name];
  }

  function installCertificate(): void {
    const { cert, key } = authority.make();
    writeFileSync(path('cert.pem'), cert);
    writeFileSync(path('key.pem'), key);
  }

  beforeAll(async () => {
    authority = new TestAuthority();
    installCertificate();
    for (const role of ['metrics', 'viewer', 'operator', 'admin']) await addToken(role, role);
    const pipeline = {
      name: 'gate',
      description: 'A gate.',
      model: { engine: 'fake', inputSize: '160x96', threads: 1, fake: { callMs: 5 } },
      streams: [{ id: 'gate', source: 'synthetic:testsrc2=size=160x96:rate=10' }],
      lanes: 1,
      fleet: { capacityFps: 100, roots: [folder.path], schemes: ['rtsp', 'synthetic'] },
      gateway: {
        tokensFile,
        tls: { cert: path('cert.pem'), key: path('key.pem') },
        allowedOrigins: ['https://video.example'],
        trustedProxies: ['127.0.0.1'],
        audit: { path: path('audit.jsonl') },
      },
    };
    writeFileSync(path('gate.yaml'), JSON.stringify(pipeline));
    child = startCli(['host', path('gate.yaml'), '--port', '0'], {
      SIGHTLINE_TOKEN: ENVIRONMENT_TOKEN,
      REDIS_URL: '',
      SIGHTLINE_CACHE_DIR: path('cache'),
    });
    result = ended(child);
    child.stderr!.on('data', (chunk: Buffer) => {
      log += chunk.toString();
    });
    const live = (): string | undefined => /live at (https:\S+)/.exec(log)?.[1];
    await waitFor(
      'the start of the host',
      () => live() !== undefined,
      { deadlineMs: 60_000 },
      () => log,
    );
    url = live()!;
    await waitFor(
      'the stream',
      async () => (await ask('GET', '/api/streams/gate', tokens.viewer)).status === 200,
      { deadlineMs: 30_000 },
      () => log,
    );
  });

  afterAll(async () => {
    child.kill('SIGTERM');
    await within('the end of the host', 30_000, result);
    authority.remove();
    folder.remove();
  });

  function ask(method: string, target: string, token?: string, headers: Record<string, string> = {}): Promise<Answer> {
    const all = { ...(token === undefined ? {} : { authorization: `Bearer ${token}` }), ...headers };
    return new Promise((resolve, reject) => {
      const sent = request(url + target, { method, headers: all, ca: authority.ca, agent: false }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode!, text }));
      });
      sent.on('error', reject);
      sent.end();
    });
  }

  async function openFeed(token: string, headers = {}): Promise<{ socket: WebSocket; closed: Promise<number> }> {
    const socket = new WebSocket(`${url.replace('https', 'wss')}/ws`, {
      ca: authority.ca,
      headers: { authorization: `Bearer ${token}`, ...headers },
    });
    const closed = new Promise<number>((resolve) => socket.once('close', resolve));
    await new Promise((resolve, reject) => {
      socket.once('message', resolve);
      socket.once('error', reject);
    });
    return { socket, closed };
  }

  const auditText = (): string =>
    ['audit.jsonl', 'audit-visits.jsonl']
      .filter((file) => existsSync(path(file)))
      .map((file) => readFileSync(path(file), 'utf8'))
      .join('');
  const auditLines = (): { who: string | null; action: string; status?: number; address?: string }[] =>
    auditText()
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));

  it.each([
    ['metrics', [200, 403, 403, 403, 403, 403]],
    ['viewer', [200, 200, 200, 403, 403, 403]],
    ['operator', [200, 200, 200, 200, 403, 403]],
    // There is no host "none" and no roll-out: admin gets as far as that.
    ['admin', [200, 200, 200, 200, 404, 404]],
  ] as const)(
    '%s may do what its role says: metrics, page, reading, changing, draining, roll-outs',
    async (role, expected) => {
      const token = tokens[role];
      const answers = [
        await ask('GET', '/metrics', token),
        await ask('GET', '/', token),
        await ask('GET', '/api/streams', token),
        await ask('PATCH', '/api/streams/gate', token, { 'content-type': 'application/json' }),
        await ask('POST', '/api/hosts/none/drain', token),
        await ask('POST', '/api/rollouts/abort', token),
      ];
      // A change without a body is refused as such, after the role.
      expect(answers.map(({ status }) => (status === 400 ? 200 : status))).toEqual(expected);
    },
  );

  it('takes the token of the environment as an administrator, and nothing without a token', async () => {
    expect((await ask('POST', '/api/hosts/none/drain', ENVIRONMENT_TOKEN)).status).toBe(404);
    for (const target of ['/', '/api/streams', '/metrics', '/app.js'])
      expect([target, (await ask('GET', target)).status]).toEqual([target, 401]);
    expect((await ask('GET', '/healthz')).status).toBe(200);
    expect((await ask('GET', '/readyz')).status).toBe(200);
  });

  it('keeps hashes only: no token is in the file', () => {
    const text = readFileSync(tokensFile, 'utf8');
    for (const token of Object.values(tokens)) expect(text).not.toContain(token);
    expect(JSON.parse(text).tokens).toHaveLength(4);
  });

  it('closes the feed of a token that is removed while it runs, of one that expires, and of no other', async () => {
    const removed = await openFeed(await rotated(() => addToken('removed', 'viewer')));
    // Long enough for a slow machine to add the token and open the feed.
    const soon = new Date(Date.now() + 25_000).toISOString();
    const expiring = await openFeed(await rotated(() => addToken('expiring', 'viewer', '--expires', soon)));
    const staying = await openFeed(tokens.viewer!);

    const { code } = await cliHere(['tokens', 'remove', 'removed', '--file', tokensFile]);
    expect(code).toBe(0);
    expect(await within('the close of the removed token', 15_000, removed.closed)).toBe(4401);
    expect(await within('the close of the expired token', 60_000, expiring.closed)).toBe(4401);
    expect((await ask('GET', '/api/streams', tokens.removed)).status).toBe(401);
    expect((await ask('GET', '/api/streams', tokens.expiring)).text).toContain('which has expired');
    expect(staying.socket.readyState).toBe(WebSocket.OPEN);
    staying.socket.terminate();
  });

  /** Adds a token and waits until the gateway knows it. */
  async function rotated(add: () => Promise<string>): Promise<string> {
    const token = await add();
    await waitFor('the new token', async () => (await ask('GET', '/api/streams', token)).status === 200);
    return token;
  }

  it('follows a new certificate, and goes on with it after a broken one', async () => {
    writeFileSync(path('cert.pem'), 'broken');
    await waitFor(
      'the warning',
      () => log.includes('previous certificate stays in use'),
      {},
      () => log,
    );
    expect((await ask('GET', '/healthz')).status).toBe(200);
    installCertificate();
    await waitFor(
      'the new certificate',
      () => log.includes('The certificate was read again'),
      {},
      () => log,
    );
    expect((await ask('GET', '/healthz')).status).toBe(200);
    const events = await ask('GET', '/api/events', tokens.viewer);
    expect(events.text).toMatch(/access-failed[\s\S]*access-changed/);
  });

  it('refuses foreign origins, and lets in those of the configuration', async () => {
    const evil = { origin: 'https://evil.example' };
    expect((await ask('POST', '/api/streams/gate/resume', tokens.operator, evil)).status).toBe(403);
    await expect(openFeed(tokens.viewer!, evil)).rejects.toThrow('403');
    const { socket } = await openFeed(tokens.viewer!, { origin: 'https://video.example' });
    socket.terminate();
  });

  it('serves the commands over https, with the authority in a flag or in NODE_EXTRA_CA_CERTS', async () => {
    writeFileSync(path('operator.token'), `${tokens.operator}\n`);
    writeFileSync(path('camera'), 'rtsp://user:hunter2@192.0.2.1/1\n');
    const flags = ['--url', url, '--token-file', path('operator.token'), '--ca', authority.caPath];
    const run = async (...args: string[]): Promise<CliResult> => cliHere([...args, ...flags], { REDIS_URL: '' });

    const added = await run('streams', 'add', 'yard', `@${path('camera')}`);
    expect(added).toMatchObject({ code: 0, stdout: expect.stringContaining('yard is added') });
    const listed = await run('streams', 'list', '--json');
    expect(JSON.parse(listed.stdout)).toMatchObject({
      hosts: [{ pipeline: 'gate', url }],
      streams: [{ id: 'gate' }, { id: 'yard', source: 'rtsp://***@192.0.2.1/1' }],
    });
    expect(await run('streams', 'remove', 'yard')).toMatchObject({ code: 0 });
    expect(await run('streams', 'drain', 'none')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('[FORBIDDEN]'),
    });
    expect(await run('jobs')).toMatchObject({ code: 0, stdout: expect.stringContaining('No jobs') });
    expect(await run('jobs', 'none')).toMatchObject({ code: 1, stderr: expect.stringContaining('[JOB_NOT_FOUND]') });
    expect(await run('rollout', 'history')).toMatchObject({ code: 0 });
    expect(await run('models', 'versions')).toMatchObject({ code: 0 });
    writeFileSync(path('clip.mp4'), 'no video');
    const submitted = await run('submit', path('clip.mp4'), '--out', path('results'), '--id', 'night', '--json');
    expect(JSON.parse(submitted.stdout)).toMatchObject({ report: { id: 'night', inputs: 1 } });
    expect(await run('jobs', 'night', '--cancel')).toMatchObject({ code: 0 });

    const trusted = { NODE_EXTRA_CA_CERTS: authority.caPath, SIGHTLINE_TOKEN: tokens.viewer!, REDIS_URL: '' };
    expect(await cli(['rollout', 'history', '--url', url], trusted)).toMatchObject({ code: 0 });
    const untrusted = await cli(['rollout', 'history', '--url', url], { SIGHTLINE_TOKEN: tokens.viewer! });
    expect(untrusted).toMatchObject({ code: 1, stderr: expect.stringContaining('certificate') });
  });

  it('slows down guesses from one address, as a trusted proxy names it, and not from others', async () => {
    const from = (address: string): Record<string, string> => ({ 'x-forwarded-for': address });
    await waitFor(
      'a refusal',
      async () => (await ask('GET', '/api/streams', 'a guess', from('198.51.100.1'))).status === 429,
    );
    expect((await ask('GET', '/api/streams', 'a guess', from('198.51.100.2'))).status).toBe(401);
    expect((await ask('GET', '/api/streams', tokens.viewer)).status).toBe(200);
  });

  it('records who did what, with the names of the tokens', async () => {
    await ask('POST', '/api/streams/gate/pause', tokens.operator);
    await waitFor('the line', () => auditLines().some(({ action }) => action === 'POST /api/streams/:id/pause'));
    const lines = auditLines();
    expect(lines.find(({ action }) => action === 'POST /api/streams/:id/pause')).toMatchObject({ who: 'operator' });
    expect(lines.find(({ action, status }) => action === 'GET /ws' && status === 101)).toMatchObject({
      who: 'removed',
    });
    expect(lines.find(({ action }) => action === 'feed closed')).toMatchObject({ who: 'removed' });
    expect(lines.some(({ address, status }) => address === '198.51.100.1' && status === 401)).toBe(true);
    const text = auditText();
    for (const secret of [...Object.values(tokens), 'hunter2', ENVIRONMENT_TOKEN]) expect(text).not.toContain(secret);
    expect(log).not.toContain('hunter2');
  });
});

describe('secrets', () => {
  const folder = temporaryFolder();
  afterAll(() => folder.remove());

  it.each([
    [
      '--token with a value',
      ['rollout', 'status', '--token', 's3cret-s3cret-s3cret'],
      /--token-file FILE.*COMMAND_INVALID/,
    ],
    ['--token=', ['loadtest', '--fleet', '--token=s3cret-s3cret-s3cret'], /--token-file FILE.*COMMAND_INVALID/],
    ['a Redis with a password', ['jobs', '--redis', 'redis://:s3cret@127.0.0.1:1'], /REDIS_URL.*COMMAND_INVALID/],
    ['the same with =', ['jobs', '--redis=redis://:s3cret@127.0.0.1:1'], /REDIS_URL.*COMMAND_INVALID/],
    ['a file that is missing', ['jobs', '--redis', '@/no/such'], /@\/no\/such: expected a file.*COMMAND_INVALID/],
  ])('on the command line are refused without being repeated: %s', async (_, args, message) => {
    const { code, stderr, stdout } = await cliHere(args);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr.replaceAll('\n', ' ')).toMatch(message);
    expect(stderr).not.toContain('s3cret');
  });

  it('in a file stand for an argument', async () => {
    const file = join(folder.path, 'redis');
    writeFileSync(file, 'redis://:s3cret@127.0.0.1:1\n');
    const { code, stderr } = await cli(['jobs', '--redis', `@${file}`]);
    expect([code, stderr]).toEqual([1, expect.stringContaining('[CONTROL_UNREACHABLE]')]);
    expect(stderr).not.toContain('s3cret');
  });

  it('in the source of a camera are warned of', async () => {
    const { stderr } = await cliHere(['detect', 'rtsp://user:s3cret@127.0.0.1:1/cam', '--engine', 'fake']);
    expect(stderr).toMatch(/warning: rtsp:\/\/\*\*\*@127\.0\.0\.1:1\/cam: a password on the command line/);
    expect(stderr).not.toContain('s3cret');
  });

  it('that are too short do not start a gateway', async () => {
    const pipeline = join(folder.path, 'gate.yaml');
    writeFileSync(pipeline, JSON.stringify({ name: 'gate', description: 'A gate.', model: { engine: 'fake' } }));
    for (const host of ['0.0.0.0', '127.0.0.1']) {
      const { code, stderr } = await cli(['run', pipeline, '--port', '0', '--host', host], {
        SIGHTLINE_TOKEN: 'short',
      });
      expect([code, stderr]).toEqual([
        2,
        expect.stringContaining('SIGHTLINE_TOKEN: expected at least 16 random characters, received 5'),
      ]);
    }
  });
});

describe('sightline tokens', () => {
  const folder = temporaryFolder();
  const file = join(folder.path, 'tokens.json');
  afterAll(() => folder.remove());
  const run = (...args: string[]): Promise<CliResult> => cliHere(['tokens', ...args], { SIGHTLINE_TOKENS_FILE: file });

  it('adds, lists and removes', async () => {
    const added = await run('add', 'anna', '--role', 'operator', '--expires', '30d', '--json');
    const document = JSON.parse(added.stdout);
    expect(document).toMatchObject({
      name: 'anna',
      role: 'operator',
      file,
      token: expect.stringMatching(/^sightline_.{43}$/),
    });
    const days = (Date.parse(document.expiresAt) - Date.parse(document.createdAt)) / 86_400_000;
    expect(days).toBe(30);
    expect(await run('add', 'ben', '--role', 'metrics')).toMatchObject({ code: 0 });

    const listed = await run('list');
    expect(listed.stdout).toMatch(/anna +operator +\S+ +until 20\S+\nben +metrics +\S+ +never expires/);
    expect(listed.stdout + (await run('list', '--json')).stdout).not.toMatch(/hash|[0-9a-f]{64}|sightline_/);

    expect(await run('remove', 'anna')).toMatchObject({ code: 0 });
    expect((await run('list')).stdout).not.toContain('anna');
  });

  it.each([
    ['no role', ['add', 'x'], /--role/],
    ['an unknown role', ['add', 'x', '--role', 'root'], /metrics, viewer, operator, admin/],
    ['a name twice', ['add', 'ben', '--role', 'viewer'], /has a token "ben" already/],
    ['a name with spaces', ['add', 'a b', '--role', 'viewer'], /expected a name of letters/],
    ['the name of the other token', ['add', 'SIGHTLINE_TOKEN', '--role', 'viewer'], /other than SIGHTLINE_TOKEN/],
    [
      'a time that has passed',
      ['add', 'x', '--role', 'viewer', '--expires', '2020-01-01'],
      /expected a time in the future/,
    ],
    ['no time', ['add', 'x', '--role', 'viewer', '--expires', 'soon'], /expected a time in the future/],
    ['a name that is not there', ['remove', 'nobody'], /has no token "nobody"; it has ben/],
  ])('refuses %s', async (_, args, message) => {
    const { code, stderr } = await run(...args);
    expect([code, stderr.replaceAll('\n', ' ')]).toEqual([2, expect.stringMatching(message)]);
  });
});
