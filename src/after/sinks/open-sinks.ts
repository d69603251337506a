import { SightlineError } from '../../base/errors/sightline-error.ts';
import { OutputLock } from './output-lock.ts';
import { ReceiverThread } from './receiver-thread.ts';
import { ResultSinks, type SinkBinding } from './result-sinks.ts';
import type { SinkContext } from './sink-kind.ts';
import { kindOf, type SinkConfig, sinkId } from './sink-kinds.ts';

export interface SinksContext extends Omit<SinkContext, 'id' | 'onRecovery' | 'connect'> {
  readonly onRecovery: (sinkId: string, lostResults: number) => void;
}

/**
 * Opens the sinks of a pipeline that need no pictures; those that draw are opened later, when the size of their pictures
 * is known. The files of all sinks are locked now. Other failures are reported later, through `onFailure` and at close:
 * a sink never stops a stream.
 *
 * @throws SINK_BUSY if another pipeline writes one of the files, CONFIG_INVALID if a sink cannot work here.
 */
export async function openSinks(configs: readonly SinkConfig[], context: SinksContext): Promise<ResultSinks> {
  configs.forEach((config, i) => {
    const problem = kindOf(config).problem?.(config) ?? null;
    if (problem !== null) throw new SightlineError('CONFIG_INVALID', `sinks.${i}.${problem}`);
  });
  const locks = await lockOutputs(
    configs.map((config, i) => ({ id: sinkId(config, i), path: kindOf(config).file(config) ?? '-' })),
  );
  const bindings: SinkBinding[] = [];
  const receivers = new ReceiverThread();
  try {
    for (const [i, config] of configs.entries()) {
      const id = sinkId(config, i);
      const onRecovery = (lostResults = 0): void => context.onRecovery(id, lostResults);
      const opened = await kindOf(config).open?.(config, { ...context, id, onRecovery, connect: receivers.connect });
      if (opened === undefined) continue;
      if (opened.lock != null) locks.push(opened.lock);
      const streams = config.streams === undefined ? null : new Set(config.streams);
      bindings.push({ sink: opened.sink, streams, filter: 'filter' in config ? config.filter : undefined });
    }
  } catch (error) {
    await new ResultSinks(bindings, locks, receivers).close();
    throw error;
  }
  return new ResultSinks(bindings, locks, receivers);
}

/** Locks all of these files or none. @throws SINK_BUSY */
export async function lockOutputs(outputs: readonly { id: string; path: string }[]): Promise<OutputLock[]> {
  const locks: OutputLock[] = [];
  try {
    for (const { id, path } of outputs) {
      const lock = path === '-' ? null : await OutputLock.take(path, id);
      if (lock !== null) locks.push(lock);
    }
  } catch (error) {
    await Promise.all(locks.map((lock) => lock.release()));
    throw error;
  }
  return locks;
}
