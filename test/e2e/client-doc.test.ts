import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { browserPath, browserTitle, openBrowser, until, visit } from '../support/chromium.ts';
import { openWholeGateway } from '../support/open-gateways.ts';
import { publishedFrame, RuntimeDouble } from '../support/runtime-double.ts';

const page = readFileSync('docs/client.md', 'utf8');
const PERSON = { classId: 0, label: 'person', score: 0.9, box: [10, 20, 30, 40] } as const;

/** Returns the indented code of a section. */
function exampleOf(section: string): string {
  const text = page.split(`\n## ${section}\n`)[1]!.split('\n## ')[0]!;
  const lines = text.split('\n').filter((line) => line.startsWith('    ') || line === '');
  return lines.map((line) => line.slice(4)).join('\n');
}

/** Publishes a frame every few milliseconds until `work` is done. */
async function whilePublishing<T>(port: RuntimeDouble, work: () => Promise<T>): Promise<T> {
  let frame = 0;
  const timer = setInterval(() => {
    frame += 1;
    port.publish(publishedFrame('yard', frame));
    port.publish(publishedFrame('door', frame, [PERSON]));
  }, 5);
  try {
    return await work();
  } finally {
    clearInterval(timer);
  }
}

/** Runs a module of this package in a Node.js of its own, with a WebSocket; resolves when the process ends by itself. */
function runModule(code: string): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const flags = 'WebSocket' in globalThis ? [] : ['--experimental-websocket'];
  const child = spawn(process.execPath, ['--no-warnings', ...flags, '--input-type=module', '-e', code]);
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text;
    });
  return new Promise((resolve) => child.on('close', (status) => resolve({ code: status, ...output })));
}

describe('the examples of docs/client.md', () => {
  it('Node.js: prints streams and three results, and the process ends by itself', async () => {
    const port = new RuntimeDouble(['door', 'yard']);
    const { url } = await openWholeGateway(port);
    const code = exampleOf('Node.js').replace('http://127.0.0.1:8080', url);
    expect(code).toContain(url);
    const { stdout, stderr, code: status } = await whilePublishing(port, () => runModule(code));
    expect([stderr, status]).toEqual(['', 0]);
    const lines = stdout.trim().split('\n');
    const reports = port.report().streams.map(({ id, fps }) => `${id}: running, ${fps.published} frames/s`);
    expect(lines.slice(0, 2)).toEqual(reports);
    expect(lines.slice(2)).toHaveLength(3);
    for (const line of lines.slice(2)) expect(line).toMatch(/^door \d+: person$/);
  });
});

describe.skipIf(browserPath === undefined)(browserTitle('the examples of docs/client.md'), () => {
  it('shows results on a page of the same origin, without errors', async () => {
    const port = new RuntimeDouble(['door']);
    const webDir = mkdtempSync(join(tmpdir(), 'sightline-page-'));
    // The policy of the gateway allows scripts in files only.
    const [html, script] = exampleOf('Browsers').split('<script type="module">') as [string, string];
    writeFileSync(join(webDir, 'index.html'), `<!doctype html>${html}<script type="module" src="/own.js"></script>`);
    writeFileSync(join(webDir, 'own.js'), script.replace('</script>', ''));
    const { url } = await openWholeGateway(port, { webDir });
    const browser = await openBrowser();
    try {
      const { page, complaints } = await visit(browser, url);
      await whilePublishing(port, () =>
        until(async () => /^door \d+: 1 objects$/.test((await page.textContent('#seen')) ?? '')),
      );
      // A browser asks for the icon by itself.
      expect(complaints.filter((text) => !text.includes('404'))).toEqual([]);
    } finally {
      rmSync(webDir, { recursive: true });
      await browser.close();
    }
  });
});
