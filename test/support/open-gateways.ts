import { afterEach } from 'vitest';
import type { Gateway, GatewayOptions } from '../../src/gateway/gateway-options.ts';
import type { RuntimePort } from '../../src/gateway/runtime-port.ts';
import { startGateway } from '../../src/gateway/server.ts';

const open: Gateway[] = [];

/** Starts a gateway on a free port; it is closed after the test. */
export async function openGateway(port: RuntimePort, options: Partial<GatewayOptions> = {}): Promise<Gateway> {
  const gateway = await startGateway(port, { port: 0, ...options });
  open.push(gateway);
  return gateway;
}

afterEach(async () => {
  await Promise.all(open.splice(0).map((gateway) => gateway.close()));
});
