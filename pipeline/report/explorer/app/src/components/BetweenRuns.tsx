// What differs between two runs: heads, and predictions of the pairs that both have.

import { useMemo } from "preact/hooks";
import type { Aspect, View } from "../address";
import { betweenRuns } from "../breaking";
import type { Comparison, HeadChange } from "../contract";
import { csv, plural, visible } from "../format";
import type { Model } from "../model";
import { ChangedPairs } from "./ChangedPairs";
import { ChangedQueries } from "./ChangedQueries";
import { Exports } from "./Exports";
import { Filters } from "./Filters";

const ASPECTS: [Aspect, string][] = [
  ["all", "all that change"],
  ["verdict", "verdict"],
  ["labels", "labels"],
  ["decision", "decision"],
];

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
    <section class="between" aria-labelledby="runs-title">
      <h2 id="runs-title">Two runs compared</h2>
      <fieldset class="segments">
        <legend>Run shown below</legend>
        {names.map((name, run) => (
          <label key={run}>
            <input type="radio" name="run" checked={view.run === run} onChange={() => onRun(run)} />
            <span dir="auto">
              {run ? "second" : "first"}: {visible(name)}
            </span>
          </label>
        ))}
      </fieldset>
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
    </section>
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
      <p class="note" role="status">
        {plural(shown.length, "change")} shown.
      </p>
      <div class="scroll tall" tabIndex={0} role="region" aria-label="Heads that changed">
        <table id="changed-heads">
          <thead>
            <tr>
              <th scope="col">head</th>
              <th scope="col">what</th>
              <th scope="col">first run</th>
              <th scope="col">second run</th>
            </tr>
          </thead>
          <tbody>
            {shown.map(({ head, what, first, second }) => (
              <tr key={`${head} ${what}`} data-change={`${model.short(head)} ${what}`} class={head === view.head ? "current" : ""}>
                <td>
                  <button type="button" class="link" title={model.data.heads[head].sentence} onClick={() => onSelect(head)}>
                    {model.short(head)}
                  </button>
                </td>
                <td>{what}</td>
                <td>{first}</td>
                <td>→ {second}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
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
