import { onTestFinished } from 'vitest';
import { History } from '../../src/after/history/history.ts';
import type { Gateway, GatewayOptions } from '../../src/serve/gateway/gateway-options.ts';
import { startGateway } from '../../src/serve/gateway/server.ts';
import type { RuntimePort } from '../../src/wire/protocol/ports/runtime-port.ts';

/** Of this process: each has a thread, which takes longer to start than a gateway. */
let shared: Promise<History> | undefined;

/**
 * Starts a gateway on a free port; it is closed after the test. Without a history in `options` it has that of all tests of the process,
 * which is enough for a test that asks for none.
 */
export async function openGateway(port: RuntimePort, options: Partial<GatewayOptions> = {}): Promise<Gateway> {
  shared ??= History.open({ path: null, maxBytes: 2 ** 24, days: 1, wallMs: Date.now, onNotice: console.warn });
  return openWholeGateway(port, { history: await shared, ...options });
}

/** Starts a gateway with a history of its own, as a page shows it. */
export async function openWholeGateway(port: RuntimePort, options: Partial<GatewayOptions> = {}): Promise<Gateway> {
  const gateway = await startGateway(port, { port: 0, ...options });
  onTestFinished(() => gateway.close());
  return gateway;
}
