// Pairs that a grader grades otherwise: gold, and the grade in both states.

import type { View } from "../address";
import { gradeFate, matcher, type Row } from "../breaking";
import { visible } from "../format";
import type { Model } from "../model";
import { ChangedList, Title, type ChangedProps } from "./ChangedList";
import { Cell, Columns } from "./Parts";

interface GradedRow extends Row {
  gold: number;
  fate: string;
}

export function ChangedPairs(props: ChangedProps) {
  const { model, broken, shown, map, onMap } = props;
  const { pairs, maps } = model.data;
  const every: GradedRow[] = broken.pairs.map((pair, place) => {
    const [gold, before, after] = [pairs.gold[pair], broken.before[place], broken.after[place]];
    return { pair, gold, before, after, fate: gradeFate(gold, before, after) };
  });
  const count = (fate: string) => every.filter((row) => row.fate === fate).length;
  const matches = matcher(model, props.search);
  const found = every.filter((row) => isShown(row.fate, shown) && matches(row.pair));
  const mapped = new Map(maps.map((one, place) => [one.pair, place]));
  const listed = (rows: GradedRow[]) => (
    <table class="pairs" id={`${broken.id}pairs`}>
      <Columns names={["query", "title", "gold", ...broken.states]} />
      <tbody>
        {rows.map(({ pair, gold, before, after }) => (
          <tr key={pair} data-pair={pair} class={mapped.get(pair) === map ? "current" : ""}>
            <td dir="auto">{visible(pairs.queries[pairs.query[pair]])}</td>
            <Title text={visible(pairs.titles[pair])} map={mapped.get(pair) ?? -1} onMap={onMap} />
            <Cell>{model.gradeText(gold)}</Cell>
            {[before, after].map((grade, place) => (
              <td key={place} class={`number ${grade === gold ? "better" : "worse"}`}>
                {mark(model, grade, gold)}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
  return (
    <ChangedList {...props} {...{ found, listed }} thing="pair" plural="pairs" what="query and title" page={50} rows={(rows) => rows}>
      <b class="worse">{count("worse")}</b> right to wrong, <b class="better">{count("better")}</b> wrong to right,{" "}
      <b>{count("other")}</b> wrong to another wrong, of {every.length} test pairs.
    </ChangedList>
  );
}

function isShown(fate: string, shown: View["shown"]): boolean {
  return shown === "all" || (shown === "changed" ? fate !== "same" : fate === shown);
}

// Right and wrong grades differ by a sign too, not by colour alone.
function mark(model: Model, grade: number, gold: number): string {
  return `${grade === gold ? "✓" : "✗"} ${model.gradeText(grade)}`;
}
