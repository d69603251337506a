import { z } from 'zod';

/**
 * Makes a schema that leaves unknown keys out instead of refusing them, at any depth. Settings are strict where a person
 * writes them, since an unknown key is a slip of the pen; in a record of another host it is the setting of a newer version.
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
