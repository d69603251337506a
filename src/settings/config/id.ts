import { z } from 'zod';
import { ID_PATTERN } from '../../base/core/ids.ts';

/** A name that a user gives to something: a stream, zone, line, rule, host or token. */
export const id = z.string().regex(ID_PATTERN, 'expected letters, digits, dot, dash and underscore, at most 64');
