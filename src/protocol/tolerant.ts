import { z } from 'zod';

/**
 * Returns a schema that strips unknown keys at any depth instead of refusing them. In settings written by a person an unknown
 * key is a typing mistake; in a record of another host it is a setting of a newer version.
 */
export function tolerant<S extends z.ZodType>(schema: S): S {
  return relaxed(schema) as S;
}

function relaxed(schema: z.ZodType): z.ZodType {
  if (schema instanceof z.ZodObject) {
    const shape = Object.fromEntries(
      Object.entries(schema.def.shape).map(([key, field]) => [key, relaxed(field as z.ZodType)]),
    );
    return schema.clone({ ...schema.def, shape, catchall: undefined } as never);
  }
  if (schema instanceof z.ZodArray)
    return schema.clone({ ...schema.def, element: relaxed(schema.def.element as z.ZodType) });
  if (schema instanceof z.ZodUnion)
    return schema.clone({ ...schema.def, options: schema.def.options.map((option) => relaxed(option as z.ZodType)) });
  if (
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodNullable ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault
  )
    return schema.clone({ ...schema.def, innerType: relaxed(schema.def.innerType as z.ZodType) } as never);
  return schema;
}
