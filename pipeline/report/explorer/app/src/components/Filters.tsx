// Search and filter of a list.

import { Choices } from "./Parts";

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
      <Choices legend="Show" name={`${id}shown`} {...{ choices, chosen, onChoose }} />
    </div>
  );
}
