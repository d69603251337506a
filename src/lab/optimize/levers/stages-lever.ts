import type { StageConfig } from '../../../settings/config/stages.ts';

/** What the lever changes of a second stage. */
export interface StageChoice extends Pick<StageConfig, 'name' | 'per' | 'again'> {
  readonly model: string;
}

/** Settings of a model file that do not apply to another file. */
export const FILE_SETTINGS = ['family', 'labels', 'colours', 'range', 'resize'] as const;
/** With `per: track`, times after which an object is looked at again. */
const AGAIN = [undefined, '1s', '2s', '5s'] as const;
const PER = ['track', 'bestOfTrack', 'frame'] as const;

/** All second stages as one value, so that they are searched together; empty without any. */
export function stageChoices(stages: readonly StageConfig[]): StageChoice[] {
  return stages.map(({ name, model, per, again }) => ({ name, model: model.name, per, again }));
}

/** `name model per again`, apart by semicolons. */
export function stagesText(choices: readonly StageChoice[]): string {
  const parts = choices.map(({ name, model, per, again }) =>
    [name, model, per, ...(again === undefined ? [] : [again])].join(' '),
  );
  return parts.join('; ');
}

/** Values in which one second stage looks at another pace, or by another model for the same attributes. */
export function otherStages(
  choices: readonly StageChoice[],
  models: ReadonlyMap<string, readonly string[]> = new Map(),
): (readonly StageChoice[])[] {
  return choices.flatMap((choice, i) =>
    othersOf(choice, models.get(choice.name) ?? []).map((other) => choices.with(i, other)),
  );
}

/** What to write into a pipeline with these second stages; undefined removes a setting. */
export function stageSettings(
  stages: readonly StageConfig[],
  choices: readonly StageChoice[],
): (readonly [string, unknown])[] {
  return choices.flatMap(({ model, per, again }, i) => {
    const own = stages[i]!;
    const settings: [string, unknown, unknown][] = [
      ['per', own.per, per],
      ['again', own.again, again],
      ['model.name', own.model.name, model],
      ...FILE_SETTINGS.map((key): [string, unknown, unknown] => {
        const now = own.model[key];
        return [`model.${key}`, now, own.model.name === model ? now : undefined];
      }),
    ];
    return settings
      .filter(([, now, next]) => now !== next)
      .map(([key, , next]) => [`stages.${i}.${key}`, next] as const);
  });
}

function othersOf(choice: StageChoice, models: readonly string[]): StageChoice[] {
  const paces = PER.flatMap((per) =>
    (per === 'track' ? AGAIN : [undefined]).map((again) => ({ ...choice, per, again })),
  );
  return [...paces, ...models.map((model) => ({ ...choice, model }))];
}
