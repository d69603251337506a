import { ROLES, type Role } from '../../../wire/protocol/feed.ts';

/**
 * What a route needs: nothing, or a token whose role is at least this one. `probe`: it answers without a token too, but says more to
 * those who have one.
 */
export type RouteAccess = 'open' | 'probe' | Role;

/**
 * Who may use which route. A route that is missing here needs the role admin, and a test fails.
 *
 * - metrics: `/metrics` only
 * - viewer: reads streams, pictures, jobs, hosts and roll-outs; sends pictures to be inferred
 * - operator: changes streams and jobs
 * - admin: everything, such as roll-outs, and draining a host so that it can be stopped
 */
export const ROUTE_ACCESS: Readonly<Record<string, RouteAccess>> = {
  'GET /healthz': 'open',
  // Orchestrators have no token.
  'GET /readyz': 'probe',
  // The sign-in page needs its style sheet before there is a token.
  'GET /base.css': 'open',
  'POST /sign-in': 'open',
  'GET /v2/health/live': 'open',
  'GET /v2/health/ready': 'open',

  'GET /metrics': 'metrics',

  'GET /ws': 'viewer',
  'OPTIONS /ws': 'viewer',
  'POST /sign-out': 'viewer',
  'GET /api/streams': 'viewer',
  'GET /api/streams/:id': 'viewer',
  'GET /api/pipeline': 'viewer',
  'GET /api/streams/:id/history': 'viewer',
  'GET /api/streams/:id/snapshot.jpg': 'viewer',
  'GET /api/streams/:id/mjpeg': 'viewer',
  'GET /api/streams/:id/live.mp4': 'viewer',
  'GET /api/streams/:id/live.m3u8': 'viewer',
  'GET /api/streams/:id/live/:name': 'viewer',
  'GET /api/pipelines': 'viewer',
  'GET /api/models': 'viewer',
  'GET /api/events': 'viewer',
  'GET /api/counts': 'viewer',
  'GET /api/occupancy': 'viewer',
  'GET /api/seen': 'viewer',
  'GET /api/heat': 'viewer',
  'GET /api/similar': 'viewer',
  'GET /api/recordings': 'viewer',
  'GET /api/recordings/playlist.m3u8': 'viewer',
  'GET /api/recordings/export.mp4': 'viewer',
  'GET /api/recordings/files/:name': 'viewer',
  'GET /api/events/:id/clip.mp4': 'viewer',
  'GET /api/events/:id/clip.json': 'viewer',
  'GET /api/events/:id/snapshot.jpg': 'viewer',
  'GET /api/events/:id/alerts': 'viewer',
  'GET /api/events/:id/picture.jpg': 'viewer',
  'GET /api/hosts': 'viewer',
  'GET /api/jobs': 'viewer',
  'GET /api/jobs/:id': 'viewer',
  'GET /api/scale': 'viewer',
  'GET /api/rollouts': 'viewer',
  'GET /api/rollouts/history': 'viewer',
  'GET /api/versions': 'viewer',
  'GET /api/versions/:id': 'viewer',
  'POST /api/detect': 'viewer',
  'GET /api/openapi.json': 'viewer',
  'GET /v2': 'viewer',
  'GET /v2/models/:model': 'viewer',
  'GET /v2/models/:model/ready': 'viewer',
  'POST /v2/models/:model/infer': 'viewer',
  'GET /v2/models/:model/versions/:version': 'viewer',
  'GET /v2/models/:model/versions/:version/ready': 'viewer',
  'POST /v2/models/:model/versions/:version/infer': 'viewer',

  'POST /api/streams': 'operator',
  'POST /api/sources/test': 'operator',
  'POST /api/sources/discover': 'operator',
  'PATCH /api/streams/:id': 'operator',
  'PUT /api/streams/:id': 'operator',
  'DELETE /api/streams/:id': 'operator',
  'POST /api/streams/:id/rules/try': 'operator',
  'POST /api/streams/:id/pause': 'operator',
  'POST /api/streams/:id/resume': 'operator',
  'POST /api/streams/:id/move': 'operator',
  'POST /api/pipeline/reset': 'operator',
  'POST /api/jobs': 'operator',
  'POST /api/jobs/:id/cancel': 'operator',
  'POST /api/jobs/:id/retry': 'operator',

  'POST /api/hosts/:id/drain': 'admin',
  'POST /api/hosts/:id/undrain': 'admin',
  'POST /api/rollouts': 'admin',
  'POST /api/rollouts/promote': 'admin',
  'POST /api/rollouts/hold': 'admin',
  'POST /api/rollouts/resume': 'admin',
  'POST /api/rollouts/abort': 'admin',
  'POST /api/rollouts/undo': 'admin',
};

/** The page, its modules and style sheets, the client, and the libraries that they load. Each is a route of its own. */
const DASHBOARD_FILE =
  /^GET \/(?:[\w-]+\.(?:html|js|css|svg)|vendor\/(?:uplot|msgpack|lit)\/[\w./-]*|lib\/(?:client\/index|(?:base\/(?:core|errors)|wire\/(?:client|protocol))\/(?:keys\/)?[\w-]+)\.js)?$/;

/**
 * Returns what a route needs; null if it is not in the table.
 *
 * @param method - HEAD counts as GET.
 * @param pattern - as registered, such as `/api/streams/:id`.
 */
export function accessOf(method: string, pattern: string): RouteAccess | null {
  const route = `${method === 'HEAD' ? 'GET' : method} ${pattern}`;
  if (Object.hasOwn(ROUTE_ACCESS, route)) return ROUTE_ACCESS[route]!;
  return DASHBOARD_FILE.test(route) ? 'viewer' : null;
}

/** Returns whether a role includes another. */
export function includesRole(role: Role, needed: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(needed);
}
