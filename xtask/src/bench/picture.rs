//! Pictures of the tables: horizontal bars, whose colours follow the reader's light or dark page.

use std::fmt::Write;
use std::path::Path;

use super::Filled;
use super::page::short;
use super::runs::Measured;
use crate::workspace;

const FOLDER: &str = "pictures";
const WIDTH: f64 = 820.0;
const LEFT: f64 = 250.0;
const ROW: f64 = 20.0;
pub(crate) const STYLE: &str = "text{font:13px sans-serif;fill:#333}.head{font-weight:bold}.ours{fill:#0a66c2}\
    .other{fill:#b8c4d0}.page{fill:#fff}@media(prefers-color-scheme:dark){text{fill:#ddd}\
    .ours{fill:#6cb6ff}.other{fill:#4b5661}.page{fill:#16191d}}";

/// What a bar shows of a row, and how it is written beside it.
type Figure = fn(&Measured) -> Option<(f64, String)>;

const THROUGHPUT: Figure = |row| {
    let rate = row.records_per_second.median;
    (!row.is_limit).then(|| (rate, short(rate)))
};
const CPU: Figure = |row| {
    let cpu = row.cpu_us_per_record.median;
    Some((cpu, format!("{cpu:.3}")))
};
const LATENCY: Figure = |row| {
    let [p50, p99, _] = row.latency_us?;
    Some((p99, format!("{p99:.0} (p50 {p50:.0})")))
};

/// Draws the tables that other clients have a part in.
pub(crate) fn write(docs: &Path, tables: &[Filled]) -> Result<(), String> {
    let folder = docs.join(FOLDER);
    workspace::create_folder(&folder)?;
    for filled in tables.iter().filter(|filled| filled.table.id == "curve") {
        let title = format!("{}: {}", filled.table.title, filled.engine.title());
        workspace::write(&folder.join("gap.svg"), super::curve::draw(&title, filled))?;
    }
    for filled in tables.iter().filter(|filled| filled.table.peers) {
        let engine = filled.engine.title();
        let name = format!("{:?}", filled.engine).to_lowercase().replace(['(', ')'], "");
        let pictures: &[(&str, String, Figure)] = match filled.table.id {
            "latency" => {
                &[("latency", format!("99th percentile of the latency in µs, {engine}"), LATENCY)]
            }
            _ => &[
                ("throughput", format!("records per second, {engine}"), THROUGHPUT),
                ("cpu", format!("CPU µs per record, {engine}"), CPU),
            ],
        };
        for (what, title, figure) in pictures {
            let picture = draw(title, filled, *figure);
            workspace::write(&folder.join(format!("{what}-{name}.svg")), picture)?;
        }
    }
    Ok(())
}

fn draw(title: &str, filled: &Filled, figure: Figure) -> String {
    let mut body = String::new();
    let mut y = 50.0;
    for (load, rows) in filled.table.workloads.iter().zip(&filled.columns) {
        text(&mut body, 12.0, y, "head", load.name);
        y += ROW;
        let figures: Vec<_> = rows.iter().filter_map(|row| Some((row, figure(row)?))).collect();
        let most = figures.iter().map(|(_, (value, _))| *value).fold(f64::MIN_POSITIVE, f64::max);
        for (row, (value, shown)) in figures {
            let length = (WIDTH - LEFT - 150.0) * value / most;
            let class = if row.is_ours { "ours" } else { "other" };
            text(&mut body, 24.0, y, "", &row.name.replace('`', ""));
            let _ = writeln!(
                body,
                "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{:.0}\" width=\"{length:.1}\" \
                 height=\"14\"/>",
                y - 12.0
            );
            text(&mut body, LEFT + length + 6.0, y, "", &shown);
            y += ROW;
        }
        y += ROW / 2.0;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y:.0}\" role=\"img\">\
         <title>{title}</title><style>{STYLE}</style>\
         <rect class=\"page\" width=\"100%\" height=\"100%\"/>\n\
         <text class=\"head\" x=\"12\" y=\"24\">{title}</text>\n{body}</svg>\n"
    )
}

pub(crate) fn text(body: &mut String, x: f64, y: f64, class: &str, words: &str) {
    let _ = writeln!(body, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.0}\">{words}</text>");
}
