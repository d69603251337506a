import { parentPort, workerData } from 'node:worker_threads';
import type { HistoryRequest, HistoryThreadData } from '../src/history/history-records.ts';

/** Keeps the history of one pipeline in SQLite, whose calls block. */
const port = parentPort!;

// Node.js calls its SQLite experimental. Nothing else is kept from the log.
const { emitWarning } = process;
process.emitWarning = ((warning: string | Error, ...rest: [never]) => {
  if (!String(warning).startsWith('SQLite is an experimental feature')) emitWarning(warning, ...rest);
}) as typeof emitWarning;

// Imported late, since the import itself warns.
const { HistoryService } = await import('../src/history/history-service.ts');
const service = new HistoryService(workerData as HistoryThreadData, (message) => port.postMessage(message));
port.on('message', (request: HistoryRequest) => {
  service.handle(request);
  if (request.method === 'close') port.close();
});
