// What differs between two runs: heads, and predictions of the pairs that both have.

import { useMemo } from "preact/hooks";
import { ASPECTS, type Aspect, type View } from "../address";
import { betweenRuns } from "../breaking";
import type { Comparison, HeadChange } from "../contract";
import { csv, plural, visible } from "../format";
import type { Model } from "../model";
import { ChangedPairs } from "./ChangedPairs";
import { ChangedQueries } from "./ChangedQueries";
import { Exports } from "./Exports";
import { Filters } from "./Filters";
import { Choices, Columns, Link, Note, Panel, Scroll } from "./Parts";

interface Props {
  model: Model; // of the run shown
  comparison: Comparison;
  view: View;
  onView(part: Partial<View>): void;
  onRun(run: number): void;
  onSelect(head: number): void;
}

export function BetweenRuns({ model, comparison, view, onView, onRun, onSelect }: Props) {
  const { names, limits, heads, pairs } = comparison;
  const broken = useMemo(() => pairs && betweenRuns(pairs, view.run), [view.run]);
  const Changed = model.isRanker ? ChangedQueries : ChangedPairs;
  return (
    <Panel class="between" id="runs" title="Two runs compared">
      <Choices
        legend="Run shown below"
        name="run"
        choices={names.map((name, run) => [run, `${run ? "second" : "first"}: ${visible(name)}`])}
        chosen={view.run}
        onChoose={onRun}
      />
      {limits.map((limit) => (
        <p class="limit" key={limit}>
          {limit}
        </p>
      ))}
      <div class="columns">
        {heads && <ChangedHeads {...{ model, heads, view, onView, onSelect }} />}
        {broken && (
          <Changed
            {...{ model, broken }}
            {...{ shown: view.moved, search: view.pairSearch, map: view.map }}
            onShown={(moved) => onView({ moved })}
            onSearch={(pairSearch) => onView({ pairSearch })}
            onMap={(map) => onView({ map })}
          />
        )}
      </div>
    </Panel>
  );
}

interface HeadsProps {
  model: Model;
  heads: HeadChange[];
  view: View;
  onView(part: Partial<View>): void;
  onSelect(head: number): void;
}

function ChangedHeads({ model, heads, view, onView, onSelect }: HeadsProps) {
  const words = view.headSearch.toLowerCase().split(/\s+/);
  const cells = ({ head, what, first, second }: HeadChange) => [model.short(head), what, first, second];
  const count = (aspect: Aspect) => heads.filter(({ what }) => what === aspect).length;
  const shown = heads.filter(
    (change) =>
      (view.aspect === "all" || view.aspect === change.what) && words.every((word) => cells(change).join(" ").includes(word)),
  );
  return (
    <div>
      <p id="heads-tally">
        Heads with another verdict in the second run: <b>{count("verdict")}</b>; with other labels: <b>{count("labels")}</b>; with
        another pruning decision: <b>{count("decision")}</b>.
      </p>
      <Filters
        id="heads-"
        what="heads"
        example="2.9, or needed"
        search={view.headSearch}
        choices={ASPECTS}
        chosen={view.aspect}
        onSearch={(headSearch) => onView({ headSearch })}
        onChoose={(aspect) => onView({ aspect })}
      />
      <Note role="status">
        {plural(shown.length, "change")} shown.
      </Note>
      <Scroll label="Heads that changed">
        <table id="changed-heads">
          <Columns names={["head", "what", "first run", "second run"]} />
          <tbody>
            {shown.map(({ head, what, first, second }) => (
              <tr key={`${head} ${what}`} data-change={`${model.short(head)} ${what}`} class={head === view.head ? "current" : ""}>
                <td>
                  <Link title={model.data.heads[head].sentence} onClick={() => onSelect(head)}>
                    {model.short(head)}
                  </Link>
                </td>
                <td>{what}</td>
                <td>{first}</td>
                <td>→ {second}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
      <Exports files={[{ name: "changed-heads.csv", kind: "text/csv", text: () => headsCsv(model, shown) }]} />
    </div>
  );
}

function headsCsv(model: Model, changes: HeadChange[]): string {
  const rows = changes.map(({ head, what, first, second }) => {
    const { layer, head: place } = model.data.heads[head];
    return [layer, place, what, first, second];
  });
  return csv([["layer", "head", "what", "first", "second"], ...rows]);
}
