import { join } from 'node:path';
import fastifyStatic from '@fastify/static';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ErrorCode } from '../../base/errors/error-codes.ts';
import { splitTarget } from './auth.ts';

/**
 * The dashboard only needs its own scripts, styles and socket, so nothing else is allowed. `data:` is for the icon. uPlot
 * positions its parts through the CSSOM, which `style-src` does not restrict.
 */
const contentSecurityPolicy = (frameAncestors: readonly string[]): string =>
  [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data: blob:",
    "connect-src 'self'",
    "media-src 'self' blob:",
    "base-uri 'none'",
    "form-action 'self'",
    `frame-ancestors ${frameAncestors.join(' ') || "'none'"}`,
  ].join('; ');

export interface StaticFolders {
  readonly webDir: string;
  readonly uplotDir: string;
  readonly msgpackDir: string;
  readonly litDir: string;
  /** Compiled sources, of which browsers load the client. */
  readonly libDir: string;
}

/**
 * Adds the headers that every reply carries, JSON included.
 *
 * @param frameAncestors - origins of pages that may show the dashboard in a frame.
 */
export function addSecurityHeaders(app: FastifyInstance, frameAncestors: readonly string[]): void {
  const policy = contentSecurityPolicy(frameAncestors);
  app.addHook('onSend', async (_request, reply) => {
    reply.header('content-security-policy', policy);
    reply.header('x-content-type-options', 'nosniff');
    // The URL may hold the token until the page has removed it. `no-referrer` would make browsers send forms with `Origin: null`.
    reply.header('referrer-policy', 'same-origin');
    reply.header('cross-origin-resource-policy', 'same-origin');
    if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store');
  });
}

/** Returns the target of a request without the base path that a proxy has passed on; without one, the target as it is. */
export function withoutBasePath(target: string, basePath: string): string {
  return basePath !== '' && target.startsWith(`${basePath}/`) ? target.slice(basePath.length) : target;
}

/** Returns the base path with which a request came; empty if without. */
export function basePathOf({ originalUrl, url }: FastifyRequest): string {
  return originalUrl.slice(0, originalUrl.length - url.length);
}

/** Redirects the base path itself to the page: its links are relative, and need the slash at the end. */
export function addBasePath(app: FastifyInstance, basePath: string): void {
  app.addHook('onRequest', async (request, reply) => {
    const { path } = splitTarget(request.url);
    if (basePath !== '' && path === basePath)
      return reply.redirect(`${basePath}/${request.url.slice(path.length)}`, 308);
  });
}

/** What the pages need of lit-html. */
const LIT_FILES = ['lit-html.js', 'directive.js', 'directive-helpers.js', 'directives/repeat.js'];

/** Folders of the client and of what it imports. */
const CLIENT_FOLDERS = ['base/core', 'base/errors', 'wire/client', 'wire/protocol'];

/** Serves the dashboard at `/`, its libraries under `/vendor/` and the client under `/lib/client/`. `no-cache` makes browsers revalidate by ETag each time. */
export async function addStaticFiles(app: FastifyInstance, folders: StaticFolders): Promise<void> {
  const shared = { cacheControl: false, setHeaders: setCacheHeader, index: 'index.html', dotfiles: 'ignore' } as const;
  // The page of a review is a part of reports; see reviewPage.
  const own = { root: folders.webDir, prefix: '/', wildcard: false, globIgnore: [join('review', '**')] };
  await app.register(fastifyStatic, { ...shared, ...own });
  const more = { ...shared, decorateReply: false, wildcard: false };
  for (const [name, root] of Object.entries({ uplot: folders.uplotDir, msgpack: folders.msgpackDir }))
    await app.register(fastifyStatic, { ...more, root, prefix: `/vendor/${name}/` });
  for (const file of LIT_FILES)
    app.get(`/vendor/lit/${file}`, (_request, reply) => reply.sendFile(file, folders.litDir));
  for (const name of CLIENT_FOLDERS) {
    // Contracts within a process are types only.
    const globIgnore = ['**/*.d.ts', 'msgpack.js', 'ports/**'];
    await app.register(fastifyStatic, {
      ...more,
      root: join(folders.libDir, name),
      prefix: `/lib/${name}/`,
      globIgnore,
    });
  }
  const script = (path: string, text: string): unknown =>
    app.get(path, (_request, reply) => reply.type('text/javascript').header('cache-control', 'no-cache').send(text));
  // Pages name the client, wherever it lies.
  script('/lib/client/index.js', "export * from '../wire/client/index.js';\n");
  // Browsers cannot find a package by its name.
  script('/lib/wire/client/msgpack.js', "export { decode } from '../../../vendor/msgpack/decode.mjs';\n");
}

function setCacheHeader(reply: FastifyReply): void {
  reply.header('cache-control', 'no-cache').header('vary', 'accept-encoding');
}

/** Why a token was not accepted, as the sign-in page says it. */
const PROBLEMS: Readonly<Partial<Record<ErrorCode, string>>> = {
  UNAUTHORIZED: 'This token is not valid, or it has expired.',
  FORBIDDEN: 'This token is for metrics only.',
  TOO_MANY_ATTEMPTS: 'Too many wrong tokens came from this address. Wait a few seconds.',
};

/** Returns the page that asks for the token. It contains fixed text only. */
export function signInPage(problem?: ErrorCode): string {
  const text = problem === undefined ? '' : (PROBLEMS[problem] ?? 'Signing in failed.');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="dark light">
<title>Sightline: sign in</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="base.css">
</head>
<body class="sign-in">
<main>
<h1>Sightline</h1>
<form method="post" action="sign-in">
<label for="token">Access token</label>
<input id="token" name="token" type="password" required autocomplete="current-password" autofocus>
<p class="form-error" role="alert">${text}</p>
<p class="hint">A token of this gateway, as printed by "sightline tokens add".</p>
<button class="button button-primary" type="submit">Open the dashboard</button>
</form>
</main>
</body>
</html>
`;
}
