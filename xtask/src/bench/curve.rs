//! The picture of a table whose workloads are steps of one setting: a line for each figure.

use std::fmt::Write;

use super::Filled;
use super::picture::{STYLE, text};
use super::runs::Measured;

const WIDTH: f64 = 820.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 150.0;
const PANEL: f64 = 200.0;
const COLOURS: &str = ".one{stroke:#0a66c2}.two{stroke:#c2410c}path{fill:none;stroke-width:2}\
    .axis{stroke:#999}@media(prefers-color-scheme:dark){.one{stroke:#6cb6ff}.two{stroke:#fb923c}}";

/// A figure of a row, and its name.
type Line = (&'static str, fn(&Measured) -> Option<f64>);

const LATENCY: [Line; 2] =
    [("p50", |row| Some(row.latency_us?[0])), ("p99", |row| Some(row.latency_us?[1]))];
const CPU: [Line; 2] = [
    ("client", |row| Some(row.cpu_share * 100.0)),
    ("broker", |row| Some(row.broker_cpu_share * 100.0)),
];
const REQUESTS: [Line; 1] = [("requests/s", |row| row.requests_per_second)];

/// Three panels, one above the other, over the same steps.
pub(crate) fn draw(title: &str, filled: &Filled) -> String {
    let ours = |rows: &Vec<Measured>| rows.iter().position(|row| row.is_ours);
    let steps: Vec<(&str, &Measured)> = filled
        .table
        .workloads
        .iter()
        .zip(&filled.columns)
        .filter_map(|(load, rows)| Some((load.name, &rows[ours(rows)?])))
        .collect();
    let mut body = String::new();
    let mut top = 50.0;
    for (unit, lines) in [
        ("latency, µs", &LATENCY[..]),
        ("processor, % of a core", &CPU[..]),
        ("requests a second", &REQUESTS[..]),
    ] {
        panel(&mut body, top, unit, &steps, lines);
        top += PANEL;
    }
    for (at, (name, _)) in steps.iter().enumerate() {
        text(&mut body, x_of(at, steps.len()) - 14.0, top, "", name);
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {:.0}\" role=\"img\">\
         <title>{title}</title><style>{STYLE}{COLOURS}</style>\
         <rect class=\"page\" width=\"100%\" height=\"100%\"/>\n\
         <text class=\"head\" x=\"12\" y=\"24\">{title}</text>\n{body}</svg>\n",
        top + 20.0
    )
}

fn x_of(at: usize, count: usize) -> f64 {
    let step = (WIDTH - LEFT - RIGHT) / (count.max(2) - 1) as f64;
    LEFT + step * at as f64
}

fn panel(body: &mut String, top: f64, unit: &str, steps: &[(&str, &Measured)], lines: &[Line]) {
    let figures = |line: &Line| -> Vec<f64> {
        steps.iter().map(|(_, row)| line.1(row).unwrap_or_default()).collect()
    };
    let most = lines.iter().flat_map(figures).fold(f64::MIN_POSITIVE, f64::max);
    let height = PANEL - 50.0;
    let bottom = top + 10.0 + height;
    let y_of = |figure: f64| bottom - height * figure / most;
    text(body, 12.0, top, "head", unit);
    text(body, 12.0, y_of(most) + 10.0, "", &format!("{most:.0}"));
    let right = WIDTH - RIGHT;
    let _ = writeln!(body, "<path class=\"axis\" d=\"M{LEFT} {bottom:.1}H{right:.1}\"/>");
    for (line, class) in lines.iter().zip(["one", "two"]) {
        let figures = figures(line);
        let mut path = String::new();
        for (at, figure) in figures.iter().enumerate() {
            let letter = if at == 0 { 'M' } else { 'L' };
            let (x, y) = (x_of(at, figures.len()), y_of(*figure));
            let _ = write!(path, "{letter}{x:.1} {y:.1}");
        }
        let _ = writeln!(body, "<path class=\"{class}\" d=\"{path}\"/>");
        let last = figures.last().copied().unwrap_or_default();
        let name = format!("{} {last:.0}", line.0);
        text(body, right + 8.0, y_of(last) + 4.0, "", &name);
    }
}
