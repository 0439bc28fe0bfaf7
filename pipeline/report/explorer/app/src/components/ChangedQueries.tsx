// Queries whose titles a ranker orders otherwise: their first titles, in both states side by side.

import { useState } from "preact/hooks";
import type { View } from "../address";
import { matcher, pairsCsv, type Row } from "../breaking";
import { plural, visible } from "../format";
import type { Model } from "../model";
import type { ChangedProps } from "./ChangedPairs";
import { Exports } from "./Exports";
import { EXAMPLE, Filters, FILTERS } from "./Filters";

const PAGE = 20;
const TITLES = 10;

export function ChangedQueries({ model, broken, shown, search, onShown, onSearch, onMap }: ChangedProps) {
  const [length, setLength] = useState(PAGE);
  const { pairs } = model.data;
  const titles = new Map<number, Row[]>();
  const fates = new Map<number, number>();
  broken.pairs.forEach((pair, place) => {
    const title = { pair, before: broken.before[place], after: broken.after[place] };
    titles.set(pairs.query[pair], [...(titles.get(pairs.query[pair]) ?? []), title]);
    fates.set(pairs.query[pair], broken.fates?.(place) ?? 0);
  });
  const fate = (query: number) => fates.get(query) as number;
  const every = [...titles.keys()].sort((a, b) => fate(a) - fate(b));
  const changed = (query: number) => (titles.get(query) as Row[]).some((title) => title.before !== title.after);
  const matches = matcher(model, search);
  const isShown: Record<View["shown"], (query: number) => boolean> = {
    changed,
    worse: (query) => fate(query) < 0,
    better: (query) => fate(query) > 0,
    all: () => true,
  };
  const found = every.filter((query) => isShown[shown](query) && (titles.get(query) as Row[]).some((title) => matches(title.pair)));
  const count = (sign: number) => every.filter((query) => Math.sign(fate(query)) === sign).length;
  return (
    <div>
      <p id={`${broken.id}tally`}>
        {broken.lead}: the order of <b>{every.filter(changed).length}</b> of {every.length} queries
        changes
        {broken.fates && (
          <>
            ; nDCG@10 of <b class="worse">{count(-1)}</b> falls, of <b class="better">{count(1)}</b> rises
          </>
        )}
        .
      </p>
      <Filters id={broken.id} what="query and titles" example={EXAMPLE} search={search} choices={FILTERS} chosen={shown} onSearch={onSearch} onChoose={onShown} />
      <p class="note" role="status">
        {plural(found.length, "query").replace("querys", "queries")}
        {found.length > length && `, the first ${length} listed`}. ◆ its attention can be looked at.
      </p>
      <div class="scroll tall" tabIndex={0} role="region" aria-label={`Queries: ${broken.lead}`}>
        {found.slice(0, length).map((query) => (
          <QueryOrder key={query} {...{ model, onMap }} states={broken.states} query={query} titles={titles.get(query) as Row[]} fate={fate(query)} />
        ))}
      </div>
      {found.length > length && (
        <button type="button" onClick={() => setLength(length + PAGE)}>
          list {Math.min(PAGE, found.length - length)} of {found.length - length} more
        </button>
      )}
      <Exports files={[{ name: `${broken.id}queries.csv`, kind: "text/csv", text: () => pairsCsv(model, found.flatMap((query) => titles.get(query) as Row[])) }]} />
    </div>
  );
}

interface OrderProps {
  model: Model;
  states: [string, string];
  query: number;
  titles: Row[];
  fate: number;
  onMap(map: number): void;
}

function QueryOrder({ model, states, query, titles, fate, onMap }: OrderProps) {
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
          <th scope="col">{states[0]}</th>
          <th scope="col">gold</th>
          <th scope="col">{states[1]}</th>
          <th scope="col">gold</th>
        </tr>
      </thead>
      <tbody>
        {before.map((title, place) => (
          <tr key={title.pair}>
            <td class="number">{place + 1}</td>
            <TitleCell {...{ model, onMap }} title={title} moved={0} />
            <TitleCell {...{ model, onMap }} title={after[place]} moved={after[place].before - after[place].after} />
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function TitleCell({ model, title, moved, onMap }: { model: Model; title: Row; moved: number; onMap(map: number): void }) {
  const map = model.data.maps.findIndex((one) => one.pair === title.pair);
  const text = `${moved > 0 ? "▲ " : moved < 0 ? "▼ " : ""}${visible(model.data.pairs.titles[title.pair])}`;
  return (
    <>
      <td dir="auto">
        {map < 0 ? (
          text
        ) : (
          <button type="button" class="link" onClick={() => onMap(map)}>
            ◆ {text}
          </button>
        )}
      </td>
      <td class="number">{model.gradeText(model.data.pairs.gold[title.pair])}</td>
    </>
  );
}
