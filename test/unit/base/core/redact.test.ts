import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isSecretName, redact, redactWebhook, showNames } from '../../../../src/base/core/redact.ts';
import { parseSource } from '../../../../src/frame/source/parse-source.ts';

const OPTIONS = { loop: false, realtime: false, rtspTransport: 'tcp', readTimeoutMs: 5000 } as const;

describe('redact', () => {
  it.each([
    ['rtsp://user:pass@cam:554/live', 'rtsp://***@cam:554/live'],
    ['rtsp://token@cam/live', 'rtsp://***@cam/live'],
    ['two: rtsp://a:b@c/1 and https://d:e@f/2.', 'two: rtsp://***@c/1 and https://***@f/2.'],
    ['rtsp://user:p@ss@cam/live', 'rtsp://***@cam/live'],
    ['http:/adm:PW@host/x', 'http:/***@host/x'],
    ['rtsp:adm:PW@host/1', 'rtsp:***@host/1'],
    ['source "adm:PW@host/live": no such file', 'source "***@host/live": no such file'],
    ['rtsp://user:pa/ss@cam/live', 'rtsp://***@cam/live'],
    ['rtsp://user:12/34@cam/live', 'rtsp://***@cam/live'],
    ['rtsp://user:p?a#ss@cam/live', 'rtsp://***@cam/live'],
    ['https://cdn/live.m3u8?token=abc&x=1', 'https://cdn/live.m3u8?token=***&x=***'],
    ['https://cdn/live.m3u8?x=1&API_KEY=abc#t', 'https://cdn/live.m3u8?x=***&API_KEY=***#***'],
    ['GET /live?token=abc: 404', 'GET /live?token=***: 404'],
    ['http://cam/a?pwd=x?y&ch=1.', 'http://cam/a?pwd=***&ch=1.'],
    ['{"source":"http://cam/a?pwd=x","id":"b"}', '{"source":"http://cam/a?pwd=***","id":"b"}'],
    ['Authorization: Basic YWRtaW46cGFzcw==', 'Authorization: ***'],
    ['sent Bearer abc.def', 'sent Bearer ***'],
    ['REDIS_PASSWORD=hunter2 is wrong', 'REDIS_PASSWORD=*** is wrong'],
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

describe('a long text', () => {
  it('is cut where a word ends, so that no password loses the @ by which it is found', () => {
    const address = 'rtsp://admin:tlJwpbo6@cam/1';
    for (let before = 8192 - 2 * address.length; before < 8192 + 10; before++) {
      const shown = redact(`${'x'.repeat(before)} ${address} ${'y'.repeat(100)}`);
      expect(shown).not.toContain('tlJ');
      expect(shown.length).toBeLessThanOrEqual(8192);
    }
    expect(redact(`see ${'rtsp://admin:tlJwpbo6'.padEnd(9000, 'z')}@cam/1`)).toBe('see ***');
  });

  it.each(['a', 'a-', 'pass', '.', '.,', '=', '=a:', '(', '#', '?a=', 'a://', '@=a:'])(
    'of 256 KiB of %s does not hold up the process',
    (part) => {
      const text = `http://${part.repeat((256 * 1024) / part.length)}@`;
      // Took minutes while the time grew with the square of the length.
      expect(redact(text).length).toBeLessThanOrEqual(8192);
    },
  );
});

describe('addresses of cameras and services, as their makers document them, show no secret', () => {
  it.each([
    'rtsp://admin:SECRET@10.0.0.2:554/Streaming/Channels/101',
    'rtsp://10.0.0.2:554/user=admin&password=SECRET&channel=1&stream=0.sdp?real_stream',
    'rtsp://10.0.0.2:554/user=admin_password=SECRET_channel=1_stream=0.sdp',
    'rtsp://10.0.0.2/cam/realmonitor?channel=1&subtype=0&authbasic=SECRET',
    'http://10.0.0.2/videostream.cgi?user=admin&pwd=SECRET',
    'http://10.0.0.2/videostream.asf?usr=admin&psw=SECRET',
    'http://10.0.0.2/livestream.cgi?loginuse=admin&loginpas=SECRET&streamid=0',
    'http://10.0.0.2/flv?port=1935&app=bcs&stream=channel0_main.bcs&user=admin&pass=SECRET',
    'http://10.0.0.2/api/stream?jwt=SECRET',
    'http://10.0.0.2/live.m3u8?sessionid=SECRET',
    'https://bucket/a.mp4?X-Amz-Credential=SECRET&X-Amz-Signature=SECRET&X-Amz-Expires=60',
    'https://store/a.mp4?X-Goog-Signature=SECRET',
    'https://store/a.mp4?sv=2024-11-04&se=2026-01-01&sig=SECRET',
    'https://cdn/live;token=SECRET/index.m3u8',
    'https://cdn/live/index.m3u8;jsessionid=SECRET',
    'http://10.0.0.2/video?%70assword=SECRET',
    'http://10.0.0.2/video?SECRET',
    'https://cdn/watch#access_token=SECRET',
    'https://cdn/live.m3u8?wowzatokenhash=SECRET&wowzatokenendtime=1',
    'rtsps://nest/live?auth=g.0.SECRET',
    'rtsp://10.0.0.2/ch1?channel=SECRET',
    'http://tv.example/live/admin/SECRET/1.ts',
    'http://tv.example/SECRET/SECRET/123',
    'https://cdn/token-SECRET/index.m3u8',
    'https://cdn/live%3Fpassword%3DSECRET',
    'rtmp://live.example/app/SECRET',
    'rtsp://10.0.0.2/SECRET.sdp',
  ])('%s', (address) => {
    // Secrets of each kind: short, long, a word, with signs.
    for (const secret of [
      'tlJwpbo6',
      'correct-horse-battery',
      'a%2Fb%3D',
      '9f86d081884c7d659a2feaa0c55ad015',
      'p4$$*',
    ]) {
      const shown = redact(`cannot open ${address.replaceAll('SECRET', () => secret)}: refused`);
      expect(shown).not.toContain(secret);
      expect(shown).toMatch(/^cannot open (?:rtsps?|rtmp|https?):\/\/.*: refused$/);
      expect(redact(shown)).toBe(shown);
    }
  });

  it.each([
    ['rtsps://10.0.0.2:7441/lHkXFGvoSE5O6Kcq?enableSrtp', 'rtsps://10.0.0.2:7441/***?***'],
    ['rtmp://live.example/app/abcd-1234-efgh-5678', 'rtmp://live.example/app/***'],
    ['https://cdn/9f86d081884c7d659a2feaa0c55ad015/index.m3u8', 'https://cdn/***/index.m3u8'],
    ['https://cdn/123e4567-e89b-12d3-a456-426614174000.mp4', 'https://cdn/***'],
    ['https://cdn/eyJhbGciOi.eyJzdWIi.c2ln/live', 'https://cdn/***/live'],
  ])('a key in the path: %s', (address, shown) => {
    expect(redact(address)).toBe(shown);
  });

  it.each([
    [16, '0123456789abcdef'],
    [8, '0123456789'],
    [8, 'abcdefghijklmnopqrstuvwxyz'],
    [12, 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789'],
    [24, 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_'],
  ])('random keys of %i characters of %s in the path', (length, characters) => {
    const key = fc.string({ minLength: length, maxLength: length, unit: fc.constantFrom(...characters) });
    fc.assert(
      fc.property(key, (secret) => {
        expect(redact(`rtsp://cam/live/${secret}/1`)).toBe('rtsp://cam/live/***/1');
      }),
      { numRuns: 2_000, seed: 1 },
    );
  });

  it.each([
    ['https://hooks.example/services/T000/B000/key', 'https://hooks.example'],
    ['https://user:pass@hooks.example:8443?token=key', 'https://***@hooks.example:8443'],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: a placeholder of a pipeline file
    ['${env:HOOK}/key', '${env:HOOK}'],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: a placeholder of a pipeline file
    ['https://${env:HOST}/a/key', 'https://${env:HOST}'],
  ])('of a webhook only the origin is shown: %s', (url, shown) => {
    expect(redactWebhook(url)).toBe(shown);
  });

  it.each([
    'rtsp://10.0.0.2:554/Streaming/Channels/101',
    'rtsp://10.0.0.2:554/11',
    'rtsp://10.0.0.2/live/ch00_0',
    'rtsp://10.0.0.2/h265/ch1/sub/av_stream',
    'http://10.0.0.2/cgi-bin/mjpg/video.cgi?channel=0',
    'rtsp://10.0.0.2:554/h264Preview_01_main',
    'rtsp://10.0.0.2/cam/realmonitor?channel=1&subtype=0',
    'rtsp://10.0.0.2/axis-media/media.amp?videocodec=h264&resolution=1920x1080&fps=15',
    'https://archive/front-door-2026-11-27T10-21-44.mp4',
    'https://archive/MyFrontDoorCamera/20261127T102144.mkv',
    'rtsp://[fe80::1]:554/profile1/media.smp',
  ])('which camera and which picture stays readable: %s', (address) => {
    expect(redact(address)).toBe(address);
  });
});

describe('parts of a path', () => {
  it.each(['rtsp://cam/plaza', 'rtsp://cam/gate', 'rtsp://cam:8554/courtyard/main', 'http://cam/reception-2.mp4'])(
    'that are places are shown: %s',
    (address) => {
      expect(redact(address)).toBe(address);
    },
  );

  it('that are the name of a camera are shown, also where the name is no known word; others, and queries, are not', () => {
    const address = 'rtsp://cam/zugspitze-7/main';
    expect(redact(address)).toBe('rtsp://cam/***/main');
    showNames(['Zugspitze-7']);
    expect(redact(address)).toBe(address);
    expect(redact('rtsp://cam/zugspitze-8/main')).toBe('rtsp://cam/***/main');
    expect(redact('rtsp://zugspitze-7:pw@cam/main?user=zugspitze-7&stream=zugspitze-7')).toBe(
      'rtsp://***@cam/main?user=***&stream=***',
    );
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

describe('names of settings that are secrets', () => {
  it.each([
    'password key token secret apiKey access_token private-key passphrase headers secrets credentials authToken'.split(
      ' ',
    ),
  ])('are known: %s', (...names) => {
    expect(names.filter((name) => !isSecretName(name))).toEqual([]);
  });

  it('are not confused with others', () => {
    const others = 'tokensFile monkey path every author labels keyframe passes turnkey tokens_file'.split(' ');
    expect(others.filter(isSecretName)).toEqual([]);
  });
});
