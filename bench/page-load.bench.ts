import { get, type IncomingMessage } from 'node:http';
import { brotliDecompressSync } from 'node:zlib';
import { startGateway } from '../src/serve/gateway/server.ts';
import type { StreamsReply } from '../src/wire/protocol/rest.ts';
import { FeedPort } from './support/feed-port.ts';
import type { Section, SectionResult } from './support/section.ts';

/** Pages that are loaded when they are opened, with the style sheets that `web/app.js` adds. */
const PAGES = {
  wall: ['/'],
  'camera, after it': [
    '/camera-page.js',
    '/camera.css',
    '/settings.css',
    '/history.css',
    '/vendor/uplot/uPlot.min.css',
  ],
  'alerts beside the wall': ['/alert-rail.js', '/alerts.css'],
  'events, after it': ['/events-page.js', '/history.css', '/events.css'],
  'system, after it': ['/system-page.js', '/system.css', '/rollout.css'],
};
/** The first load before pages were loaded when they are opened. */
const BEFORE = { requests: 71, textBytes: 468_984 };

interface Load {
  readonly requests: number;
  readonly bytes: number;
  readonly textBytes: number;
}

/** Measures what a browser fetches to show the wall, and what each other page adds: files, not pictures. */
export const pageLoad: Section = {
  id: 'page-load',
  title: 'First load of the page',
  async run(): Promise<SectionResult> {
    const gateway = await startGateway(new FeedPort({ timeMs: 0, streams: [] } as unknown as StreamsReply), {
      port: 0,
    });
    const known = new Set<string>();
    const loads: Record<string, Load> = {};
    try {
      for (const [page, paths] of Object.entries(PAGES)) loads[page] = await load(gateway.url, paths, known);
    } finally {
      await gateway.close();
    }
    const rows = Object.entries(loads).map(([page, { requests, bytes, textBytes }]) => [
      ...[page, `${requests}`, (bytes / 1000).toFixed(1), (textBytes / 1000).toFixed(1)],
    ]);
    const { requests, textBytes } = loads.wall!;
    return {
      tables: [{ caption: 'Files of each page', rows: [['page', 'requests', 'kB, br', 'kB'], ...rows] }],
      targets: [
        { what: 'requests of the first load', measured: requests, target: BEFORE.requests, want: 'at most', unit: '' },
        { what: 'bytes of the first load', measured: textBytes, target: BEFORE.textBytes, want: 'at most', unit: 'B' },
      ],
      notes: [
        'Bodies without headers, as sent to a browser and as they are; a second visit revalidates each file by its ETag.',
      ],
      data: loads,
    };
  },
};

/** Follows links, scripts and static imports, each address once. */
async function load(url: string, paths: readonly string[], known: Set<string>): Promise<Load> {
  const open = paths.map((path) => new URL(path, url).href);
  const sum = { requests: 0, bytes: 0, textBytes: 0 };
  for (let href = open.pop(); href !== undefined; href = open.pop()) {
    if (known.has(href)) continue;
    known.add(href);
    const { body, text } = await fetchText(href);
    sum.requests += 1;
    sum.bytes += body.length;
    sum.textBytes += text.length;
    for (const name of namesIn(href, text)) open.push(new URL(name, href).href);
  }
  return sum;
}

function namesIn(href: string, text: string): string[] {
  const pattern = href.endsWith('/')
    ? /<(?:link[^>]* href|script[^>]* src|img[^>]* src)="([^"]+)"/g
    : /\.m?js$/.test(href)
      ? /(?:^|[;\n])\s*(?:import|export)\b[^;'"(]*?(?:from\s*)?["'](\.[^"']+)["']/g
      : null;
  return pattern === null ? [] : [...text.matchAll(pattern)].map(([, name]) => name!);
}

/** The body as it is sent to a browser, and as it is. */
async function fetchText(href: string): Promise<{ readonly body: Buffer; readonly text: string }> {
  const reply = await new Promise<IncomingMessage>((resolve, reject) => {
    get(href, { headers: { 'accept-encoding': 'br' } }, resolve).on('error', reject);
  });
  if (reply.statusCode !== 200) throw new Error(`${href}: status ${reply.statusCode}`);
  const parts: Buffer[] = [];
  for await (const part of reply) parts.push(part as Buffer);
  const body = Buffer.concat(parts);
  const isCompressed = reply.headers['content-encoding'] === 'br';
  return { body, text: (isCompressed ? brotliDecompressSync(body) : body).toString() };
}
