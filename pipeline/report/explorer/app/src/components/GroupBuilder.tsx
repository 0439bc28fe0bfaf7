// A group of heads: built by clicking or from the run's own; its measured effect, or an estimate that tells its error.

import type { Group } from "../contract";
import { commonHeads, type EstimateError, type GroupEstimates } from "../estimate";
import { change, level, plural, pValue } from "../format";
import type { Model } from "../model";
import { Exports } from "./Exports";
import { Cell, Change, Columns, Link, Note, NOTHING_TO_LOSE, Panel } from "./Parts";

const PRESETS: [type: string, label: string][] = [
  ["function", "heads of a function"],
  ["user", "your own (group_ablation.groups)"],
  ["layer", "layers"],
  ["half", "halves"],
  ["lower_except", "lower half but a function"],
  ["top_k", "best of a function"],
  ["removal", "in order of importance"],
  ["layer_matched", "random, layer by layer as a function"],
  ["random_k", "random, of as many heads"],
  ["random_share", "random shares"],
];

interface Props {
  model: Model;
  estimates: GroupEstimates;
  group: number[];
  building: boolean;
  onBuilding(building: boolean): void;
  onGroup(heads: number[]): void;
}

export function GroupBuilder({ model, estimates, group, building, onBuilding, onGroup }: Props) {
  const measured = estimates.measured(group);
  const { run } = model.data;
  return (
    <Panel id="group" title="Mask a group">
      <div class="filters">
        <label>
          <input id="building" type="checkbox" checked={building} onChange={(event) => onBuilding(event.currentTarget.checked)} /> a
          click on a head adds or removes it
        </label>
        <Presets model={model} chosen={measured} onGroup={onGroup} />
      </div>
      {group.length === 0 ? (
        <Note>No head yet. Choose a group of this run, or click heads.</Note>
      ) : (
        <>
          <p class="links">
            {plural(group.length, "head")}:{" "}
            {group.map((head) => (
              <Link key={head} aria-label={`remove head ${model.short(head)}`} onClick={() => onGroup(group.filter((one) => one !== head))}>
                {model.short(head)} ×
              </Link>
            ))}
            <button type="button" class="quiet" onClick={() => onGroup([])}>
              clear
            </button>
          </p>
          <Note>
            Groups are masked on {run.group_pairs} test pairs, single heads on {run.pairs}: unmasked values differ by that.{" "}
            {!run.beats_constant && `${NOTHING_TO_LOSE} A fall to its level is then no collapse: there is nothing to lose.`}
          </Note>
          {measured ? <Measured model={model} group={measured} /> : <Estimated model={model} estimates={estimates} group={group} />}
          {!measured?.slices.length && <Command model={model} group={group} what={measured ? "its slices" : "it"} />}
        </>
      )}
    </Panel>
  );
}

function Presets({ model, chosen, onGroup }: { model: Model; chosen: Group | null; onGroup(heads: number[]): void }) {
  const { groups } = model.data;
  return (
    <label class="choice">
      Groups of this run{" "}
      <select id="preset" value={chosen ? groups.indexOf(chosen) : -1} onChange={(event) => onGroup(groups[Number(event.currentTarget.value)]?.heads ?? [])}>
        <option value={-1}>choose…</option>
        {PRESETS.map(([type, label]) => {
          const found = groups.map((group, place) => ({ group, place })).filter(({ group }) => group.type === type);
          return (
            found.length > 0 && (
              <optgroup label={label} key={type}>
                {found.map(({ group, place }) => (
                  <option value={place} key={place}>
                    {group.name} ({plural(group.heads.length, "head")})
                  </option>
                ))}
              </optgroup>
            )
          );
        })}
      </select>
    </label>
  );
}

function Measured({ model, group }: { model: Model; group: Group }) {
  const { headline } = model;
  const { measures } = model.data;
  return (
    <div id="group-effect" data-kind="measured">
      <p>
        <b>Measured: {headline.label} {change(headline, model.changeOf(group)[0])}</b> ({group.name}).
        {group.has_collapsed && ` Collapsed: ${model.data.run.collapse}.`}
      </p>
      <div class="scroll-x">
        <table id="group-effects">
          <Columns names={["measure", "unmasked → masked", "change (95% interval)", "model that knows nothing"]} />
          <tbody>
            {measures.map((measure, place) => (
              <tr key={measure.name} data-measure={measure.name}>
                <th scope="row">{measure.label}</th>
                <Cell>
                  {level(measure, measure.group_unmasked)} → {level(measure, group.effects[place].masked)}
                </Cell>
                <Cell>
                  <Change measure={measure} estimate={group.effects[place].change} />
                </Cell>
                <Cell>{level(measure, measure.group_constant)}</Cell>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {group.random && (
        <Note>
          {group.random.count} random groups with as many heads in each layer: median {change(headline, group.random.median)},{" "}
          {change(headline, group.random.lowest)} to {change(headline, group.random.highest)}; p {pValue(group.random.p)}.
        </Note>
      )}
    </div>
  );
}

function Estimated({ model, estimates, group }: { model: Model; estimates: GroupEstimates; group: number[] }) {
  const { headline } = model;
  const errors = estimates.errors(group.length);
  const nearest = estimates.nearest(group);
  return (
    <div id="group-effect" data-kind="estimate">
      <p>
        <b>
          Estimate, not measured: {headline.label} {change(headline, estimates.change(group))}
        </b>{" "}
        ({level(headline, estimates.unmasked)} → {level(headline, estimates.masked(group))}), from what each head alone adds to
        the logits. Heads that stand in for each other cost more together.
      </p>
      {nearest && (
        <p>
          The measured group nearest to it, {nearest.name} with {commonHeads(nearest.heads, group)} of these heads, changes it by{" "}
          <b>{change(headline, model.changeOf(nearest)[0])}</b>, where an estimate would say {change(headline, estimates.change(nearest.heads))}.
        </p>
      )}
      <Note>
        {errors.length > 0
          ? `How far may it be off? This run measured groups of about as many heads, for which there is such an estimate too. ${errors.map(errorText).join(" ")}`
          : "No measured group of about as many heads tells how far it is off."}
      </Note>
    </div>
  );
}

function errorText({ kind, sizes, half, most }: EstimateError): string {
  const [count, low, high] = [sizes.length, sizes[0], sizes[sizes.length - 1]];
  const points = (error: number) => `${(100 * error).toFixed(1)} percentage points`;
  const which = `${kind} ${count === 1 ? "group" : "groups"} of ${low === high ? plural(low, "head") : `${low} to ${high} heads`}`;
  return count === 1
    ? `Of the one ${which}, estimated and measured change differ by ${points(most)}.`
    : `Of ${count} ${which}, estimated and measured change differ by ${points(half)} or less for half, and by ${points(most)} or less for ${count > 10 ? "nine in ten" : "all"}.`;
}

function Command({ model, group, what }: { model: Model; group: number[]; what: string }) {
  const command = measuringCommand(model, group);
  return (
    <>
      <label class="copied">
        To measure {what}:
        <textarea id="command" readOnly rows={2} value={command} onFocus={(event) => event.currentTarget.select()} />
      </label>
      <Exports files={[{ name: "measure.sh", kind: "text/plain", text: () => `${command}\n` }]} />
    </>
  );
}

function measuringCommand(model: Model, group: number[]): string {
  const width = model.data.run.heads;
  const heads = group.map((head) => `[${Math.floor(head / width)},${head % width}]`).join(",");
  return `dvc exp run -S '+group_ablation.groups.mine=[${heads}]'`;
}
