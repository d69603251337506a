import './quiet-sqlite.ts';
import { parentPort, workerData } from 'node:worker_threads';
import type { HistoryRequest, HistoryThreadData } from '../src/after/history/history-records.ts';

/** Keeps the history of one pipeline in SQLite, whose calls block. */
const port = parentPort!;

// Imported late, since the import itself warns. Nothing else is kept from the log.
const { HistoryService } = await import('../src/after/history/history-service.ts');
const service = new HistoryService(workerData as HistoryThreadData, (message) => port.postMessage(message));
port.on('message', async (request: HistoryRequest) => {
  await service.handle(request);
  if (request.method === 'close') port.close();
});
