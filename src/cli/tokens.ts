import type { Command } from 'commander';
import { ID_PATTERN } from '../base/core/ids.ts';
import {
  changeTokensFile,
  ENVIRONMENT_TOKEN,
  hashOfToken,
  newToken,
  readTokensFile,
  type TokenRecord,
} from '../serve/gateway/access/tokens-file.ts';
import { durationMs } from '../settings/config/duration.ts';
import { ROLES } from '../wire/protocol/feed.ts';
import { type CliIo, JSON_FLAG, note, show, table, wrongCommand } from './cli-io.ts';
import { addFlags, type FlagsOf, type FlagTable, flagTable, required } from './flag-values.ts';

const FLAGS = flagTable({
  '--file <file>': 'tokens file (default: SIGHTLINE_TOKENS_FILE, else sightline/tokens.json in ~/.config)',
  ...JSON_FLAG,
});
const ADD_FLAGS = flagTable({
  ...FLAGS,
  '--role <role>': required('what it may do', ROLES),
  '--expires <when>': 'such as 12h, 30d, 2026-12-31 or 2026-12-31T18:00:00Z (default: never)',
});
type TokensFlags = FlagsOf<typeof FLAGS>;
type AddFlags = FlagsOf<typeof ADD_FLAGS>;

const HELP = `
Examples:
  sightline tokens add anna --role operator
  sightline tokens add prometheus --role metrics --expires 365d
  sightline tokens add visitor --role viewer --expires 2026-12-31
  sightline tokens list
  sightline tokens remove anna

Roles: metrics reads /metrics only; viewer reads everything; operator also changes streams and jobs; admin may do everything,
such as roll-outs and draining hosts. The file holds hashes: a token is printed once and cannot be shown again. Running
gateways read the file again when it changes, and close the connections of removed tokens.`;

/** Adds `tokens`: creates, lists and removes the tokens that gateways of this machine accept. */
export function addTokens(program: Command, io: CliIo): void {
  const tokens = program.command('tokens').addHelpText('after', HELP);
  const command = (usage: string, description: string, flags: FlagTable = FLAGS): Command =>
    addFlags(tokens.command(usage).description(description), flags);

  command('add <name>', 'create a token and print it once', ADD_FLAGS).action((name: string, flags: AddFlags) =>
    add(name, flags, io),
  );
  command('list', 'list names, roles and expiry').action((flags: TokensFlags) => list(flags, io));
  command('remove <name>', 'remove a token; what uses it is disconnected').action((name: string, flags: TokensFlags) =>
    remove(name, flags, io),
  );
}

async function add(name: string, { role, expires, ...flags }: AddFlags, io: CliIo): Promise<void> {
  if (!ID_PATTERN.test(name) || name === ENVIRONMENT_TOKEN)
    throw wrongCommand(
      `tokens add: expected a name of letters, digits, dot, dash and underscore, other than ${ENVIRONMENT_TOKEN}, received "${name}"`,
    );
  const nowMs = Date.now();
  const token = newToken();
  const record: TokenRecord = {
    name,
    role,
    hash: hashOfToken(token),
    createdAt: new Date(nowMs).toISOString(),
    ...(expires === undefined ? {} : { expiresAt: expiryOf(expires, nowMs) }),
  };
  const path = fileOf(flags, io);
  await changeTokensFile(path, (before) => {
    if (before.some((one) => one.name === name))
      throw wrongCommand(`tokens add: ${path} has a token "${name}" already; remove it first`);
    return [...before, record];
  });
  const { hash: _, ...shown } = record;
  if (flags.json !== true)
    note(
      io,
      `${name}, ${role}, ${expiryText(record, nowMs)}, in ${path}. This is the only time that the token is shown:`,
    );
  show(io, flags, { token, ...shown, file: path }, () => token);
}

async function list(flags: TokensFlags, io: CliIo): Promise<void> {
  const path = fileOf(flags, io);
  const records = await readTokensFile(path);
  const nowMs = Date.now();
  const rows = records.map((one) => [one.name, one.role, one.createdAt, expiryText(one, nowMs)]);
  const tokens = records.map(({ hash: _, ...shown }) => shown);
  show(io, flags, { file: path, tokens }, () =>
    rows.length === 0 ? `No tokens in ${path}.` : table([['name', 'role', 'created', 'expires'], ...rows]),
  );
}

async function remove(name: string, flags: TokensFlags, io: CliIo): Promise<void> {
  const path = fileOf(flags, io);
  await changeTokensFile(path, (before) => {
    if (before.some((one) => one.name === name)) return before.filter((one) => one.name !== name);
    const known = before.map((one) => one.name).join(', ') || 'none';
    throw wrongCommand(`tokens remove: ${path} has no token "${name}"; it has ${known}`);
  });
  show(io, flags, { file: path, removed: name }, () => `${name} is removed from ${path}`);
}

function fileOf({ file }: TokensFlags, { environment }: CliIo): string {
  const path = file ?? environment.tokensFile ?? environment.defaultTokensFile;
  if (path !== undefined) return path;
  throw wrongCommand('--file: expected the tokens file, received none');
}

/** @throws COMMAND_INVALID for an invalid time, or one that has passed. */
function expiryOf(text: string, nowMs: number): string {
  const inMs = durationMs(text, ['h', 'd']);
  // A day without a time means its end, in UTC.
  const dated = /^\d{4}-\d{2}-\d{2}$/.test(text) ? `${text}T23:59:59.999Z` : text;
  const isDate = /^\d{4}-\d{2}-\d{2}T.*(Z|[+-]\d{2}:\d{2})$/.test(dated);
  const atMs = isDate ? Date.parse(dated) : nowMs + inMs;
  if (atMs > nowMs && atMs < 8e15) return new Date(atMs).toISOString();
  throw wrongCommand(
    `--expires: expected a time in the future, such as 12h, 30d, 2026-12-31 or 2026-12-31T18:00:00Z, received "${text}"`,
  );
}

function expiryText({ expiresAt }: TokenRecord, nowMs: number): string {
  if (expiresAt === undefined) return 'never expires';
  return Date.parse(expiresAt) <= nowMs ? `expired ${expiresAt}` : `until ${expiresAt}`;
}
