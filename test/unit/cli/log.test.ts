import { expect, it } from 'vitest';
import type { CliIo } from '../../../src/cli/cli-io.ts';
import { openLog } from '../../../src/cli/log.ts';
import { TextSink } from '../../support/text-sink.ts';

it('the text log shows the cause of an unexpected exception, with its stack and without credentials', () => {
  const stderr = new TextSink();
  const log = openLog({ stderr } as unknown as CliIo, 'text');
  const err = new TypeError('cannot read rtsp://user:secret@camera/1');
  log.error({ err, route: '/api/streams' }, 'a request failed unexpectedly');
  expect(stderr.text).toMatch(
    /error: a request failed unexpectedly: TypeError: cannot read rtsp:\/\/\*\*\*@camera\/1\n/,
  );
  expect(stderr.text).toMatch(/\n {8}at .*log\.test\.ts/);
  expect(stderr.text).not.toContain('secret');
});

it('the text log shows other lines as they are', () => {
  const stderr = new TextSink();
  openLog({ stderr } as unknown as CliIo, 'text').warn({ kind: 'sink-failed' }, 'sink jsonl-1 failed');
  expect(stderr.text).toMatch(/^\d\d:\d\d:\d\d {2}warning: sink jsonl-1 failed\n$/);
});
