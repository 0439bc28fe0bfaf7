// One head: a plain sentence, its effects, its scores beside their controls, and the heads it stands in relation to.

import { FUNCTION_NAMES } from "../colourings";
import type { Edge, Score } from "../contract";
import * as format from "../format";
import type { Model } from "../model";
import { Bar, Cell, Change, Columns, Link, Note, NOTHING_TO_LOSE, Panel } from "./Parts";

interface Props {
  model: Model;
  head: number;
  onSelect(head: number): void;
}

export function HeadCard({ model, head: number, onSelect }: Props) {
  const head = model.data.heads[number];
  const { edges, words, run } = model.data;
  const badges: string[] = [head.verdict];
  if (head.is_inert) badges.push("inert");
  if (head.decision) badges.push(`pruning: ${head.decision.decision}`);
  const strongest = (found: Edge[]) => [...found].sort((a, b) => (b.js[0] ?? 0) - (a.js[0] ?? 0)).slice(0, 5);
  const primary = model.primary;
  const zeroed = head.effects[model.data.measures.indexOf(primary)].to_constant;
  return (
    <Panel
      id="head"
      title={
        <>
          Head {model.short(number)}{" "}
          {badges.map((word) => (
            <span key={word} class={`tag ${word}`} title={words[word]}>
              {word}
            </span>
          ))}
        </>
      }
    >
      <Words words={words} here={badges} />
      <p class="sentence" aria-live="polite">
        {head.sentence}
      </p>
      <div class="columns">
        <Effects model={model} head={number} />
        <Scores model={model} scores={head.scores} />
      </div>
      <Note>
        {zeroed !== null && run.beats_constant
          ? `${primary.label}, share of the way to a model that knows nothing of the pair: zeroed ${format.share(zeroed, 1)}; ` +
            `replaced by its mean ${format.share(head.mean_to_constant, 1)}, ` +
            `by its output on another pair ${format.share(head.resample_to_constant, 1)}. `
          : `${NOTHING_TO_LOSE} No share of the way to one is shown. `}
        Gradient importance
        {head.gradient_importance === null ? ` ${format.UNDEFINED}` : ` ${head.gradient_importance.toFixed(3)} nats`}.
      </Note>
      <HeadLinks
        label="Without it, [CLS] looks elsewhere most in"
        links={strongest(edges.filter((edge) => edge.source === number)).map((edge) => [edge.target, edge.js[0]])}
        {...{ model, onSelect }}
      />
      <HeadLinks
        label="Its [CLS] looks elsewhere most without"
        links={strongest(edges.filter((edge) => edge.target === number)).map((edge) => [edge.source, edge.js[0]])}
        {...{ model, onSelect }}
      />
      <HeadLinks
        label="Attends most like it"
        links={head.alike.map((other) => [other.head, other.distance])}
        {...{ model, onSelect }}
      />
      <Note>In brackets: Jensen-Shannon distance of the attention, 0 the same, 1 nothing in common.</Note>
    </Panel>
  );
}

// The badges' meanings, those of the head first.
function Words({ words, here }: { words: Record<string, string>; here: string[] }) {
  const others = Object.keys(words).filter((word) => !here.includes(word));
  return (
    <details id="words">
      <summary class="note">What these words mean</summary>
      <dl>
        {[...here, ...others].map((word) => (
          <div key={word}>
            <dt>{word}</dt>
            <dd>{words[word]}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}

function Effects({ model, head }: { model: Model; head: number }) {
  const { effects, worse, better } = model.data.heads[head];
  return (
    <div class="scroll-x">
      <table id="effects">
        <caption>Without it, on {model.data.run.pairs} test pairs</caption>
        <Columns names={["measure", "change, % of the unmasked or a difference (95% interval)", "q"]} />
        <tbody>
          {model.data.measures.map((measure, place) => (
            <tr key={measure.name} data-measure={measure.name}>
              <th scope="row">
                {measure.label}
                {!measure.is_distance && <span class="note"> ({format.level(measure, measure.unmasked)} unmasked)</span>}
                {measure.queries !== null && <span class="note"> mean of {measure.queries} queries</span>}
              </th>
              <Cell>
                <Change measure={measure} estimate={effects[place].change} />
              </Cell>
              <Cell>{format.pValue(effects[place].q)}</Cell>
            </tr>
          ))}
        </tbody>
      </table>
      <Note>
        {model.isRanker
          ? `${format.plural(worse, "query", "queries")} worse, ${better} better by nDCG@10.`
          : `${format.plural(worse, "pair")} right to wrong, ${better} wrong to right.`}
      </Note>
    </div>
  );
}

function Scores({ model, scores }: { model: Model; scores: Score[] }) {
  const { functions, run } = model.data;
  return (
    <div class="scroll-x">
      <table id="scores">
        <caption>Share of its attention on</caption>
        <Columns names={["function", "score (bar), control (line)", "control", run.has_before ? "before → after" : "score"]} />
        <tbody>
          {functions.map((name, place) => (
            <ScoreRow key={name} name={name} score={scores[place]} hasBefore={run.has_before} />
          ))}
        </tbody>
      </table>
      <Note>
        ● a function of this head: surely above its control by more than attention.label_threshold, and the head is not idle.
        Terms, pieces and words count for tokens that have such a one,
        the others for all.
      </Note>
    </div>
  );
}

function ScoreRow({ name, score, hasBefore }: { name: string; score: Score; hasBefore: boolean }) {
  const width = (value: number | null) => Math.min(100, Math.max(0, 100 * (value ?? 0)));
  return (
    <tr data-function={name} class={score.is_labelled ? "labelled" : ""}>
      <th scope="row" title={name}>
        {score.is_labelled && "● "}
        {FUNCTION_NAMES[name][1]}
      </th>
      <Bar>
        <rect class="track" width="100" height="10" />
        <rect class="score" width={width(score.score)} height="10" />
        <rect class="control" x={width(score.control)} width="1.2" height="10" />
      </Bar>
      <Cell>{format.share(score.control)}</Cell>
      <Cell>
        {hasBefore && `${format.share(score.before)} → `}
        <b>{format.share(score.score)}</b>
      </Cell>
    </tr>
  );
}

interface LinksProps {
  label: string;
  links: [head: number, distance: number | null][];
  model: Model;
  onSelect(head: number): void;
}

function HeadLinks({ label, links, model, onSelect }: LinksProps) {
  return (
    <p class="links">
      {label}:{" "}
      {links.length === 0 && "none"}
      {links.map(([head, distance]) => (
        <Link key={head} title={model.data.heads[head].sentence} onClick={() => onSelect(head)}>
          {model.short(head)} ({distance?.toFixed(2) ?? format.UNDEFINED})
        </Link>
      ))}
    </p>
  );
}
