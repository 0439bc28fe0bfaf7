// Queries whose titles a ranker orders otherwise: their first titles, in both states side by side.

import type { View } from "../address";
import { matcher, type Row } from "../breaking";
import { visible } from "../format";
import type { Model } from "../model";
import { ChangedList, Title, type ChangedProps } from "./ChangedList";
import { Cell, Columns } from "./Parts";

const TITLES = 10;

export function ChangedQueries(props: ChangedProps) {
  const { model, broken, shown, onMap } = props;
  const { pairs } = model.data;
  const titles = new Map<number, Row[]>();
  const fates = new Map<number, number>();
  broken.pairs.forEach((pair, place) => {
    const query = pairs.query[pair];
    titles.set(query, [...titlesOf(query), { pair, before: broken.before[place], after: broken.after[place] }]);
    fates.set(query, broken.fates(place));
  });
  function titlesOf(query: number): Row[] {
    return titles.get(query) ?? [];
  }
  const fate = (query: number) => fates.get(query) as number;
  const every = [...titles.keys()].sort((a, b) => fate(a) - fate(b));
  const changed = (query: number) => titlesOf(query).some((title) => title.before !== title.after);
  const matches = matcher(model, props.search);
  const isShown: Record<View["shown"], (query: number) => boolean> = {
    changed,
    worse: (query) => fate(query) < 0,
    better: (query) => fate(query) > 0,
    all: () => true,
  };
  const found = every.filter((query) => isShown[shown](query) && titlesOf(query).some((title) => matches(title.pair)));
  const count = (sign: number) => every.filter((query) => Math.sign(fate(query)) === sign).length;
  const listed = (queries: number[]) =>
    queries.map((query) => <QueryOrder key={query} {...{ model, onMap, query }} states={broken.states} titles={titlesOf(query)} fate={fate(query)} />);
  return (
    <ChangedList {...props} {...{ found, listed }} thing="query" plural="queries" what="query and titles" page={20} rows={(queries) => queries.flatMap(titlesOf)}>
      the order of <b>{every.filter(changed).length}</b> of {every.length} queries changes; nDCG@10 of{" "}
      <b class="worse">{count(-1)}</b> falls, of <b class="better">{count(1)}</b> rises.
    </ChangedList>
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
      <Columns names={["rank", states[0], "gold", states[1], "gold"]} />
      <tbody>
        {before.map((title, place) => (
          <tr key={title.pair}>
            <Cell>{place + 1}</Cell>
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
      <Title {...{ text, map, onMap }} />
      <Cell>{model.gradeText(model.data.pairs.gold[title.pair])}</Cell>
    </>
  );
}
