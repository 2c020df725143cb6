//! Cold starts as bars.

use crate::Error;
use crate::measure::Cold;
use crate::statistics::median;
use plotters::prelude::*;
use std::path::Path;

/// A colour for the initialisation and one for the first answer.
const COLOURS: [RGBColor; 2] = [RGBColor(52, 81, 198), RGBColor(240, 140, 60)];

/// Draws how long each contender's initialisation and its first answer take, at each CPU share.
pub fn draw(file: &Path, cold: &[Cold]) -> Result<(), Error> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let area = SVGBackend::new(file, (900, 60 + 26 * cold.len() as u32)).into_drawing_area();
    area.fill(&WHITE)?;
    let longest = cold.iter().map(|each| median(&each.total()).as_secs_f64()).fold(0.0, f64::max) * 1e3;
    let mut chart = ChartBuilder::on(&area)
        .margin(10)
        .x_label_area_size(35)
        .y_label_area_size(210)
        .build_cartesian_2d(0.0..longest * 1.05, (0..cold.len()).into_segmented())?;
    let label = |at: &SegmentValue<usize>| match at {
        SegmentValue::CenterOf(at) => cold.get(cold.len().saturating_sub(at + 1)).map_or_else(String::new, |each| {
            let memory = each.memory.map_or("full CPU".into(), |memory| format!("{memory} MB"));
            format!("{}, {memory}", each.name)
        }),
        _ => String::new(),
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .x_desc("init and first answer, ms (medians)")
        .y_labels(cold.len())
        .y_label_formatter(&label)
        .draw()?;
    let [init, first] = COLOURS;
    let bars = cold.iter().rev().enumerate().flat_map(|(row, each)| {
        let (begin, end) = (median(&each.init).as_secs_f64() * 1e3, median(&each.total()).as_secs_f64() * 1e3);
        [(row, 0.0, begin, init), (row, begin, end, first)]
    });
    chart.draw_series(bars.map(|(row, begin, end, colour)| {
        let corners = [(begin, SegmentValue::Exact(row)), (end, SegmentValue::Exact(row + 1))];
        let mut bar = Rectangle::new(corners, colour.filled());
        bar.set_margin(4, 4, 0, 0);
        bar
    }))?;
    Ok(area.present()?)
}
