import { render } from "preact";
import { App } from "./components/App";
import type { PageData } from "./contract";
import { unpack } from "./decode";
import { Model } from "./model";
import "./style.css";

async function start(): Promise<void> {
  const holder = document.getElementById("app") as HTMLElement;
  try {
    const packed = document.getElementById("explorer-data")?.textContent ?? "";
    const data = JSON.parse(new TextDecoder().decode(await unpack(packed))) as PageData;
    const comparison = "first" in data ? data : null;
    const runs = "first" in data ? [data.first, data.second] : [data];
    const models = await Promise.all(runs.map(Model.decode));
    holder.textContent = "";
    render(<App models={models} comparison={comparison} />, holder);
  } catch (error) {
    holder.textContent = `This page cannot be shown: ${error}. It needs a browser of 2023 or newer.`;
    throw error;
  }
}

void start();
