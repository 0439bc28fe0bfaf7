// Pairs that a grader grades otherwise: gold, and the grade in both states.

import { useState } from "preact/hooks";
import type { View } from "../address";
import { gradeFate, matcher, pairsCsv, type Breaking, type Row } from "../breaking";
import { plural, visible } from "../format";
import type { Model } from "../model";
import { Exports } from "./Exports";
import { EXAMPLE, Filters, FILTERS } from "./Filters";

const PAGE = 50;

export interface ChangedProps {
  model: Model;
  broken: Breaking;
  shown: View["shown"];
  search: string;
  map: number;
  onShown(shown: View["shown"]): void;
  onSearch(search: string): void;
  onMap(map: number): void;
}

interface GradedRow extends Row {
  gold: number;
  fate: string;
}

export function ChangedPairs({ model, broken, shown, search, map, onShown, onSearch, onMap }: ChangedProps) {
  const [length, setLength] = useState(PAGE);
  const { pairs } = model.data;
  const every: GradedRow[] = broken.pairs.map((pair, place) => {
    const [gold, before, after] = [pairs.gold[pair], broken.before[place], broken.after[place]];
    return { pair, gold, before, after, fate: gradeFate(gold, before, after) };
  });
  const count = (fate: string) => every.filter((row) => row.fate === fate).length;
  const matches = matcher(model, search);
  const rows = every.filter((row) => isShown(row.fate, shown) && matches(row.pair));
  const mapped = new Map(model.data.maps.map((one, place) => [one.pair, place]));
  return (
    <div>
      <p id={`${broken.id}tally`}>
        {broken.lead}: <b class="worse">{count("worse")}</b> right to wrong,{" "}
        <b class="better">{count("better")}</b> wrong to right, <b>{count("other")}</b> wrong to another wrong, of{" "}
        {every.length} test pairs.
      </p>
      <Filters id={broken.id} what="query and title" example={EXAMPLE} search={search} choices={FILTERS} chosen={shown} onSearch={onSearch} onChoose={onShown} />
      <p class="note" role="status">
        {plural(rows.length, "pair")}
        {rows.length > length && `, the first ${length} listed`}. ◆ its attention can be looked at.
      </p>
      <div class="scroll tall" tabIndex={0} role="region" aria-label={`Pairs: ${broken.lead}`}>
        <table class="pairs" id={`${broken.id}pairs`}>
          <thead>
            <tr>
              <th scope="col">query</th>
              <th scope="col">title</th>
              <th scope="col">gold</th>
              {broken.states.map((state) => (
                <th scope="col" key={state}>
                  {state}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, length).map((row) => (
              <tr key={row.pair} data-pair={row.pair} class={mapped.get(row.pair) === map ? "current" : ""}>
                <td dir="auto">{visible(pairs.queries[pairs.query[row.pair]])}</td>
                <td dir="auto">
                  {mapped.has(row.pair) ? (
                    <button type="button" class="link" onClick={() => onMap(mapped.get(row.pair) as number)}>
                      ◆ {visible(pairs.titles[row.pair])}
                    </button>
                  ) : (
                    visible(pairs.titles[row.pair])
                  )}
                </td>
                <td class="number">{model.gradeText(row.gold)}</td>
                <td class={`number ${row.before === row.gold ? "better" : "worse"}`}>{mark(model, row.before, row.gold)}</td>
                <td class={`number ${row.after === row.gold ? "better" : "worse"}`}>{mark(model, row.after, row.gold)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {rows.length > length && (
        <button type="button" onClick={() => setLength(length + PAGE)}>
          list {Math.min(PAGE, rows.length - length)} of {rows.length - length} more
        </button>
      )}
      <Exports files={[{ name: `${broken.id}pairs.csv`, kind: "text/csv", text: () => pairsCsv(model, rows) }]} />
    </div>
  );
}

function isShown(fate: string, shown: View["shown"]): boolean {
  return shown === "all" || (shown === "changed" ? fate !== "same" : fate === shown);
}

// Right and wrong grades differ by a sign too, not by colour alone.
function mark(model: Model, grade: number, gold: number): string {
  return `${grade === gold ? "✓" : "✗"} ${model.gradeText(grade)}`;
}
