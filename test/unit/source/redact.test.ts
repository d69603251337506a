import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { redact } from '../../../src/core/redact.ts';
import { parseSource } from '../../../src/source/parse-source.ts';

const OPTIONS = { loop: false, realtime: false, rtspTransport: 'tcp', readTimeoutMs: 5000 } as const;

describe('redact', () => {
  it.each([
    ['rtsp://user:pass@cam:554/live', 'rtsp://***@cam:554/live'],
    ['rtsp://token@cam/live', 'rtsp://***@cam/live'],
    ['two: rtsp://a:b@c/1 and https://d:e@f/2.', 'two: rtsp://***@c/1 and https://***@f/2.'],
    ['rtsp://user:p@ss@cam/live', 'rtsp://***@cam/live'],
    ['rtsp://user:pa/ss@cam/live', 'rtsp://***@cam/live'],
    ['rtsp://user:12/34@cam/live', 'rtsp://***@cam/live'],
    ['rtsp://user:p?a#ss@cam/live', 'rtsp://***@cam/live'],
    ['https://cdn/live.m3u8?token=abc&x=1', 'https://cdn/live.m3u8?token=***&x=1'],
    ['https://cdn/live.m3u8?x=1&API_KEY=abc#t', 'https://cdn/live.m3u8?x=1&API_KEY=***#t'],
  ])('%s -> %s', (text, safe) => {
    expect(redact(text)).toBe(safe);
  });

  it.each([
    'rtsp://cam:554/live',
    'https://cdn/@channel/live.m3u8',
    'a.mp4',
    'mail me@example.org',
    '[tcp @ 0x55d0c8] Connection refused',
    'C:\\videos\\a.mp4',
  ])('%s holds no secret and is unchanged', (text) => {
    expect(redact(text)).toBe(text);
  });
});

describe('passwords never appear', () => {
  // Any characters but white space; long enough not to occur elsewhere in the text by chance.
  const secret = fc
    .string({ minLength: 6, maxLength: 20, unit: fc.constantFrom(...'abcXYZ0189!$%&()*+,-./:;<=>?@[]^_{|}~#') })
    .filter((text) => !'rtsp://***@camera.example:554/live/1'.includes(text));

  it('in a text with a URL', () => {
    fc.assert(
      fc.property(secret, secret, fc.constantFrom('rtsp', 'rtsps', 'http', 'https'), (user, password, scheme) => {
        const safe = redact(`ffmpeg said: ${scheme}://${user}:${password}@camera.example:554/live/1 is away`);
        expect(safe).toBe(`ffmpeg said: ${scheme}://***@camera.example:554/live/1 is away`);
      }),
    );
  });

  it('in the label of a source or in an error about it, even with a space in the password', () => {
    const withSpace = fc.tuple(secret, secret).map(([a, b]) => `${a} ${b}`);
    fc.assert(
      fc.property(fc.oneof(secret, withSpace), fc.constantFrom('rtsp', 'https'), (password, scheme) => {
        const text = `${scheme}://admin:${password}@camera.example:554/live/1`;
        let shown: string;
        try {
          shown = parseSource(text, OPTIONS).label;
        } catch (error) {
          shown = (error as Error).message;
        }
        for (const part of password.split(' ')) expect(shown).not.toContain(part);
      }),
    );
  });
});
