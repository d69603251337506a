import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { inspect } from '../../src/config/check.ts';
import { kindOf, sinkConfig } from '../../src/sinks/sink-kinds.ts';
import { blocksOf, DOC_PAGES } from '../support/doc-code.ts';

/** The sinks of examples, by page. */
const examples = DOC_PAGES.flatMap((page) =>
  blocksOf(page).flatMap(({ lines }) => {
    const text = lines.join('\n');
    if (!/^sinks:/m.test(text)) return [];
    const { sinks } = parse(text) as { readonly sinks: readonly { readonly type: string }[] };
    return sinks.map((sink) => ({ page, sink }));
  }),
);

describe('the sinks of the pages', () => {
  it.each(examples)('$page: $sink.type has settings that a pipeline takes', ({ sink }) => {
    const { data, faults } = inspect(sinkConfig, sink);
    expect(faults).toEqual([]);
    expect(kindOf(data!).problem?.(data!) ?? null).toBeNull();
  });

  it('have an example of each kind that sends events', () => {
    const kinds = new Set(examples.filter(({ page }) => page === 'docs/messages.md').map(({ sink }) => sink.type));
    expect([...kinds].sort()).toEqual(['kafka', 'mail', 'mqtt', 'nats', 'redis-streams', 'webhook']);
  });
});
