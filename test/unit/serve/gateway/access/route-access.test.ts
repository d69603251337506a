import fastify from 'fastify';
import { describe, expect, it } from 'vitest';
import { accessOf, includesRole, ROUTE_ACCESS } from '../../../../../src/serve/gateway/access/route-access.ts';
import { registeredRoutes } from '../../../../support/registered-routes.ts';

describe('the table of routes and roles', () => {
  it('decides about every route that a gateway registers', async () => {
    const routes = await registeredRoutes();
    expect(routes).toContain('GET /api/streams');
    expect(routes).toContain('POST /api/rollouts/promote');
    expect(routes).toContain('GET /vendor/uplot/uPlot.esm.js');
    const undecided = routes.filter((route) => {
      const [method, pattern] = route.split(' ') as [string, string];
      return accessOf(method, pattern) === null;
    });
    expect(undecided).toEqual([]);
  });

  it('has no entry for a route that does not exist', async () => {
    const routes = new Set(await registeredRoutes());
    expect(Object.keys(ROUTE_ACCESS).filter((route) => !routes.has(route))).toEqual([]);
  });

  it('notices a new route without a role', async () => {
    const app = fastify();
    app.get('/api/new', () => ({}));
    await app.close();
    expect(accessOf('GET', '/api/new')).toBeNull();
    expect(accessOf('DELETE', '/api/streams')).toBeNull();
    expect(accessOf('POST', '/app.js')).toBeNull();
  });

  it('lets only operators change anything, and leaves nothing open that shows data', () => {
    const open = Object.entries(ROUTE_ACCESS).filter(([, access]) => access === 'open');
    expect(open.map(([route]) => route).sort()).toEqual([
      'GET /base.css',
      'GET /healthz',
      'GET /v2/health/live',
      'GET /v2/health/ready',
      'POST /sign-in',
    ]);
    const probes = Object.entries(ROUTE_ACCESS).filter(([, access]) => access === 'probe');
    expect(probes.map(([route]) => route)).toEqual(['GET /readyz']);
    for (const [route, access] of Object.entries(ROUTE_ACCESS)) {
      // A picture to be inferred changes nothing.
      if (/^(?:GET|OPTIONS) |^POST \/(?:sign-|api\/detect|v2\/)/.test(route)) continue;
      expect([route, ['operator', 'admin'].includes(access)]).toEqual([route, true]);
    }
  });

  it('gives the role metrics exactly one route', () => {
    const routes = Object.entries(ROUTE_ACCESS).filter(
      ([, access]) => access !== 'open' && access !== 'probe' && includesRole('metrics', access),
    );
    expect(routes.map(([route]) => route)).toEqual(['GET /metrics']);
  });

  it('treats HEAD as GET', () => {
    expect(accessOf('HEAD', '/metrics')).toBe('metrics');
    expect(accessOf('HEAD', '/')).toBe('viewer');
  });
});

describe('roles', () => {
  it.each([
    ['viewer', 'viewer', true],
    ['viewer', 'metrics', true],
    ['viewer', 'operator', false],
    ['metrics', 'viewer', false],
    ['operator', 'admin', false],
    ['admin', 'operator', true],
  ] as const)('%s may do what needs %s: %s', (role, needed, isAllowed) => {
    expect(includesRole(role, needed)).toBe(isAllowed);
  });
});
