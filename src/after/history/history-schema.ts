/** Version of the tables, as `PRAGMA user_version` has it. */
export const SCHEMA_VERSION = 5;

const SEEING = `CREATE TABLE seeing (stream TEXT, time_s INTEGER, reason TEXT, ms REAL NOT NULL,
  PRIMARY KEY (stream, time_s, reason)) WITHOUT ROWID;`;

const KEPT = 'CREATE TABLE kept (key TEXT PRIMARY KEY, time_ms INTEGER NOT NULL, json TEXT NOT NULL) WITHOUT ROWID;';

/** Vectors are apart, so that they can be overwritten: `kept-embeddings.ts` says why. */
const EMBEDDINGS = `CREATE TABLE embeddings (id INTEGER PRIMARY KEY, stream TEXT NOT NULL, run TEXT NOT NULL, track INTEGER NOT NULL,
  attribute TEXT NOT NULL, label TEXT NOT NULL, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL, first_us INTEGER NOT NULL,
  last_us INTEGER NOT NULL, best_ms INTEGER NOT NULL, best_us INTEGER NOT NULL, box TEXT NOT NULL, width INTEGER NOT NULL,
  height INTEGER NOT NULL, model TEXT NOT NULL, UNIQUE (stream, track, run, attribute));
CREATE INDEX embeddings_by_time ON embeddings (last_ms);
CREATE TABLE vectors (id INTEGER PRIMARY KEY REFERENCES embeddings ON DELETE CASCADE, filler BLOB NOT NULL, vector BLOB NOT NULL,
  tail BLOB NOT NULL);`;

/** Empties the tables of embeddings. A page of a table that is dropped is overwritten as a whole. */
export const NO_EMBEDDINGS = `DROP TABLE IF EXISTS vectors; DROP TABLE IF EXISTS embeddings; ${EMBEDDINGS}`;

/** Small pictures of events, and what they show. */
const PICTURES = `CREATE TABLE pictures (event TEXT NOT NULL, moment TEXT NOT NULL, time_ms INTEGER NOT NULL, facts TEXT NOT NULL, jpeg BLOB NOT NULL,
  PRIMARY KEY (event, moment));
CREATE INDEX pictures_by_time ON pictures (time_ms);`;

/** What makes the next version of the tables of each earlier one. */
export const MIGRATIONS: Readonly<Record<number, string>> = {
  1: `${SEEING} ${KEPT}`,
  2: '',
  3: NO_EMBEDDINGS,
  4: PICTURES,
};
/** Versions of the tables whose deleted embeddings were not overwritten everywhere. */
export const CARELESS_VERSION = 3;

const EVENTS = `(
  id INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, kind TEXT NOT NULL, stream TEXT, host TEXT, message TEXT NOT NULL,
  event TEXT, seq INTEGER, phase TEXT, rule TEXT, label TEXT, zone TEXT, line TEXT, delivered INTEGER, json TEXT NOT NULL)`;

/** Columns of `events` except its key. */
export const EVENT_COLUMNS =
  'time_ms, kind, stream, host, message, event, seq, phase, rule, label, zone, line, delivered, json';

/** The tables of figures. Each key begins with the stream and a time in seconds since 1970. */
export const FIGURE_TABLES = ['counts', 'occupancy', 'seen', 'seeing', 'heat', 'figures'] as const;

/** Makes the tables of a history; docs/history.md describes them. */
export const TABLES = `
CREATE TABLE events ${EVENTS};
CREATE TABLE counts (stream TEXT, time_s INTEGER, line TEXT, direction TEXT, label TEXT, count INTEGER NOT NULL,
  PRIMARY KEY (stream, time_s, line, direction, label)) WITHOUT ROWID;
CREATE TABLE occupancy (stream TEXT, time_s INTEGER, zone TEXT, most INTEGER NOT NULL, object_ms REAL NOT NULL,
  occupied_ms REAL NOT NULL, arrivals INTEGER NOT NULL, PRIMARY KEY (stream, time_s, zone)) WITHOUT ROWID;
CREATE TABLE seen (stream TEXT, time_s INTEGER, frames INTEGER NOT NULL, seen_ms REAL NOT NULL,
  PRIMARY KEY (stream, time_s)) WITHOUT ROWID;
${SEEING}
${KEPT}
${EMBEDDINGS}
${PICTURES}
CREATE TABLE heat (stream TEXT, time_s INTEGER, cell INTEGER, object_ms REAL NOT NULL,
  PRIMARY KEY (stream, time_s, cell)) WITHOUT ROWID;
CREATE TABLE figures (stream TEXT, time_s INTEGER, step_s INTEGER, fps_in REAL, fps_published REAL, p50_ms REAL, p95_ms REAL,
  p99_ms REAL, PRIMARY KEY (stream, time_s, step_s)) WITHOUT ROWID;
${indicesOf('main')}
PRAGMA user_version = ${SCHEMA_VERSION};`;

/** Events that the disk refuses wait here, and searches find them. */
export const SPARE_TABLES = `
ATTACH ':memory:' AS spare;
CREATE TABLE spare.events ${EVENTS};
${indicesOf('spare')}
CREATE TEMP VIEW known AS SELECT * FROM main.events UNION ALL SELECT * FROM spare.events;`;

function indicesOf(schema: 'main' | 'spare'): string {
  return `
CREATE INDEX ${schema}.events_by_time ON events (time_ms, id);
CREATE INDEX ${schema}.events_by_kind ON events (kind, time_ms, id);
CREATE INDEX ${schema}.events_by_stream ON events (stream, time_ms, id);
CREATE INDEX ${schema}.events_of_rules ON events (time_ms, id) WHERE event IS NOT NULL;
CREATE UNIQUE INDEX ${schema}.records ON events (event, seq) WHERE event IS NOT NULL;`;
}

/** The statements that add rows, by table. Rows of the same key are added up. */
export const ADD_ROWS = {
  counts: 'INSERT INTO counts VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count',
  occupancy: `INSERT INTO occupancy VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET most = max(most, excluded.most),
    object_ms = object_ms + excluded.object_ms, occupied_ms = occupied_ms + excluded.occupied_ms,
    arrivals = arrivals + excluded.arrivals`,
  seen: `INSERT INTO seen VALUES (?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET frames = frames + excluded.frames, seen_ms = seen_ms + excluded.seen_ms`,
  seeing: 'INSERT INTO seeing VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET ms = ms + excluded.ms',
  heat: 'INSERT INTO heat VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET object_ms = object_ms + excluded.object_ms',
  figures: 'INSERT OR REPLACE INTO figures VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
} as const satisfies Record<(typeof FIGURE_TABLES)[number], string>;
