// The page: the grid and what is chosen in it.

import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { readView, viewValues, writeAddress, type View } from "../address";
import { breaking } from "../breaking";
import { colourings } from "../colourings";
import type { Comparison } from "../contract";
import { GroupEstimates } from "../estimate";
import type { Model } from "../model";
import { pure } from "../pure";
import { ChangedPairs } from "./ChangedPairs";
import { ChangedQueries } from "./ChangedQueries";
import { BetweenRuns } from "./BetweenRuns";
import { ClsView } from "./ClsView";
import { GroupBuilder } from "./GroupBuilder";
import { HeadCard } from "./HeadCard";
import { HeadGrid } from "./HeadGrid";
import { PairView } from "./PairView";
import { Choices, Note, Panel } from "./Parts";
import { PruningList } from "./PruningList";
import { Slices } from "./Slices";

// What no choice of a head changes.
const SteadyGroups = pure(GroupBuilder);
const SteadyPruning = pure(PruningList);
const SteadyCls = pure(ClsView);

interface Props {
  models: Model[];
  comparison: Comparison | null; // of two models
}

export function App({ models, comparison }: Props) {
  const { headline, primary } = models[0].data.run;
  const shown = models[0].isRanker ? primary : headline; // single heads hardly move an order
  const by = comparison?.measures.includes(shown) ? `difference.${shown}` : shown;
  const [view, setView] = useState<View>(() => readView(models, by, new URLSearchParams(location.hash.slice(1))));
  const model = models[view.run];
  const choices = useMemo(
    () => colourings(model, models.map(({ data }) => data), comparison?.measures),
    [model],
  );
  const estimates = useMemo(() => new GroupEstimates(model), [model]);
  const [building, setBuilding] = useState(false);
  useEffect(() => writeAddress(viewValues(models, view)), [view]);
  const change = useCallback((part: Partial<View>) => setView((now) => ({ ...now, ...part })), []);
  const setRun = useCallback((run: number) => setView((now) => inRun(models, now, run)), []);
  const last = useRef(view);
  useEffect(() => {
    const { run, map } = last.current;
    if (run === view.run && map !== view.map) document.getElementById("pair-title")?.scrollIntoView({ block: "start" });
    last.current = view;
  }, [view]);
  const setGroup = useCallback((group: number[]) => change({ group, scope: group.length ? "group" : "head" }), []);
  const select = useCallback((head: number) => change({ head, scope: "head" }), []);
  const toggle = (head: number) => {
    const others = view.group.filter((one) => one !== head);
    const group = others.length < view.group.length ? others : [...others, head].sort((a, b) => a - b);
    setGroup(group);
  };
  const click = (head: number) => (building ? toggle(head) : select(head));
  return (
    <>
      <header>
        <h1>Head explorer</h1>
        <dl>
          {model.data.run.setting.slice(0, 3).map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
      </header>
      <main>
        {comparison && <BetweenRuns {...{ model, comparison, view }} onView={change} onRun={setRun} onSelect={select} />}
        <div class="left">
          <HeadGrid
            model={model}
            colourings={choices}
            by={view.by}
            selected={view.head}
            group={view.group}
            onColour={(by) => change({ by })}
            onSelect={click}
            onGroup={toggle}
          />
          <SteadyGroups {...{ model, estimates, building }} group={view.group} onBuilding={setBuilding} onGroup={setGroup} />
          <SteadyPruning model={model} onSelect={select} />
        </div>
        <div class="right">
          <HeadCard model={model} head={view.head} onSelect={select} />
          <WhatBreaks {...{ model, estimates, view }} onView={change} />
          <PairView model={model} view={view} onView={change} />
          <SteadyCls model={model} />
        </div>
      </main>
    </>
  );
}

// The view of the other run, as far as it has what is chosen.
function inRun(models: Model[], view: View, run: number): View {
  const values = viewValues(models, view);
  values.set("run", run ? "second" : "first");
  return readView(models, view.by, values);
}

interface BreaksProps {
  model: Model;
  estimates: GroupEstimates;
  view: View;
  onView(part: Partial<View>): void;
}

function WhatBreaks({ model, estimates, view, onView }: BreaksProps) {
  const { head, group, scope } = view;
  const broken = useMemo(() => breaking(model, estimates, view), [model, head, group, scope]);
  const Changed = model.isRanker ? ChangedQueries : ChangedPairs;
  return (
    <Panel id="breaks" title={`What breaks without ${broken.name}`}>
      {group.length > 0 && (
        <Choices
          legend="Masked"
          name="scope"
          choices={[["head", `head ${model.short(head)}`], ["group", `group of ${group.length}`]]}
          chosen={scope}
          onChoose={(scope) => onView({ scope })}
        />
      )}
      <div class="columns breaks">
        <BrokenSlices {...{ model, estimates, view, onView }} />
        <Changed
          {...{ model, broken }}
          {...{ shown: view.shown, search: view.search, map: view.map }}
          onShown={(shown) => onView({ shown })}
          onSearch={(text) => onView({ search: text })}
          onMap={(map) => onView({ map })}
        />
      </div>
    </Panel>
  );
}

function BrokenSlices({ model, estimates, view, onView }: BreaksProps) {
  const { data } = model;
  const shared = { listed: (column: string) => column in data.pairs.slices, onFind: (search: string) => onView({ search }) };
  if (view.scope === "head") {
    const { slices, sure_slices: sure } = data.heads[view.head];
    if (!slices.length) return <Note>No slices were measured.</Note>;
    return <Slices caption={`Change of ${model.primary.label} on parts of the test pairs`} measure={model.primary} slices={data.slices} changes={slices} sure={sure} {...shared} />;
  }
  const measured = estimates.measured(view.group);
  if (!measured?.slices.length) return <Note>Slices are measured for functions and for groups of params.yaml (group_ablation.groups). The command under “Mask a group” adds this one.</Note>;
  const sure = measured.slices.flatMap(([, low, high], place) => (low !== null && high !== null && low * high > 0 ? [place] : []));
  return <Slices caption={`Change of ${model.headline.label} on parts of the test pairs`} measure={model.headline} slices={data.group_slices} changes={measured.slices} sure={sure} {...shared} />;
}
