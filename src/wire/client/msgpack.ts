/** A gateway serves its own copy of MessagePack in place of this file: browsers cannot find a package by its name. */
export { decode } from '@msgpack/msgpack';
