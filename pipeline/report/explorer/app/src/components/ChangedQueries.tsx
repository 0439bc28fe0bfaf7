// Queries whose titles a ranker orders otherwise: their first titles, before and after side by side.

import { useState } from "preact/hooks";
import type { View } from "../address";
import { matcher, type Breaking } from "../breaking";
import { plural, visible } from "../format";
import type { Model } from "../model";
import { Filters } from "./Filters";

const PAGE = 20;
const TITLES = 10;

interface Props {
  model: Model;
  view: View;
  broken: Breaking;
  onView(part: Partial<View>): void;
}

interface Title {
  pair: number;
  before: number;
  after: number;
}

export function ChangedQueries({ model, view, broken, onView }: Props) {
  const [length, setLength] = useState(PAGE);
  const { pairs } = model.data;
  const titles = new Map<number, Title[]>();
  broken.pairs.forEach((pair, place) => {
    const title = { pair, before: broken.before[place], after: broken.after[place] };
    titles.set(pairs.query[pair], [...(titles.get(pairs.query[pair]) ?? []), title]);
  });
  const fate = (query: number) => (view.scope === "head" && model.queryChanges ? model.queryChanges[view.head * pairs.queries.length + query] : 0);
  const every = [...titles.keys()].sort((a, b) => fate(a) - fate(b));
  const changed = (query: number) => (titles.get(query) as Title[]).some((title) => title.before !== title.after);
  const matches = matcher(model, view.search);
  const shown: Record<View["shown"], (query: number) => boolean> = {
    changed,
    worse: (query) => fate(query) < 0,
    better: (query) => fate(query) > 0,
    all: () => true,
  };
  const found = every.filter((query) => shown[view.shown](query) && (titles.get(query) as Title[]).some((title) => matches(title.pair)));
  const count = (sign: number) => every.filter((query) => Math.sign(fate(query)) === sign).length;
  return (
    <div>
      <p id="tally">
        Without {broken.name}
        {broken.isEstimate ? " (estimate)" : ""}: the order of <b>{every.filter(changed).length}</b> of {every.length} queries
        changes
        {view.scope === "head" && (
          <>
            ; nDCG@10 of <b class="worse">{count(-1)}</b> falls, of <b class="better">{count(1)}</b> rises
          </>
        )}
        .
      </p>
      <Filters view={view} what="query and titles" onView={onView} />
      <p class="note" role="status">
        {plural(found.length, "query").replace("querys", "queries")}
        {found.length > length && `, the first ${length} listed`}. ◆ its attention can be looked at.
      </p>
      <div class="scroll tall" tabIndex={0} role="region" aria-label="Queries">
        {found.slice(0, length).map((query) => (
          <QueryOrder key={query} {...{ model, view, onView }} query={query} titles={titles.get(query) as Title[]} fate={fate(query)} />
        ))}
      </div>
      {found.length > length && (
        <button type="button" onClick={() => setLength(length + PAGE)}>
          list {Math.min(PAGE, found.length - length)} of {found.length - length} more
        </button>
      )}
    </div>
  );
}

interface OrderProps {
  model: Model;
  view: View;
  query: number;
  titles: Title[];
  fate: number;
  onView(part: Partial<View>): void;
}

function QueryOrder({ model, view, query, titles, fate, onView }: OrderProps) {
  const by = (state: "before" | "after") => [...titles].sort((a, b) => a[state] - b[state]).slice(0, TITLES);
  const [before, after] = [by("before"), by("after")];
  return (
    <table class="query" data-query={query}>
      <caption dir="auto">
        “{visible(model.data.pairs.queries[query])}” {fate < 0 ? "▼ worse" : fate > 0 ? "▲ better" : ""}
      </caption>
      <thead>
        <tr>
          <th scope="col">rank</th>
          <th scope="col">with it</th>
          <th scope="col">gold</th>
          <th scope="col">without</th>
          <th scope="col">gold</th>
        </tr>
      </thead>
      <tbody>
        {before.map((title, place) => (
          <tr key={title.pair}>
            <td class="number">{place + 1}</td>
            <TitleCell {...{ model, view, onView }} title={title} moved={0} />
            <TitleCell {...{ model, view, onView }} title={after[place]} moved={after[place].before - after[place].after} />
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function TitleCell({ model, title, moved, onView }: { model: Model; view: View; title: Title; moved: number; onView(part: Partial<View>): void }) {
  const map = model.data.maps.findIndex((one) => one.pair === title.pair);
  const text = `${moved > 0 ? "▲ " : moved < 0 ? "▼ " : ""}${visible(model.data.pairs.titles[title.pair])}`;
  return (
    <>
      <td dir="auto">
        {map < 0 ? (
          text
        ) : (
          <button type="button" class="link" onClick={() => onView({ map })}>
            ◆ {text}
          </button>
        )}
      </td>
      <td class="number">{model.gradeText(model.data.pairs.gold[title.pair])}</td>
    </>
  );
}
