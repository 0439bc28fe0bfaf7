// Pictures and tables out: a download, or in a frame, where pages may not download, a text to copy.

import { useState } from "preact/hooks";

export interface ExportedFile {
  name: string;
  kind: string;
  text(): string;
}

export function Exports({ files }: { files: ExportedFile[] }) {
  const [copied, setCopied] = useState<[string, string] | null>(null);
  const save = (file: ExportedFile) => {
    if (window.top === window.self) download(file);
    else setCopied([file.name, file.text()]);
  };
  return (
    <div class="exports">
      {files.map((file) => (
        <button type="button" class="quiet" key={file.name} onClick={() => save(file)}>
          {file.name}
        </button>
      ))}
      {copied && (
        <label class="copied">
          {copied[0]}, to copy:
          <textarea readOnly rows={6} value={copied[1]} onFocus={(event) => event.currentTarget.select()} />
          <button type="button" class="quiet" onClick={() => setCopied(null)}>
            close
          </button>
        </label>
      )}
    </div>
  );
}

function download(file: ExportedFile): void {
  const address = URL.createObjectURL(new Blob([file.text()], { type: file.kind }));
  const link = document.createElement("a");
  link.href = address;
  link.download = file.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

export function escapeXml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
