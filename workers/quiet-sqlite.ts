/** Node.js calls its SQLite experimental, in a warning at its import. Import this before. */
const { emitWarning } = process;
process.emitWarning = ((warning: string | Error, ...rest: [never]) => {
  if (!String(warning).startsWith('SQLite is an experimental feature')) emitWarning(warning, ...rest);
}) as typeof emitWarning;
