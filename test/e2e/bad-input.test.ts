import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cli, temporaryFolder } from '../support/cli.ts';
import { cliHere } from '../support/cli-here.ts';
import { VideoFolder } from '../support/made-videos.ts';

/** Typical user mistakes with the expected exit code and message on standard error. */
interface Mistake {
  readonly what: string;
  readonly args: (place: { folder: string; clip: string; port: number }) => readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly code: 1 | 2;
  readonly says: RegExp;
  /** Also given to the built command line: one for each way to end. */
  readonly isProcess?: true;
}

const PIPELINE = 'name: p\ndescription: d\nmodel: { engine: fake }\n';

const MISTAKES: readonly Mistake[] = [
  {
    what: 'an unknown command',
    args: () => ['detekt'],
    code: 2,
    says: /unknown command 'detekt'\n\(Did you mean detect\?\)/,
    isProcess: true,
  },
  {
    what: 'an unknown flag',
    args: () => ['detect', 'a.mp4', '--modle', 'x'],
    code: 2,
    says: /unknown option '--modle'\n\(Did you mean --model\?\)/,
  },
  {
    what: 'a filter graph that writes a file',
    args: ({ folder }) => [
      'detect',
      `synthetic:testsrc2=size=64x64,metadata=mode=add:key=x:value=y,metadata=mode=print:file=${folder}/written.txt`,
      '--engine',
      'fake',
    ],
    code: 2,
    says: /option size: expected a size such as 1280x720.* \[SOURCE_FORBIDDEN\]/,
  },
  { what: 'no input at all', args: () => ['detect'], code: 2, says: /missing required argument 'input'/ },
  {
    what: 'a wrong engine',
    args: () => ['detect', 'a.mp4', '--engine', 'gpu'],
    code: 2,
    says: /argument 'gpu' is invalid. Allowed choices are auto, .*openvino/,
  },
  {
    what: 'a wrong input size',
    args: ({ clip }) => ['detect', clip, '--input-size', 'big'],
    code: 2,
    says: /model: inputSize: expected WIDTHxHEIGHT, as in 480x256, received "big" \(string\) \[CONFIG_INVALID\]/,
  },
  {
    what: 'a score out of range',
    args: ({ clip }) => ['detect', clip, '--min-score', '7'],
    code: 2,
    says: /model: scoreThreshold: expected .*1, received 7 \(number\)/,
  },
  {
    what: 'every 0th frame',
    args: ({ clip }) => ['detect', clip, '--engine', 'fake', '--every', '0'],
    code: 2,
    says: /stream: every: expected .*1.*, received 0 \(number\)/,
  },
  {
    what: 'an unknown model',
    args: ({ clip }) => ['detect', clip, '--model', 'yolox'],
    code: 2,
    says: /model yolox: no manifest has this name. Did you mean yolox-s\? Known: centernet/,
  },
  {
    what: 'a missing manifest',
    args: ({ clip }) => ['detect', clip, '--model', './no.yaml'],
    code: 2,
    says: /no\.yaml.*\[MODEL_NOT_FOUND\]/,
  },
  {
    what: 'a missing file',
    args: () => ['detect', 'no-such.mp4', '--engine', 'fake'],
    code: 1,
    says: /error: no-such\.mp4: no such file \[SOURCE_NOT_FOUND\]/,
  },
  {
    what: 'a folder without videos',
    args: ({ folder }) => ['detect', join(folder, 'empty'), '--engine', 'fake'],
    code: 1,
    says: /empty: no video or picture in this folder \(looked for mp4, .*\) \[SOURCE_EMPTY\]/,
  },
  {
    what: 'a pattern that matches nothing',
    args: ({ folder }) => ['detect', `${folder}/*.mkv`, '--engine', 'fake'],
    code: 1,
    says: /\*\.mkv: no file matches this pattern \[SOURCE_EMPTY\]/,
  },
  {
    what: 'a text file',
    args: ({ folder }) => ['detect', join(folder, 'text.mp4'), '--engine', 'fake'],
    code: 1,
    says: /text\.mp4: it is not a video.*\[SOURCE_UNREADABLE\]/,
    isProcess: true,
  },
  {
    what: 'an unreachable camera',
    args: ({ port }) => ['detect', `rtsp://admin:s3cret@127.0.0.1:${port + 1}/cam`, '--engine', 'fake'],
    code: 1,
    says: /rtsp:\/\/\*\*\*@127\.0\.0\.1:\d+\/cam: 127\.0\.0\.1:\d+: connection refused \[SOURCE_UNREACHABLE\]/,
  },
  {
    what: 'an unreachable server',
    args: ({ port }) => ['detect', `http://127.0.0.1:${port + 1}/a.mp4?token=s3cret`, '--engine', 'fake'],
    code: 1,
    says: /a\.mp4\?token=\*\*\*: 127\.0\.0\.1:\d+: connection refused \[SOURCE_UNREACHABLE\]/,
  },
  {
    what: 'ffmpeg missing',
    args: ({ clip }) => ['detect', clip, '--engine', 'fake'],
    env: { FFMPEG_PATH: '/no/ffmpeg' },
    code: 1,
    says: /ffmpeg at \/no\/ffmpeg \(found by setting\) cannot be run: .*ENOENT \[FFMPEG_MISSING\]/,
  },
  {
    what: 'a missing results folder',
    args: ({ folder, clip }) => ['detect', clip, '--engine', 'fake', '--out', join(folder, 'no/r.jsonl')],
    code: 1,
    says: /cannot write .*no\/r\.jsonl: the folder .*no does not exist; create it first.*\[SINK_FAILED\]/,
  },
  {
    what: 'a file where the results folder should be',
    args: ({ folder, clip }) => ['detect', clip, '--engine', 'fake', '--out', join(folder, 'text.mp4/r.jsonl')],
    code: 1,
    says: /cannot write .*text\.mp4\/r\.jsonl.*\[SINK_FAILED\]/,
  },
  {
    // The kernel refuses writes to /sys, even for root.
    what: 'a results file that is not writable',
    args: ({ clip }) => ['detect', clip, '--engine', 'fake', '--out', '/sys/r.jsonl'],
    code: 1,
    says: /cannot write \/sys\/r\.jsonl: .*(permission|does not permit).*\[SINK_FAILED\]/i,
  },
  {
    what: 'a full disk',
    args: ({ clip }) => ['detect', clip, '--engine', 'fake', '--out', '/dev/full'],
    code: 1,
    says: /cannot write \/dev\/full: no space is left on the disk; .*(?:\d|10) results? (?:was|were) lost \[SINK_FAILED\]/,
    isProcess: true,
  },
  {
    what: 'two documents on standard output',
    args: ({ clip }) => ['detect', clip, '--json', '--out', '-'],
    code: 2,
    says: /--json and --out - both write to standard output/,
  },
  {
    what: 'a missing pipeline',
    args: () => ['run', 'no.yaml'],
    code: 2,
    says: /no\.yaml: no such file \[CONFIG_NOT_FOUND\]/,
  },
  {
    what: 'a folder as a pipeline',
    args: ({ folder }) => ['run', folder],
    code: 2,
    says: /it is a folder, expected a file \[CONFIG_NOT_FOUND\]/,
  },
  {
    what: 'a wrong value in a pipeline',
    args: ({ folder }) => ['run', join(folder, 'value.yaml')],
    code: 2,
    says: /value\.yaml: batch\.maxDelayMs: expected a number.*, received "4ms" \(string\) \[CONFIG_INVALID\]/,
  },
  {
    what: 'a misspelt key in a pipeline',
    args: ({ folder }) => ['run', join(folder, 'key.yaml')],
    code: 2,
    says: /key\.yaml: streams\[0\]\.maxFPS: unknown key; did you mean "maxFps"\? \[CONFIG_INVALID\]/,
  },
  {
    what: 'a pipeline that is not valid YAML',
    args: ({ folder }) => ['run', join(folder, 'syntax.yaml')],
    code: 2,
    says: /syntax\.yaml: line 3, column \d+: not valid YAML/,
  },
  {
    what: 'a pipeline without any existing source',
    args: ({ folder }) => ['run', join(folder, 'source.yaml')],
    code: 1,
    says: /gone\.mp4: no such file \[SOURCE_NOT_FOUND\]/,
  },
  {
    what: 'a port in use',
    args: ({ folder, port }) => ['run', join(folder, 'good.yaml'), '--port', `${port}`],
    code: 1,
    says: /port \d+.*\[PORT_IN_USE\]/,
    isProcess: true,
  },
  {
    what: 'an invalid port',
    args: ({ folder }) => ['run', join(folder, 'good.yaml'), '--port', '99999'],
    code: 2,
    says: /--port: expected a whole number from 0 to 65535/,
  },
  {
    what: 'listening on all addresses without a token',
    args: ({ folder }) => ['run', join(folder, 'good.yaml'), '--host', '0.0.0.0', '--port', '0'],
    env: { SIGHTLINE_TOKEN: '' },
    code: 2,
    says: /token.*\[TOKEN_REQUIRED\]/i,
  },
  {
    what: 'an output of another format',
    args: ({ clip }) => ['detect', clip, '--out', 'r.xml'],
    code: 2,
    says: /--out: expected a folder \(DIR\/\) or a name that ends in \.jsonl, \.jsonl\.gz, .*\.csv, \.mot\.txt, received "r\.xml" \[COMMAND_INVALID\]/,
  },
  {
    what: 'one JSON document as an output of lines',
    args: ({ clip }) => ['detect', clip, '--out', 'r.json.gz'],
    code: 2,
    says: /received "r\.json\.gz" \(--coco writes one JSON document\)/,
  },
  {
    what: 'a mistyped scheme',
    args: () => ['detect', 'rstp://user:secret@camera/1', '--engine', 'fake'],
    code: 2,
    says: /"rstp:\/\/\*\*\*@camera\/1": "rstp:\/\/" is not a kind of source; did you mean rtsp:\/\/\? \[CONFIG_INVALID\]/,
  },
  {
    what: 'missing annotations',
    args: () => ['score', 'no.json', 'no.json'],
    code: 2,
    says: /no\.json.*\[DATASET_INVALID\]/,
  },
  {
    what: 'results that are not in COCO format',
    args: ({ folder }) => ['score', join(folder, 'coco.json'), join(folder, 'text.mp4')],
    code: 2,
    says: /text\.mp4.*\[DATASET_INVALID\]/,
  },
  {
    what: 'bench with too many streams',
    args: ({ clip }) => ['bench', clip, '--streams', '0'],
    code: 2,
    says: /--streams: expected a whole number from 1 to 256/,
  },
  {
    what: 'bench without measuring time',
    args: ({ clip }) => ['bench', clip, '--seconds', '0'],
    code: 2,
    says: /--seconds: expected a number above 0, up to 3600/,
  },
  {
    what: 'bench with a negative warm-up',
    args: ({ clip }) => ['bench', clip, '--warm-up=-1'],
    code: 2,
    says: /--warm-up: expected a number from 0 to 3600/,
  },
];

describe('wrong input is answered with a clear message and the right exit code:', () => {
  const temporary = temporaryFolder();
  const videos = new VideoFolder();
  const blocker: Server = createServer();
  let place: { folder: string; clip: string; port: number };

  beforeAll(async () => {
    const folder = temporary.path;
    mkdirSync(join(folder, 'empty'));
    writeFileSync(join(folder, 'text.mp4'), 'hello');
    writeFileSync(join(folder, 'coco.json'), '{"images":[],"annotations":[],"categories":[]}');
    writeFileSync(join(folder, 'good.yaml'), `${PIPELINE}streams: []\n`);
    writeFileSync(join(folder, 'value.yaml'), `${PIPELINE}batch: { maxDelayMs: "4ms" }\n`);
    writeFileSync(join(folder, 'key.yaml'), `${PIPELINE}streams: [{ id: a, source: b.mp4, maxFPS: 5 }]\n`);
    writeFileSync(join(folder, 'syntax.yaml'), 'name: p\ndescription: [d\nmodel: }\n');
    writeFileSync(join(folder, 'source.yaml'), `${PIPELINE}streams: [{ id: a, source: gone.mp4 }]\n`);
    await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve));
    place = {
      folder,
      clip: await videos.make('clip.mp4', { frames: 10 }),
      port: (blocker.address() as { port: number }).port,
    };
  });

  afterAll(() => {
    blocker.close();
    temporary.remove();
    videos.remove();
  });

  it.each(MISTAKES)('$what', async ({ args, env, code, says, isProcess }) => {
    for (const run of isProcess ? [cliHere, cli] : [cliHere]) {
      const result = await run(args(place), env);
      expect(result.stderr).toMatch(says);
      expect(result.code).toBe(code);
      expect(result.stderr + result.stdout).not.toContain('s3cret');
      expect(result.stderr).not.toMatch(/\n\s+at .*\.[jt]s:\d+/);
    }
  });
});
