// What can go: the pruning decision of every head with its reason, as decided by the run.

import { DECISIONS } from "../colourings";
import type { Decision } from "../contract";
import { csv, plural } from "../format";
import type { Model } from "../model";
import { Exports } from "./Exports";
import { Link, Note, Panel } from "./Parts";

const WORDS: Record<Decision["decision"], string> = {
  remove: "can go",
  keep: "to keep",
  protected: "protected",
  uncertain: "uncertain",
};

interface Props {
  model: Model;
  onSelect(head: number): void;
}

export function PruningList({ model, onSelect }: Props) {
  const kinds = Object.keys(DECISIONS) as Decision["decision"][];
  const decided = (kind: string) =>
    model.data.heads.map((_, head) => head).filter((head) => model.data.heads[head].decision?.decision === kind);
  return (
    <Panel id="pruning" title="What can go">
      <p>{model.data.pruning}</p>
      {kinds.map((kind) => {
        const heads = decided(kind);
        return (
          heads.length > 0 && (
            <details key={kind} open={kind === "remove"} data-decision={kind}>
              <summary>
                <b>{plural(heads.length, "head")}</b>: {WORDS[kind]}
              </summary>
              <Reasons model={model} heads={heads} onSelect={onSelect} />
              {kind === "remove" && <Note>Heads go together with those of the lines above them.</Note>}
            </details>
          )
        );
      })}
      <Exports
        files={[
          { name: "decision.csv", kind: "text/csv", text: () => decisionCsv(model) },
          { name: "decision.json", kind: "application/json", text: () => decisionJson(model) },
        ]}
      />
    </Panel>
  );
}

// Heads of one reason are listed together, those of smaller sizes first.
function Reasons({ model, heads, onSelect }: Props & { heads: number[] }) {
  const reason = (head: number) => model.data.heads[head].decision?.reason ?? "";
  return (
    <>
      {[...new Set(heads.map(reason))].sort(byNumbers).map((text) => (
        <p class="links" key={text}>
          {heads
            .filter((head) => reason(head) === text)
            .map((head) => (
              <Link key={head} onClick={() => onSelect(head)}>
                {model.short(head)}
              </Link>
            ))}
          <span class="note">{text}</span>
        </p>
      ))}
    </>
  );
}

function byNumbers(text: string, other: string): number {
  return text.localeCompare(other, "en", { numeric: true });
}

function decisions(model: Model) {
  return model.data.heads.filter((head) => head.decision).map(({ layer, head, decision }) => ({ layer, head, ...(decision as Decision) }));
}

function decisionCsv(model: Model): string {
  const names = ["layer", "head", "decision", "reason", "frequency"] as const;
  return csv([[...names], ...decisions(model).map((row) => names.map((name) => row[name]))]);
}

function decisionJson(model: Model): string {
  return `${JSON.stringify(decisions(model), null, 2)}\n`;
}
