import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { StreamRules } from '../../src/fleet/control/orders/stream-rules.ts';
import { parseStream } from '../../src/settings/config/parse-stream.ts';
import { jsonSchemaOf, type SchemaNode } from '../../src/settings/config/schema-text.ts';
import { streamConfig } from '../../src/settings/config/stream.ts';
import { browserPath, browserTitle, openBrowser, until, visit } from '../support/chromium.ts';
import { LiveDouble } from '../support/live-double.ts';
import { openWholeGateway } from '../support/open-gateways.ts';
import { differences, fullStream } from '../support/sample-settings.ts';

type Settings = Record<string, unknown> & { readonly events: readonly { id: string; kind: string }[] };

interface Edit {
  readonly name: string;
  readonly tab: 'places' | 'settings';
  readonly edit: (form: Form) => Promise<void>;
  /** Settings that may differ afterwards: these, and what is below them. */
  readonly changed: readonly string[];
}

interface Form {
  readonly page: Page;
  readonly field: (key: string) => Locator;
  /** Opens the fields of an entry, such as `zones[1]`. */
  readonly open: (entry: string) => Promise<void>;
}

const KINDS = (fullStream('gate-1') as Settings).events.map(({ kind }) => kind);
const ruleAt = (kind: string): string => `events[${KINDS.indexOf(kind)}]`;

/** Types into the fields of the tab with the settings of the camera. */
const TYPED: Readonly<Record<string, string>> = {
  source: 'rtsp://10.0.0.9/2',
  maxFps: '15',
  every: '3',
  'target.fps': '5',
  'target.latencyMs': '300',
  restream: 'rtsp://media.example/2',
  scoreThreshold: '0.4',
  model: 'night',
  'track.lowScore': '0.3',
  'track.highScore': '0.55',
  'track.newScore': '0.65',
};

const settingEdits: readonly Edit[] = [
  ...Object.entries(TYPED).map(([key, text]) => ({
    name: `the field ${key}`,
    tab: 'settings' as const,
    edit: ({ field }: Form) => field(key).fill(text),
    changed: [key],
  })),
  {
    name: 'what is recorded',
    tab: 'settings',
    edit: async ({ field }) => void (await field('record').selectOption('events')),
    changed: ['record'],
  },
  {
    name: 'how it is shown live',
    tab: 'settings',
    edit: async ({ field }) => void (await field('live').selectOption('')),
    changed: ['live'],
  },
  {
    name: 'a label of the camera',
    tab: 'settings',
    edit: ({ page }) => page.click('[aria-label="Remove label car of this camera"]'),
    changed: ['labels[1]'],
  },
];

const placeEdits: readonly Edit[] = [
  ...['zones', 'lines', 'masks'].map((kind) => ({
    name: `a corner of one of the ${kind}`,
    tab: 'places' as const,
    edit: async ({ page, open }: Form) => {
      await open(`${kind}[1]`);
      const index = ['zones', 'lines', 'masks'].indexOf(kind) * 3 + 1;
      await page.focus(`.place-handles [data-handle="${index} 0"]`);
      await page.keyboard.press('ArrowLeft');
    },
    changed: [kind === 'lines' ? 'lines[1].from[0]' : `${kind}[1].polygon[0][0]`],
  })),
  {
    name: 'a label of a zone',
    tab: 'places',
    edit: async ({ page, open }) => {
      await open('zones[2]');
      await page.click('[aria-label="Remove label car of zone zones-3"]');
    },
    changed: ['zones[2].labels[1]'],
  },
  {
    name: 'the fill of a mask',
    tab: 'places',
    edit: async ({ field, open }) => {
      await open('masks[1]');
      await field('masks[1].fill').selectOption('black');
    },
    changed: ['masks[1].fill'],
  },
  {
    name: 'the name of a zone, which rules follow',
    tab: 'places',
    edit: async ({ field, open }) => {
      await open('zones[0]');
      await field('zones[0].id').fill('porch');
    },
    changed: [
      'zones[0].id',
      ...['leaves', 'enters', 'exits', 'dwells', 'count', 'speed', 'stationary'].map((kind) => `${ruleAt(kind)}.zone`),
    ],
  },
  {
    name: 'the name of a line, which rules follow',
    tab: 'places',
    edit: async ({ field, open }) => {
      await open('lines[0]');
      await field('lines[0].id').fill('kerb');
    },
    changed: ['lines[0].id', `${ruleAt('crosses')}.line`],
  },
  ...['zone', 'line', 'mask'].map((noun) => ({
    name: `a new ${noun}`,
    tab: 'places' as const,
    edit: ({ page }: Form) => page.click(`[aria-label="Add ${noun}"]`),
    changed: [`${noun}s[3]`],
  })),
];

const ruleEdits: readonly Edit[] = [
  ...KINDS.map((kind) => ({
    name: `the quiet time of a rule of the kind ${kind}`,
    tab: 'places' as const,
    edit: async ({ field, open }: Form) => {
      await open(ruleAt(kind));
      await field(`${ruleAt(kind)}.cooldown`).fill('90');
    },
    changed: [`${ruleAt(kind)}.cooldown`],
  })),
  {
    name: 'the seconds before in a clip',
    tab: 'places',
    edit: async ({ field, open }) => {
      await open('events[2]');
      await field('events[2].clip.before').fill('3');
    },
    changed: ['events[2].clip.before'],
  },
  {
    name: 'the days of a rule',
    tab: 'places',
    edit: async ({ field, open }) => {
      await open('events[2]');
      await field('events[2].times.on').selectOption('daily');
    },
    changed: ['events[2].times.on[0]'],
  },
  {
    name: 'a clip that is not kept any more',
    tab: 'places',
    edit: async ({ field, open }) => {
      await open('events[3]');
      await field('events[3].clip').selectOption('');
    },
    changed: ['events[3].clip'],
  },
  {
    name: 'a new rule',
    tab: 'places',
    edit: ({ page }) => page.click('[aria-label="Add rule"]'),
    changed: [`events[${KINDS.length}]`],
  },
  {
    name: 'the name of a rule, which a choice of detectors follows',
    tab: 'places',
    edit: async ({ field, open }) => {
      await open('events[0]');
      await field('events[0].id').fill('seen');
    },
    changed: ['events[0].id', 'modelWhen[0].event', 'modelWhen[1].event', 'modelWhen[2].event'],
  },
  {
    name: 'a rule that is deleted',
    tab: 'places',
    edit: ({ page }) => page.click(`[aria-label="Delete rule rule-${KINDS.length + 1}"]`),
    changed: [`events[${KINDS.length}]`],
  },
];

describe.skipIf(browserPath === undefined)(browserTitle('what is saved on the dashboard'), () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(() => browser.close());

  /** A page with a camera for which every setting is written; changes have the outcome that they have on a host. */
  async function openFull(): Promise<Form & { port: LiveDouble; settings: () => Settings; save: () => Promise<void> }> {
    const port = await LiveDouble.create(1);
    port.settings.set('gate-1', fullStream('gate-1'));
    const rules = new StreamRules({ defaults: {}, admit: () => undefined });
    port.changeStream = async (id, change, { check } = {}) => {
      const { settings, tag } = port.streamSettings(id);
      check?.(tag);
      port.settings.set(id, await rules.changed(settings, change));
      port.calls.push(`change ${id} ${JSON.stringify(change)}`);
      return port.report().streams[0]!;
    };
    const { url } = await openWholeGateway(port);
    const { page } = await visit(browser, `${url}/#stream=gate-1/settings`);
    await page.waitForSelector('.settings [name="source"]');
    const open = async (entry: string): Promise<void> => {
      const rule = /^events\[(\d+)\]$/.exec(entry)?.[1];
      const row = page.locator(rule === undefined ? `[data-place="${entry}"]` : `[data-rule="${rule}"]`);
      const pick = row.locator('.place-pick');
      if ((await pick.getAttribute('aria-expanded')) !== 'true') await pick.click();
      const more = row.locator('.rule-fields > .rule-more');
      if (rule !== undefined && (await more.getAttribute('open')) === null) await more.locator('> summary').click();
    };
    return {
      port,
      page,
      open,
      field: (key) => page.locator(`.settings [name="${key}"]`),
      settings: () => port.streamSettings('gate-1').settings as unknown as Settings,
      save: async () => {
        const saved = port.calls.length;
        await page.click('.settings [type="submit"]');
        const failure = page.locator('.form-error:not(:empty), .field-error:not(:empty)');
        await until(
          async () => port.calls.slice(saved).some((call) => call.startsWith('change')) || (await failure.count()) > 0,
        );
        expect(await failure.allTextContents()).toEqual([]);
        await until(async () => (await page.locator('.form-done').textContent()) === 'Saved.');
      },
    };
  }

  it('the sample has a value for every key of the schema, and is valid', () => {
    const sample = fullStream('gate-1');
    const missing = (node: SchemaNode, value: unknown, at: string): string[] =>
      Object.keys(node.properties ?? {}).flatMap((key) =>
        (value as Settings | undefined)?.[key] === undefined ? [`${at}${key}`] : [],
      );
    const schema = jsonSchemaOf(streamConfig);
    const entryOf = (key: string) => (schema.properties![key] as SchemaNode).items as SchemaNode;
    expect(missing(schema, sample, '')).toEqual([]);
    for (const key of ['zones', 'lines', 'masks'])
      expect(missing(entryOf(key), (sample[key] as unknown[])[0], `${key}.`)).toEqual([]);
    const kinds = entryOf('events').oneOf as readonly SchemaNode[];
    for (const [i, kind] of kinds.entries())
      expect(missing(kind, (sample as Settings).events[i], `${KINDS[i]}.`)).toEqual([]);
    expect(() => parseStream(sample, {})).not.toThrow();
  });

  it('each edit of each form changes what was edited and nothing else', async () => {
    const form = await openFull();
    const { page, settings, save } = form;
    for (const { name, tab, edit, changed } of [...settingEdits, ...ruleEdits, ...placeEdits]) {
      const before = structuredClone(settings());
      if (!page.url().endsWith(tab)) await page.click(`[data-camera-tab="${tab}"]`);
      await edit(form);
      await save();
      const found = differences(before, settings());
      const isExpected = (place: string): boolean =>
        changed.some((each) => place === each || place.startsWith(`${each}.`) || place.startsWith(`${each}[`));
      expect({ name, others: found.filter((place) => !isExpected(place)) }).toEqual({ name, others: [] });
      const kept = changed.filter((each) => !found.some((place) => place.startsWith(each)));
      expect({ name, kept }).toEqual({ name, kept: [] });
    }
    await page.close();
  });

  it('keys of a newer gateway stay, those of the entry that is edited too, and others are sent back byte for byte', async () => {
    const { page, open, field, settings } = await openFull();
    const future = { deep: [1, { b: 2, a: 1 }] };
    const withFuture = (entries: object[]) => entries.map((entry) => ({ ...entry, future }));
    const shown = settings() as unknown as Record<string, object[]>;
    const events = [
      ...withFuture(shown.events!).map((rule) => ({
        ...rule,
        clip: { ...(rule as { clip?: object }).clip, future },
        times: { ...(rule as { times?: object }).times, future },
      })),
      { future, kind: 'levitates', id: 'strange', height: '0s' },
    ];
    const lists: Record<string, object[]> = {
      events,
      zones: withFuture(shown.zones!),
      lines: withFuture(shown.lines!),
      masks: withFuture(shown.masks!),
    };
    let sent: Record<string, object[]> = {};
    await page.route('**/api/streams/gate-1', async (route) => {
      if (route.request().method() === 'GET') {
        const response = await route.fetch();
        const reply = await response.json();
        await route.fulfill({ response, json: { ...reply, settings: { ...reply.settings, ...lists } } });
      } else {
        sent = route.request().postDataJSON();
        await route.fulfill({ status: 200, json: {} });
      }
    });
    await page.reload();
    await page.click('[data-camera-tab="places"]');
    await page.waitForSelector('[data-rule="11"]');
    await open('events[1]');
    await field('events[1].clip.after').fill('9');
    await field('events[1].times.timeZone').fill('Europe/Rome');
    await field('events[1].id').fill('gone');
    await open('zones[1]');
    await field('zones[1].id').fill('drive');
    await open('masks[1]');
    await field('masks[1].fill').selectOption('black');
    await page.focus('.place-handles [data-handle="4 whole"]');
    await page.keyboard.press('ArrowLeft');
    await page.click('.settings [type="submit"]');
    await until(() => Object.keys(sent).length > 0);
    const edited: Record<string, string[]> = {
      events: ['[1].clip.after', '[1].id', '[1].times.timeZone'],
      zones: ['[1].id'],
      lines: ['[1].from[0]', '[1].to[0]'],
      masks: ['[1].fill'],
    };
    for (const [key, places] of Object.entries(edited)) {
      expect(differences(lists[key], sent[key]).toSorted()).toEqual(places);
      const others = (entries: object[]) => JSON.stringify(entries.toSpliced(1, 1));
      expect(others(sent[key]!)).toBe(others(lists[key]!));
    }
    // The page asks for its settings again after it saved.
    await page.unrouteAll({ behavior: 'ignoreErrors' });
    await page.close();
  });

  it('a rule and a zone that somebody else changes meanwhile keep that beside the edits of the same lists', async () => {
    const { port, page, open, field, settings } = await openFull();
    await page.click('[data-camera-tab="places"]');
    await open('zones[1]');
    await field('zones[1].id').fill('drive');
    await open('events[1]');
    await field('events[1].clip.after').fill('9');
    const before = structuredClone(settings());
    const theirs = structuredClone(before) as unknown as Record<string, Record<string, unknown>[]>;
    theirs.zones![0]!.minScore = 0.9;
    theirs.events![0]!.cooldown = '99s';
    theirs.events![1]!.cooldown = '98s';
    await port.changeStream('gate-1', { zones: theirs.zones, events: theirs.events });
    await page.click('.settings [type="submit"]');
    await page.click('.conflict >> text=Keep editing');
    await page.click('.settings [type="submit"]');
    await until(async () => (await page.locator('.form-done').textContent()) === 'Saved.');
    expect(differences(before, settings()).toSorted()).toEqual([
      'events[0].cooldown',
      'events[1].clip.after',
      'events[1].cooldown',
      'zones[0].minScore',
      'zones[1].id',
    ]);
    await page.close();
  });
});
