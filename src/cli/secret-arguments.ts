import { readFileSync } from 'node:fs';
import { redact } from '../base/core/redact.ts';
import { wrongCommand } from './cli-io.ts';

const TOKEN_FLAG = /^--token(=|$)/;
/** Flags with an address that can hold a password. */
const ADDRESS_FLAG = /^--(?:redis|url)(?:=|$)/;
const WHY = 'every user of this machine can read it there';

/**
 * Prepares a command line: an argument `@FILE` becomes the text of that file, a flag with a secret is refused, and a source with a
 * password is warned of. The arguments of a process are no place for secrets: all users can read them, and shells keep them.
 *
 * @param warn - receives a sentence that does not repeat the secret.
 * @returns the arguments to parse. A file whose own name begins with `@` is written `./@name`.
 * @throws COMMAND_INVALID
 */
export function withoutSecrets(args: readonly string[], warn: (text: string) => void): string[] {
  return args.map((argument, i) => {
    if (argument.startsWith('@') && argument.length > 1) return readArgument(argument.slice(1));
    if (TOKEN_FLAG.test(argument))
      throw wrongCommand(
        `--token: expected no token on the command line, ${WHY}. Set SIGHTLINE_TOKEN, or write the token to a file and name ` +
          'it with --token-file FILE',
      );
    if (redact(argument) === argument) return argument;
    const flag = [argument, args[i - 1] ?? ''].find((text) => ADDRESS_FLAG.test(text));
    if (flag !== undefined)
      throw wrongCommand(
        `${flag.split('=')[0]} ${redact(argument).replace(ADDRESS_FLAG, '')}: expected no password on the command line, ${WHY}. ` +
          'Write the address to a file and pass @FILE in its place, or set REDIS_URL for the Redis of a fleet',
      );
    warn(
      `warning: ${redact(argument)}: a password on the command line, ${WHY}; write the address to a file and pass @FILE`,
    );
    return argument;
  });
}

function readArgument(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    const message = `@${path}: expected a file that holds the argument: ${(error as Error).message}`;
    throw wrongCommand(message, { path });
  }
}
