// What [CLS] looks at in a relay head, with the term-match heads and without.

import type { ClsAttention } from "../contract";
import { share, visible } from "../format";
import type { Model } from "../model";
import { Bar, Cell, Columns, Note, Panel } from "./Parts";

export function ClsView({ model }: { model: Model }) {
  const examples = model.data.cls_attention;
  if (!examples.length) return null;
  const termMatch = model.data.groups.find((group) => group.type === "function" && group.name === "term_match");
  return (
    <Panel id="cls" title={`What [CLS] of head ${model.short(examples[0].head)} looks at, with and without the term-match heads`}>
      <Note>
        This head's [CLS] row costs most of those that [CLS] reads the terms through. Purple: as it is; orange: with the
        term-match heads{termMatch && ` (${termMatch.heads.map((head) => model.short(head)).join(", ")})`} masked.
      </Note>
      {examples.map((example, place) => (
        <Example key={place} model={model} example={example} open={place === 0} />
      ))}
    </Panel>
  );
}

function Example({ model, example, open }: { model: Model; example: ClsAttention; open: boolean }) {
  return (
    <details open={open}>
      <summary dir="auto">
        “{visible(example.query)}” / “{visible(example.title)}”, gold {model.gradeText(example.grade)}
      </summary>
      <table class="cls">
        <Columns names={["token", "kind", "attention", "with → without"]} />
        <tbody>
          {example.tokens.map((token, place) => (
            <tr key={place}>
              <th scope="row">{visible(token)}</th>
              <td>{example.kinds[place]}</td>
              <Bar>
                <rect class="score" width={100 * example.unmasked[place]} height="5" />
                <rect class="masked" y="5" width={100 * example.masked[place]} height="5" />
              </Bar>
              <Cell>
                {share(example.unmasked[place])} → {share(example.masked[place])}
              </Cell>
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  );
}
