import { describe, expect, it } from 'vitest';
import { VideoSink } from '../../../../src/after/sinks/video-sink.ts';
import { testFfmpeg } from '../../../support/made-videos.ts';
import { waitFor } from '../../../support/wait-for.ts';
import { frameOf } from './frames.ts';

/** A thread that takes each picture and keeps it unwritten until it is asked to finish, or that ends with the second one. */
const SLOW = `
  const { parentPort } = require('node:worker_threads');
  let kept = 0;
  let isFinished = false;
  const written = () => { for (; kept > 0; kept--) parentPort.postMessage({ type: 'written' }); };
  parentPort.on('message', ({ type }) => {
    if (type === 'picture') { kept += 1; parentPort.postMessage({ type: 'taken' }); }
    else { written(); parentPort.postMessage({ type: 'finished', path: null }); parentPort.close(); }
  });`;
const DYING = `
  const { parentPort } = require('node:worker_threads');
  parentPort.once('message', () => process.exit(3));`;
const threadOf = (code: string): URL =>
  new URL(
    `data:text/javascript,import{createRequire}from'node:module';const require=createRequire('/');${encodeURIComponent(code)}`,
  );

const pixels = new Uint8Array(new SharedArrayBuffer(12));

function open(policy: 'live' | 'file', code = SLOW) {
  const failures: string[] = [];
  const file = {
    id: 'film',
    path: '/tmp/film.mp4',
    partialPath: '/tmp/film.partial.mp4',
    encodeArgs: [],
    keepsEarlier: false,
    ffmpeg: testFfmpeg,
    finish: null,
  };
  const sink = new VideoSink({
    id: 'film',
    thread: threadOf(code),
    file,
    width: 2,
    height: 2,
    policy,
    fit: { mode: 'stretch' },
    overlay: { zones: [], lines: [] },
    onFailure: ({ message }) => failures.push(message),
    onNotice: () => undefined,
  });
  return { sink, failures };
}

describe('an annotated video whose encoder is slow', () => {
  it('of a live stream drops pictures only once three are being encoded, and counts them', async () => {
    const { sink } = open('live');
    await Promise.all([0, 1, 2].map((n) => sink.draw(frameOf(n), pixels)));
    expect(sink.figures).toMatchObject({ waiting: 3, lost: { overflow: 0, failed: 0 } });
    await sink.draw(frameOf(3), pixels);
    await sink.draw(frameOf(4), pixels);
    expect(sink.figures).toMatchObject({ waiting: 3, lost: { overflow: 2, failed: 0 } });
    await sink.close();
    expect(sink.figures).toMatchObject({ sent: 3, waiting: 0, lost: { overflow: 2, failed: 0 } });
  });

  it('of a file drops none: the fourth picture waits', async () => {
    const { sink } = open('file');
    await Promise.all([0, 1, 2].map((n) => sink.draw(frameOf(n), pixels)));
    let isTaken = false;
    void sink.draw(frameOf(3), pixels).then(() => {
      isTaken = true;
    });
    await new Promise(setImmediate);
    expect(isTaken).toBe(false);
    expect(sink.figures).toMatchObject({ waiting: 4, lost: { overflow: 0 } });
    await sink.crash();
    await expect(sink.close()).rejects.toThrow('4 pictures are missing');
    expect(isTaken).toBe(true);
  });
});

describe('an annotated video', () => {
  it('takes no picture once it closes, and counts none', async () => {
    const { sink } = open('file');
    await sink.draw(frameOf(0), pixels);
    const closing = sink.close();
    await sink.draw(frameOf(1), pixels);
    await closing;
    expect(sink.figures).toMatchObject({ sent: 1, waiting: 0, lost: { overflow: 0, failed: 0 } });
  });

  it('whose thread has died holds no picture back, and counts all of them as lost', async () => {
    const { sink, failures } = open('live', DYING);
    await sink.draw(frameOf(0), pixels);
    await waitFor('the failure', () => failures.length > 0);
    for (let n = 1; n < 6; n++) await sink.draw(frameOf(n), pixels);
    expect(failures).toEqual(['sink film: cannot write /tmp/film.mp4: its thread ended: exit code 3']);
    expect(sink.figures).toMatchObject({ sent: 0, waiting: 0, lost: { overflow: 0, failed: 6 } });
    await expect(sink.close()).rejects.toThrow('6 pictures are missing');
  });
});
