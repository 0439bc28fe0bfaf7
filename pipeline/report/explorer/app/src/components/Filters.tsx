// Search and filter of a list.

import type { Shown } from "../address";

export const FILTERS: [Shown, string][] = [
  ["changed", "all that change"],
  ["worse", "worse"],
  ["better", "better"],
  ["all", "changed or not"],
];

export const EXAMPLE = "words, or phenomenon=…"; // of a search for pairs

interface Props<Choice extends string> {
  id: string; // before those of its elements
  what: string;
  example: string;
  search: string;
  choices: [Choice, string][];
  chosen: Choice;
  onSearch(search: string): void;
  onChoose(chosen: Choice): void;
}

export function Filters<Choice extends string>({ id, what, example, search, choices, chosen, onSearch, onChoose }: Props<Choice>) {
  return (
    <div class="filters">
      <label>
        Search {what}{" "}
        <input id={`${id}search`} type="search" placeholder={example} value={search} onInput={(event) => onSearch(event.currentTarget.value)} />
      </label>
      <fieldset class="segments">
        <legend>Show</legend>
        {choices.map(([choice, label]) => (
          <label key={choice}>
            <input type="radio" name={`${id}shown`} checked={chosen === choice} onChange={() => onChoose(choice)} />
            <span>{label}</span>
          </label>
        ))}
      </fieldset>
    </div>
  );
}
