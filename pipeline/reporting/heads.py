"""The matrix of single heads: what masking each alone does to accuracy."""

from pipeline.analysis import readings
from pipeline.analysis.verdicts import percent
from pipeline.reporting import cells, grids, style
from pipeline.reporting.picture import Picture, Words, canvas, panel, picture
from pipeline.reporting.results import Results


def heads_heatmap(results: Results) -> Picture:
    """Relative accuracy change in percent, layer x head, red lost and blue gained."""
    change = 100 * grids.matrix(results.heads, readings.CHANGE)
    width, height = grids.size(change, column=0.46)
    figure = canvas(grids.LEFT + width + grids.SCALE, grids.BOTTOM + height + grids.TOP)
    axes = panel(figure, grids.LEFT, grids.BOTTOM, width, height)
    norm = grids.centred(change, least=0.1)
    grids.draw(axes, change, norm, style.CHANGES, cells.signed)
    axes.set_title("one head masked")
    cells.colour_bar(axes, norm, style.CHANGES, "relative accuracy change (%)")
    return picture(figure, _words(results))


def _words(results: Results) -> Words:
    layers, heads = results.shape
    worst = results.heads.sort_values([readings.CHANGE, "layer", "head"]).iloc[0]
    return Words(
        name="heads_heatmap",
        title="Every head masked alone",
        alt=f"Heat map of {layers} layers by {heads} heads; the most is lost by masking layer {worst['layer']:.0f} "
        f"head {worst['head']:.0f}: {percent(float(worst[readings.CHANGE]))}.",
        caption=f"Change of accuracy when one head is masked, {results.unit}. Red cells are heads whose loss costs "
        "accuracy, blue cells heads whose loss helps, white about nothing; the scale is as long above 0 as below.",
    )
