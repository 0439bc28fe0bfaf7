// Changes on the parts of the test pairs, with intervals; a part is a link to its pairs.

import type { Measure, Slice } from "../contract";
import { csv } from "../format";
import * as format from "../format";
import { Exports } from "./Exports";
import { Bar, Cell, Change, Columns, Link, Note, Scroll } from "./Parts";

interface Props {
  caption: string;
  measure: Measure;
  slices: Slice[];
  changes: (number | null)[][];
  sure: number[];
  listed(column: string): boolean; // whether pairs can be found by it
  onFind(text: string): void;
}

export function Slices({ caption, measure, slices, changes, sure, listed, onFind }: Props) {
  const name = ({ column, value }: Slice) => `${column}: ${format.visible(value)}`;
  const sign = measure.better === "higher" ? -1 : 1;
  const harm = (place: number) => sign * (changes[place][0] ?? 0);
  const order = slices.map((_, place) => place).sort((a, b) => harm(b) - harm(a));
  const ends = changes.flat().map((value) => Math.abs(value ?? 0));
  const limit = Math.max(...ends) || 1;
  return (
    <div>
      <Scroll label={caption} class="scroll">
        <table id="slices">
          <caption>{caption}</caption>
          <Columns names={["where", "pairs", `${measure.label} (95% interval)`, `0 in the middle, ±${format.bound(measure, limit)}`]} />
          <tbody>
            {order.map((place) => (
              <tr key={place} data-slice={`${slices[place].column}=${slices[place].value}`}>
                <th scope="row">
                  {listed(slices[place].column) ? (
                    <Link onClick={() => onFind(`${slices[place].column}=${slices[place].value}`)}>
                      {name(slices[place])}
                    </Link>
                  ) : (
                    name(slices[place])
                  )}
                </th>
                <Cell>{slices[place].pairs}</Cell>
                <Cell class={sure.includes(place) ? (harm(place) > 0 ? "worse" : "better") : ""}>
                  {sure.includes(place) && "● "}
                  <Change measure={measure} estimate={changes[place]} />
                </Cell>
                <Interval estimate={changes[place]} limit={limit} />
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
      <Note>● the interval leaves out 0.</Note>
      <Exports files={[{ name: "slices.csv", kind: "text/csv", text: () => slicesCsv(measure, slices, changes) }]} />
    </div>
  );
}

function Interval({ estimate: [value, low, high], limit }: { estimate: (number | null)[]; limit: number }) {
  const x = (number: number) => 50 + (48 * number) / limit;
  return (
    <Bar>
      <rect class="zero" x="49.7" width="0.6" height="10" />
      {low !== null && high !== null && <rect class="range" x={x(low)} y="4" width={Math.max(0.5, x(high) - x(low))} height="2" />}
      {value !== null && <rect class="control" x={x(value) - 1} y="1.5" width="2" height="7" />}
    </Bar>
  );
}

function slicesCsv(measure: Measure, slices: Slice[], changes: (number | null)[][]): string {
  const rows = slices.map((slice, place) => [slice.column, slice.value, slice.pairs, slice.queries, measure.name, ...changes[place]]);
  return csv([["slice", "value", "pairs", "queries", "measure", "change", "change_low", "change_high"], ...rows]);
}
