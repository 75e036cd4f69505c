use std::{error::Error, path::Path};

use plotters::prelude::*;

use crate::report::Series;

const COLOURS: [RGBColor; 5] = [BLUE, RED, GREEN, MAGENTA, BLACK];

/// Draws the series of one plot as `<name>.svg`; both axes are logarithmic.
pub(crate) fn draw(directory: &Path, name: &str, across: &str, series: &[&Series]) -> Result<(), Box<dyn Error>> {
    let points = || series.iter().flat_map(|series| &series.points).copied().filter(|(x, y)| *x > 0.0 && *y > 0.0);
    if points().next().is_none() {
        return Ok(());
    }
    let within = |value: &dyn Fn((f64, f64)) -> f64| {
        let values = || points().map(value);
        values().fold(f64::MAX, f64::min) * 0.8..values().fold(0.0, f64::max) * 1.25
    };
    let path = directory.join(format!("{name}.svg"));
    let root = SVGBackend::new(&path, (800, 500)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(name, ("sans-serif", 22))
        .margin(15)
        .x_label_area_size(40)
        .y_label_area_size(70)
        .build_cartesian_2d(within(&|(x, _)| x).log_scale(), within(&|(_, y)| y).log_scale())?;
    chart.configure_mesh().x_desc(across).y_desc("milliseconds").draw()?;
    for (series, colour) in series.iter().zip(COLOURS.iter().cycle()) {
        let line = chart.draw_series(LineSeries::new(series.points.iter().copied(), colour))?;
        line.label(&series.name).legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour));
        chart.draw_series(series.points.iter().map(|&point| Circle::new(point, 3, colour.filled())))?;
    }
    chart.configure_series_labels().border_style(BLACK).background_style(WHITE).draw()?;
    Ok(root.present()?)
}
