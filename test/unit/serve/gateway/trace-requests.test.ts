import { describe, expect, it } from 'vitest';
import { activeTrace, type TraceParent } from '../../../../src/base/flow/trace-context.ts';
import { openGateway } from '../../../support/open-gateways.ts';
import { RuntimeDouble } from '../../../support/runtime-double.ts';

const IDS = { trace_id: '0af7651916cd43dd8448eb211c80319c', span_id: 'b7ad6b7169203331' };
const TRACEPARENT = `00-${IDS.trace_id}-00f067aa0ba902b7-01`;

describe('requests of a gateway that traces', () => {
  it('are done in their span, bodies included, which ends with the status of the answer', async () => {
    const port = new RuntimeDouble(['gate']);
    const seen: unknown[] = [];
    const change = port.changeStream.bind(port);
    port.changeStream = (...given) => {
      seen.push(activeTrace());
      return change(...given);
    };
    const began: [string, string, TraceParent][] = [];
    const ended: number[] = [];
    const tracing = {
      request: (...given: [string, string, TraceParent]) => {
        began.push(given);
        return { ids: IDS, end: (status: number) => ended.push(status) };
      },
    };
    const { url } = await openGateway(port, { tracing });
    const patch = (id: string, headers: Record<string, string>) =>
      fetch(`${url}/api/streams/${id}`, {
        method: 'PATCH',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify({ every: 2 }),
      });
    await patch('gate', { traceparent: TRACEPARENT, tracestate: 'shop=7' });
    await patch('none', { traceparent: TRACEPARENT });
    await patch('gate', {});
    expect(began).toEqual([
      ['PATCH', '/api/streams/:id', { traceparent: TRACEPARENT, tracestate: 'shop=7' }],
      ['PATCH', '/api/streams/:id', { traceparent: TRACEPARENT, tracestate: undefined }],
    ]);
    await expect.poll(() => ended).toEqual([200, 404]);
    expect(seen).toEqual([IDS, IDS, undefined]);
  });

  it('are answered as ever if their header is no trace', async () => {
    const { url } = await openGateway(new RuntimeDouble(['gate']), { tracing: { request: () => null } });
    const reply = await fetch(`${url}/api/streams`, { headers: { traceparent: 'nothing' } });
    expect(reply.status).toBe(200);
  });
});
