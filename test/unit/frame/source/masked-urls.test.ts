import { describe, expect, it } from 'vitest';
import { MaskedUrls } from '../../../../src/frame/source/open/masked-urls.ts';

const urls = new MaskedUrls();
const MASKED = /^http:\/\/(?:[^@/]*@)?[hs][0-9a-f]+\.[0-9a-f]{16}\.invalid(?::\d+)?(?=[/?#]|$)/;

describe('MaskedUrls', () => {
  it.each([
    'http://cam.example/live.ts',
    'https://cam.example:8443/live.m3u8?a=1#part',
    'https://user:pa%40ss@cam.example/x',
    'http://[fd00::1]:8080/x',
    'http://[::1]',
    'https://10.0.0.1',
  ])('hides the host of %s and finds it again', (url) => {
    const masked = urls.maskAll(url);
    expect(masked).toMatch(MASKED);
    expect(urls.revealAll(masked)).toBe(url);
    const host = /\/\/(?:[^@/]*@)?([^:/?#]+)/.exec(masked)![1]!;
    const { protocol, hostname } = new URL(url);
    expect(urls.reveal(host)).toEqual({ scheme: protocol.slice(0, -1), host: hostname });
  });

  it.each(['a.invalid', 'h6161.0123456789abcdef.invalid', 'cam.example', '', 'h.invalid'])(
    'does not accept the host %s, which it has not masked',
    (host) => expect(urls.reveal(host)).toBeNull(),
  );

  it.each(['http://a:b:80/x', 'http://[::1]a/x'])('leaves %s, which nobody can read, for the proxy to refuse', (url) =>
    expect(urls.maskAll(url)).toBe(url),
  );

  it('masks each address of a playlist, wherever it is', () => {
    const list = [
      '#EXTM3U',
      '#EXT-X-KEY:METHOD=AES-128,URI="https://keys.example/k",IV=0x1',
      '#EXT-X-MAP:URI="//cdn.example/init.mp4"',
      '#EXT-X-MAP:URI=http://cdn.example/bare.mp4',
      '  //cdn.example/same-scheme.ts',
      'HTTPS://CDN.example/a.ts?next=http://other.example/',
      'relative/b.ts',
      '/root.ts',
    ].join('\n');
    const masked = urls.maskPlaylist(list, 'https');
    expect(masked).not.toMatch(/example/i);
    expect(urls.revealAll(masked)).toBe(
      list
        .replace('//cdn.example/init', 'https://cdn.example/init')
        .replace('  //cdn', '  https://cdn')
        .replace('HTTPS://CDN', 'https://cdn'),
    );
  });
});
