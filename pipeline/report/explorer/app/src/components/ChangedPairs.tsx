// Pairs that a grader grades otherwise: gold, before, after.

import { useState } from "preact/hooks";
import type { View } from "../address";
import { gradeFate, matcher, type Breaking } from "../breaking";
import { csv, plural, visible } from "../format";
import type { Model } from "../model";
import { Exports } from "./Exports";
import { Filters } from "./Filters";

const PAGE = 50;

interface Props {
  model: Model;
  view: View;
  broken: Breaking;
  onView(part: Partial<View>): void;
}

interface Row {
  pair: number;
  gold: number;
  before: number;
  after: number;
  fate: string;
}

export function ChangedPairs({ model, view, broken, onView }: Props) {
  const [length, setLength] = useState(PAGE);
  const { pairs } = model.data;
  const every: Row[] = broken.pairs.map((pair, place) => {
    const [gold, before, after] = [pairs.gold[pair], broken.before[place], broken.after[place]];
    return { pair, gold, before, after, fate: gradeFate(gold, before, after) };
  });
  const count = (fate: string) => every.filter((row) => row.fate === fate).length;
  const matches = matcher(model, view.search);
  const rows = every.filter((row) => isShown(row.fate, view.shown) && matches(row.pair));
  const mapped = new Map(model.data.maps.map((map, place) => [map.pair, place]));
  return (
    <div>
      <p id="tally">
        Without {broken.name}
        {broken.isEstimate ? " (estimate)" : ""}: <b class="worse">{count("worse")}</b> right to wrong,{" "}
        <b class="better">{count("better")}</b> wrong to right, <b>{count("other")}</b> wrong to another wrong, of{" "}
        {every.length} test pairs.
      </p>
      <Filters view={view} what="query and title" onView={onView} />
      <p class="note" role="status">
        {plural(rows.length, "pair")}
        {rows.length > length && `, the first ${length} listed`}. ◆ its attention can be looked at.
      </p>
      <div class="scroll tall" tabIndex={0} role="region" aria-label="Pairs">
        <table id="pairs">
          <thead>
            <tr>
              <th scope="col">query</th>
              <th scope="col">title</th>
              <th scope="col">gold</th>
              <th scope="col">with it</th>
              <th scope="col">without</th>
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, length).map((row) => (
              <tr key={row.pair} data-pair={row.pair} class={mapped.get(row.pair) === view.map ? "current" : ""}>
                <td dir="auto">{visible(pairs.queries[pairs.query[row.pair]])}</td>
                <td dir="auto">
                  {mapped.has(row.pair) ? (
                    <button type="button" class="link" onClick={() => onView({ map: mapped.get(row.pair) as number })}>
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
      <Exports files={[{ name: "pairs.csv", kind: "text/csv", text: () => pairsCsv(model, rows) }]} />
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

function pairsCsv(model: Model, rows: Row[]): string {
  const { queries, query, titles, rows: places } = model.data.pairs;
  const cells = rows.map((row) => [
    places[row.pair],
    queries[query[row.pair]],
    titles[row.pair],
    ...[row.gold, row.before, row.after].map((grade) => model.gradeText(grade)),
  ]);
  return csv([["row", "query", "title", "gold", "before", "after"], ...cells]);
}
