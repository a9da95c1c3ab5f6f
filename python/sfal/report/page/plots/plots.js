// All plots of the sources and embeddings chosen.
import { byId } from "../dom.js";
import { choicesTable } from "./choices.js";
import { Cloud } from "./cloud.js";
import { figure } from "./axes.js";
import { growthPlot } from "./growth.js";
import { lawPlot } from "./law.js";
import { layersPlot } from "./layers.js";

export class Plots {
  constructor(brushed) {
    this.brushed = brushed;
    const draw = () => this.cloud?.draw();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
    addEventListener("resize", draw);
  }

  show(report, embedding) {
    this.cloud = new Cloud(embedding, this.brushed);
    const drawn = [
      lawPlot(embedding),
      figure("Scores by firing rate",
        "The line is the running median. Drag over features to list them below.", this.cloud.node),
      layersPlot(report, embedding),
      growthPlot(embedding),
      choicesTable(embedding),
    ];
    byId("charts").replaceChildren(...drawn.filter((one) => one !== null));
    this.cloud.draw();
  }

  outline(filters) {
    this.cloud?.outline(filters);
  }
}
