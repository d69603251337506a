type Settings = Readonly<Record<string, unknown>>;

/**
 * Returns settings with a change: sections merge key by key, lists and all else are replaced, and null removes a key
 * (RFC 7396, JSON Merge Patch).
 */
export function mergeSettings(settings: Settings, change: Settings): Record<string, unknown> {
  const merged = new Map(Object.entries(settings));
  for (const [key, value] of Object.entries(change)) {
    const before = merged.get(key);
    if (value === null) merged.delete(key);
    else merged.set(key, isSection(value) ? mergeSettings(isSection(before) ? before : {}, value) : value);
  }
  return Object.fromEntries(merged);
}

/** Whether a value is neither a list nor a single one. */
export function isSection(value: unknown): value is Settings {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
