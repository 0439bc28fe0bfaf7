// Search and filter of the breaking pairs or queries.

import type { Shown, View } from "../address";

export const FILTERS: [Shown, string][] = [
  ["changed", "all that change"],
  ["worse", "worse"],
  ["better", "better"],
  ["all", "changed or not"],
];

interface Props {
  view: View;
  what: string;
  onView(part: Partial<View>): void;
}

export function Filters({ view, what, onView }: Props) {
  return (
    <div class="filters">
      <label>
        Search {what}{" "}
        <input
          id="search"
          type="search"
          placeholder="words, or phenomenon=…"
          value={view.search}
          onInput={(event) => onView({ search: event.currentTarget.value })}
        />
      </label>
      <fieldset class="segments">
        <legend>Show</legend>
        {FILTERS.map(([shown, label]) => (
          <label key={shown}>
            <input type="radio" name="shown" checked={view.shown === shown} onChange={() => onView({ shown })} />
            <span>{label}</span>
          </label>
        ))}
      </fieldset>
    </div>
  );
}
