import { startGateway } from '../../src/serve/gateway/server.ts';
import { RequestPortDouble } from './request-port-double.ts';
import { RolloutPortDouble } from './rollout-port-double.ts';
import { RuntimeDouble } from './runtime-double.ts';

/** Every route of a gateway as `METHOD /pattern`, HEAD left out. */
export async function registeredRoutes(): Promise<readonly string[]> {
  const routes: string[] = [];
  const gateway = await startGateway(new RuntimeDouble(), {
    port: 0,
    rollouts: new RolloutPortDouble(),
    requests: new RequestPortDouble(),
    onRoute: (route) => routes.push(route),
  });
  await gateway.close();
  return routes;
}
