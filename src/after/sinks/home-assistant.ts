/** What a device of Home Assistant is made of. */
export interface DiscoveredStream {
  /** Name of the stream. */
  readonly id: string;
  /** Labels that are counted. */
  readonly labels: readonly string[];
  readonly zones: readonly string[];
  /** Topic of its state, see `StreamState` in `retained-state.ts`. */
  readonly stateTopic: string;
  /** Topic that says `online` or `offline` for the host that publishes the state. */
  readonly statusTopic: string;
}

type Component = Readonly<Record<string, unknown>> & { readonly platform: 'sensor' | 'binary_sensor' };

/** Returns a text of letters, digits, `-` and `_` alone, another one for each other text. */
export function identifierOf(text: string): string {
  const hex = (character: string): string =>
    [...Buffer.from(character)].map((byte) => `_${byte.toString(16).padStart(2, '0')}`).join('');
  return text.replaceAll(/[^A-Za-z0-9-]/gu, hex);
}

/**
 * Returns what Home Assistant discovers a stream by: one device with a sensor for each label and zone, and binary sensors for occupied zones, for
 * missed targets and for the connection.
 *
 * @param device - identifies it: letters, digits, `-` and `_`.
 * @param earlier - platforms of components that an earlier call returned, by key: those that are gone are removed. Receives the new ones.
 * @see https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload
 */
export function discoveryOf(device: string, stream: DiscoveredStream, earlier: Map<string, string>): object {
  const current = componentsOf(stream);
  const gone = [...earlier].filter(([key]) => !(key in current)).map(([key, platform]) => [key, { platform }]);
  for (const [key, { platform }] of Object.entries(current)) earlier.set(key, platform);
  const components = Object.entries(current).map(([key, component]) => [
    key,
    { ...component, unique_id: `${device}__${key}` },
  ]);
  return {
    device: { identifiers: [device], name: plain(stream.id), manufacturer: 'Sightline', model: 'Stream' },
    origin: { name: 'Sightline' },
    availability: [{ topic: stream.statusTopic }],
    state_topic: stream.stateTopic,
    components: Object.fromEntries([...components, ...gone]),
  };
}

function componentsOf({ labels, zones, stateTopic, statusTopic }: DiscoveredStream): Record<string, Component> {
  // Counts are known only while frames come.
  const counted = {
    availability: [
      { topic: statusTopic },
      { topic: stateTopic, value_template: "{{ 'online' if value_json.up else 'offline' }}" },
    ],
    availability_mode: 'all',
  };
  const components: Record<string, Component> = {
    up: {
      platform: 'binary_sensor',
      name: 'Connection',
      device_class: 'connectivity',
      entity_category: 'diagnostic',
      value_template: isOn('value_json.up'),
    },
    target: {
      platform: 'binary_sensor',
      name: 'Target missed',
      device_class: 'problem',
      entity_category: 'diagnostic',
      value_template: isOn('value_json.targetMissed'),
    },
  };
  const sensor = { platform: 'sensor', state_class: 'measurement', ...counted } as const;
  for (const label of labels)
    components[`label__${identifierOf(label)}`] = {
      ...sensor,
      name: plain(label),
      value_template: `{{ ${countOf('labels', label)} }}`,
    };
  for (const zone of zones) {
    const key = `zone__${identifierOf(zone)}`;
    const count = countOf('zones', zone);
    components[key] = { ...sensor, name: `${plain(zone)} count`, value_template: `{{ ${count} }}` };
    components[`${key}__occupied`] = {
      platform: 'binary_sensor',
      name: `${plain(zone)} occupied`,
      device_class: 'occupancy',
      value_template: isOn(`${count} > 0`),
      ...counted,
    };
  }
  return components;
}

function isOn(expression: string): string {
  return `{{ 'ON' if ${expression} else 'OFF' }}`;
}

function countOf(group: 'labels' | 'zones', name: string): string {
  return `value_json.${group}.get(${templateText(name)}, 0)`;
}

/** Returns a text as a literal of a template, in which no character can end it. */
function templateText(text: string): string {
  const escaped = text.replaceAll(/[^A-Za-z0-9 -]/gu, (character) => {
    const point = character.codePointAt(0)!.toString(16);
    return point.length > 4 ? `\\U${point.padStart(8, '0')}` : `\\u${point.padStart(4, '0')}`;
  });
  return `"${escaped}"`;
}

function plain(text: string): string {
  return text.replaceAll(/\p{Cc}+/gu, ' ');
}
