import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { withoutHidden } from '../../../../src/base/core/hidden-values.ts';
import { redact } from '../../../../src/base/core/redact.ts';
import { SightlineError } from '../../../../src/base/errors/sightline-error.ts';
import { Admission } from '../../../../src/fleet/control/orders/admission.ts';
import { parsePipeline } from '../../../../src/serve/pipeline/load-pipeline.ts';
import { sourceText } from '../../../../src/settings/config/placeholders.ts';
import { temporaryFolder } from '../../../support/cli.ts';
import { makePipe } from '../../../support/made-pipe.ts';

const folder = temporaryFolder();
afterAll(() => folder.remove());

/** Written with another sign, since a dollar and a brace in a test would be taken for a mistake. */
const ref = (text: string): string => text.replaceAll('#{', '$'.concat('{'));

const parse = (parts: object, variables?: Readonly<Record<string, string>>) =>
  parsePipeline(JSON.stringify({ name: 'a', description: 'b', ...parts }), 'p.yaml', variables);
const source = (text: string, variables: Readonly<Record<string, string>> = {}) =>
  parse({ streams: [{ id: 'cam', source: ref(text) }] }, variables);
const resolved = (text: string, variables: Readonly<Record<string, string>> = {}): string =>
  sourceText(ref(text), source(text, variables).placeholders?.sources);
const file = (name: string, content: string): string => {
  const path = join(folder.path, name);
  writeFileSync(path, content);
  return path;
};
const complaintOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    const { code, message } = error as SightlineError;
    return `${code} ${message}`;
  }
  return 'accepted';
};

describe('a placeholder in a pipeline file', () => {
  it('stands for a variable or for what a file holds, without the line break at its end', () => {
    const path = file('password', 'pa55word\n');
    expect(resolved(`rtsp://#{env:CAM_USER}:#{file:${path}}@cam/1`, { CAM_USER: 'viewer-7' })).toBe(
      'rtsp://viewer-7:pa55word@cam/1',
    );
  });

  it('stays as it is written in the settings', () => {
    const text = 'rtsp://#{env:WRITTEN_USER}:#{env:WRITTEN_PASS}@cam/1';
    const { streams } = source(text, { WRITTEN_USER: 'somebody', WRITTEN_PASS: 'something' });
    expect(streams[0]!.source).toBe(ref(text));
  });

  it('can be escaped', () => {
    expect(resolved('rtsp://u:$#{env:X}@cam/1')).toBe(ref('rtsp://u:#{env:X}@cam/1'));
    expect(resolved('rtsp://#{env:ESCAPER}:a$#{b@cam/1', { ESCAPER: 'escaper' })).toBe(
      ref('rtsp://escaper:a#{b@cam/1'),
    );
  });

  it('is not looked for in the value of another one', () => {
    expect(resolved('rtsp://u:#{env:NESTED}@cam/1', { NESTED: ref('#{env:HOME}') })).toBe(
      ref('rtsp://u:#{env:HOME}@cam/1'),
    );
  });

  it.each([
    ['rtsp://#{env:ABSENT}@cam/1', 'streams[0].source: the environment variable ABSENT is not set'],
    ['rtsp://#{env:EMPTY}@cam/1', 'streams[0].source: #{env:EMPTY} is empty'],
    ['rtsp://#{env:A-B}@cam/1', 'streams[0].source: #{env:A-B}: expected a name of letters, digits and underscore'],
    ['rtsp://#{env:LINES}@cam/1', 'streams[0].source: #{env:LINES} holds a line break or another control character'],
    [
      'rtsp://#{vault:a}@cam/1',
      'streams[0].source: expected #{env:NAME} or #{file:PATH} ($#{ for a literal #{), received "#{"',
    ],
    ['rtsp://#{env:A', 'streams[0].source: expected #{env:NAME} or #{file:PATH} ($#{ for a literal #{), received "#{"'],
    ['#{file:/no/such/file}', 'streams[0].source: #{file:/no/such/file}: no such file'],
  ])('%s is refused with its place', (text, complaint) => {
    const variables = { EMPTY: '', LINES: 'one\ntwo', A: 'a' };
    expect(complaintOf(() => source(text, variables))).toBe(ref(`CONFIG_INVALID p.yaml: ${complaint}`));
  });

  it.skipIf(process.platform === 'win32')(
    'is refused if its file is a pipe, a folder, too large or empty',
    async () => {
      const pipe = await makePipe(join(folder.path, 'pipe'));
      mkdirSync(join(folder.path, 'folder'));
      const large = file('large', '');
      truncateSync(large, 2 ** 20);
      const paths = [pipe, join(folder.path, 'folder'), large, file('empty', '\n')];
      const complaints = paths.map((path) => complaintOf(() => source(`#{file:${path}}`)).replaceAll(path, 'PATH'));
      const start = ref('CONFIG_INVALID p.yaml: streams[0].source: #{file:PATH}');
      expect(complaints).toEqual([
        `${start}: it is a pipe, expected a regular file`,
        `${start}: it is a folder, expected a file`,
        `${start}: it has 1 MiB, at most 65536 bytes are read`,
        `${start} is empty`,
      ]);
    },
  );

  it('is refused where none is resolved, and a description may speak of one', () => {
    const text = ref('#{env:HOME}/results.jsonl');
    expect(complaintOf(() => parse({ sinks: [{ type: 'jsonl', path: text }] }, { HOME: '/root' }))).toBe(
      'CONFIG_INVALID p.yaml: sinks[0].path: expected no placeholder here; sources can have them, and the settings that docs/config.md names',
    );
    expect(parse({ description: text }).description).toBe(text);
  });
});

describe('a placeholder of a webhook', () => {
  const hook = (settings: object, variables: Readonly<Record<string, string>>) =>
    parse({ sinks: [{ type: 'webhook', url: 'http://127.0.0.1/', ...settings }] }, variables);

  it('stands for an address, a secret or the value of a header', () => {
    const [url, secret, header] = ['#{env:HOOK_URL}', '#{env:HOOK_SECRET}', 'Bearer #{env:HOOK_TOKEN}'].map(ref);
    const values = {
      HOOK_URL: 'https://hooks.example/x',
      HOOK_SECRET: '0123456789abcdef',
      HOOK_TOKEN: 'token-of-hook',
    };
    const { placeholders } = hook({ url, secret, headers: { Authorization: header } }, values);
    expect([url, secret, header].map((text) => placeholders?.sinks.get(text!))).toEqual([
      values.HOOK_URL,
      values.HOOK_SECRET,
      'Bearer token-of-hook',
    ]);
  });

  it.each([
    [{ url: '#{env:VALUE}' }, 'sinks[0].url: expected an http or https URL after the placeholders are resolved'],
    [
      { secret: '#{env:VALUE}' },
      'sinks[0].secret: expected at least 16 characters after the placeholders are resolved',
    ],
    [{ secret: 'too-short' }, 'sinks[0].secret: expected at least 16 characters, received 9 characters'],
    [{ url: 'ftp://a' }, 'sinks[0].url: expected an http or https URL, received "ftp://a" (string)'],
  ])('%j is checked once it is resolved', (settings, complaint) => {
    const written = JSON.parse(ref(JSON.stringify(settings))) as object;
    expect(complaintOf(() => hook(written, { VALUE: 'ftp://value' }))).toBe(`CONFIG_INVALID p.yaml: ${complaint}`);
  });

  it('refuses headers that the sink sets itself, and shows no value of a header', () => {
    expect(complaintOf(() => hook({ headers: { Host: 'a' } }, {}))).toContain(
      'expected names of letters, digits and dashes, and none that the sink sets itself',
    );
    const complaint = complaintOf(() => hook({ headers: { 'X-Key': 'very-secret\n' } }, {}));
    expect(complaint).toContain('expected no control characters, received 12 characters');
    expect(complaint).not.toContain('very-secret');
  });
});

describe('the value of a placeholder', () => {
  const url = 'rtsp://keeper:lighthouse@harbour.example:8554/quay/7?key=seagull';

  it('is replaced by its placeholder in errors and redacted texts, whole and in parts', () => {
    expect(resolved('#{env:HARBOUR_URL}', { HARBOUR_URL: url })).toBe(url);
    const shown = ref('#{env:HARBOUR_URL}');
    for (const text of [url, 'lighthouse', 'GET ?key=seagull failed', encodeURIComponent(url)]) {
      expect(withoutHidden(text)).not.toMatch(/lighthouse|harbour|seagull/);
      expect(withoutHidden(text)).toContain(shown);
    }
    const error = new SightlineError('SOURCE_UNREACHABLE', `${url}: no answer`, { password: 'lighthouse' });
    expect(error.message).toBe(`${shown}: no answer`);
    expect(error.details).toEqual({ password: shown });
    expect(redact(`the source ${url}`)).toBe(`the source ${shown}`);
  });

  it('hides neither its host nor its plain path: others have them too', () => {
    const webhook = 'http://127.0.0.1:9000/live?key=cormorant';
    resolved('#{env:SHORE_URL}', { SHORE_URL: webhook });
    resolved('rtsp://#{env:SHORE_HOST}/1', { SHORE_HOST: '127.0.0.2:8554' });
    resolved('rtsp://#{env:SHORE_NAME}:8554/1', { SHORE_NAME: 'shore.example' });
    resolved('#{env:SHORE_ORIGIN}', { SHORE_ORIGIN: 'http://127.0.0.3:9000' });
    const texts = [
      'rtsp://127.0.0.1:8554/live',
      'nothing answers at 127.0.0.2:8554',
      'shore.example',
      'http://127.0.0.3:9000/a',
    ];
    for (const text of texts) expect(redact(text)).toBe(text);
    for (const text of [webhook, 'POST /live?key=cormorant']) expect(withoutHidden(text)).not.toContain('cormorant');
  });

  it('hides parts of its path that look like a key', () => {
    resolved('#{env:KEYED_URL}', { KEYED_URL: 'https://hooks.example/services/8c2f6a14-77aa-4a6b-9d7e-0b5f3f7f2a11' });
    expect(withoutHidden('POST /services/8c2f6a14-77aa-4a6b-9d7e-0b5f3f7f2a11')).toBe(
      `POST /services/${ref('#{env:KEYED_URL}')}`,
    );
  });

  it('is hidden where JSON or a URL writes it differently', () => {
    resolved('rtsp://u:#{env:QUOTED}@cam/1', { QUOTED: 'say "cheese" & smile' });
    expect(withoutHidden(JSON.stringify({ a: 'say "cheese" & smile' }))).not.toContain('cheese');
    expect(withoutHidden(`password=${encodeURIComponent('say "cheese" & smile')}`)).not.toContain('cheese');
  });
});

describe('redaction', () => {
  it.each([
    ['rtsp://#{env:U}:#{env:P}@cam/1', 'rtsp://#{env:U}:#{env:P}@cam/1'],
    ['rtsp://admin:#{file:/run/secrets/cam}@cam/1', 'rtsp://admin:#{file:/run/secrets/cam}@cam/1'],
    ['http://cam/a?pwd=#{env:P}&x=1', 'http://cam/a?pwd=#{env:P}&x=***'],
    ['rtsp://admin:pa55#{env:P}@cam/1', 'rtsp://***@cam/1'],
    ['rtsp://a:b@x:#{env:P}@cam/1', 'rtsp://***@cam/1'],
  ])('of %s shows placeholders and no password beside them', (text, shown) => {
    expect(redact(ref(text))).toBe(ref(shown));
  });
});

describe('a placeholder that comes over the network', () => {
  const rules = { roots: [folder.path], schemes: ['rtsp' as const, 'file' as const], networks: ['0.0.0.0/0'] };

  it('is refused: it would read the environment or a file of this host', async () => {
    const admission = new Admission(rules);
    for (const text of ['rtsp://attacker/#{env:PATH}', '#{file:/etc/passwd}', 'rtsp://x/#{'])
      await expect(admission.source(ref(text))).rejects.toMatchObject({ code: 'SOURCE_FORBIDDEN' });
  });

  it('is admitted only as the pipeline file has it, by what it stands for', async () => {
    const path = file('own.mp4', '');
    const { placeholders } = source('#{env:OWN_CLIP}', { OWN_CLIP: path });
    const admission = new Admission({ ...rules, placeholders });
    await admission.source(ref('#{env:OWN_CLIP}'));
    await expect(admission.source(ref('#{env:OWN_CLIP}?'))).rejects.toMatchObject({ code: 'SOURCE_FORBIDDEN' });
    const outside = new Admission({ ...rules, roots: ['/nowhere'], placeholders });
    await expect(outside.source(ref('#{env:OWN_CLIP}'))).rejects.toMatchObject({
      code: 'SOURCE_FORBIDDEN',
      message: expect.not.stringContaining('own.mp4'),
    });
  });
});
