//! Two pictures in one file: how latency is distributed, and how many records came through in each
//! second. The colours follow the reader's choice of a light or a dark page.

use std::fmt::Write;
use std::time::Duration;

use super::stats::Stats;
use crate::talk::grouped;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 560.0;
/// A picture's frame: left, top, width, height.
const LATENCY: [f64; 4] = [70.0, 60.0, 660.0, 190.0];
const THROUGHPUT: [f64; 4] = [70.0, 330.0, 660.0, 180.0];
const STYLE: &str = "text{font:13px sans-serif;fill:#333}.grid{stroke:#ddd}\
    .line{fill:none;stroke:#0a66c2;stroke-width:2}.bar{fill:#0a66c2}.page{fill:#fff}\
    @media(prefers-color-scheme:dark){text{fill:#ddd}.grid{stroke:#444}.line{stroke:#6cb6ff}\
    .bar{fill:#6cb6ff}.page{fill:#16191d}}";

/// The file's contents.
pub(crate) fn draw(stats: &Stats, elapsed: Duration, topic: &str) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         role=\"img\"><title>ottla bench, topic {topic}</title><style>{STYLE}</style>\
         <rect class=\"page\" width=\"100%\" height=\"100%\"/>\n"
    );
    let seconds = elapsed.as_secs_f64().max(1e-9);
    let rate = grouped((stats.all.count() as f64 / seconds) as u64);
    let sent = grouped(stats.all.count());
    text(&mut svg, 20.0, 28.0, "start", &format!("{sent} records to {topic}, {rate} a second"));
    latency(&mut svg, stats);
    throughput(&mut svg, &stats.per_second);
    svg.push_str("</svg>\n");
    svg
}

/// Latency in milliseconds against the share of records, each step ten times as near to all.
fn latency(svg: &mut String, stats: &Stats) {
    let [left, top, width, height] = LATENCY;
    let curve = stats.all.curve();
    let highest = curve.iter().map(|(_, ms)| *ms).fold(1e-3, f64::max) * 1.05;
    // 0 %, 90 %, 99 % … 99.999 %.
    let nines = |quantile: f64| -(1.0 - quantile).max(1e-5).log10();
    let x = |quantile: f64| left + width * nines(quantile) / 5.0;
    let y = |ms: f64| top + height - height * ms / highest;
    for (quantile, name) in
        [(0.0, "0 %"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %"), (0.9999, "99.99 %")]
    {
        line(svg, [x(quantile), top, x(quantile), top + height]);
        text(svg, x(quantile), top + height + 18.0, "middle", name);
    }
    for step in 0..=4 {
        let ms = highest * f64::from(step) / 4.0;
        line(svg, [left, y(ms), left + width, y(ms)]);
        text(svg, left - 8.0, y(ms) + 4.0, "end", &short(ms));
    }
    text(svg, left, top - 8.0, "start", "latency in ms, and the share of records within it");
    let points: String =
        curve.iter().map(|(q, ms)| format!("{:.1},{:.1} ", x(*q), y(*ms))).collect();
    let _ = writeln!(svg, "<polyline class=\"line\" points=\"{}\"/>", points.trim_end());
}

fn throughput(svg: &mut String, per_second: &[u64]) {
    let [left, top, width, height] = THROUGHPUT;
    let highest = per_second.iter().copied().max().unwrap_or(0).max(1) as f64 * 1.05;
    for step in 0..=4 {
        let records = highest * f64::from(step) / 4.0;
        let y = top + height - height * records / highest;
        line(svg, [left, y, left + width, y]);
        text(svg, left - 8.0, y + 4.0, "end", &short(records));
    }
    text(svg, left, top - 8.0, "start", "records delivered in each second");
    let step = width / per_second.len().max(1) as f64;
    for (second, records) in per_second.iter().enumerate() {
        let tall = height * *records as f64 / highest;
        let _ = writeln!(
            svg,
            "<rect class=\"bar\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{tall:.1}\"/>",
            left + step * second as f64 + step * 0.1,
            top + height - tall,
            step * 0.8,
        );
    }
    let last = per_second.len().saturating_sub(1);
    text(svg, left + step / 2.0, top + height + 18.0, "middle", "0 s");
    if last > 0 {
        let x = left + step * (last as f64 + 0.5);
        text(svg, x, top + height + 18.0, "middle", &format!("{last} s"));
    }
}

fn line(svg: &mut String, [x1, y1, x2, y2]: [f64; 4]) {
    let _ = writeln!(
        svg,
        "<line class=\"grid\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
    );
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, words: &str) {
    let _ =
        writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>");
}

/// A number of about three digits: `0.25`, `12`, `3.4M`.
fn short(number: f64) -> String {
    match number {
        n if n >= 1e6 => format!("{:.1}M", n / 1e6),
        n if n >= 1e3 => format!("{:.0}k", n / 1e3),
        n if n >= 10.0 => format!("{n:.0}"),
        n if n >= 1.0 => format!("{n:.1}"),
        n => format!("{n:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_a_point_for_each_step_and_a_bar_for_each_second() {
        let mut stats = Stats::new(0);
        for n in 0..3000 {
            let at = Duration::from_millis(n);
            stats.delivered(n, at, Duration::from_micros(100 + n), 100);
        }
        let svg = draw(&stats, Duration::from_secs(3), "t");
        assert_eq!(svg.matches("class=\"bar\"").count(), 3);
        assert!(svg.contains("3,000 records to t, 1,000 a second"), "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn a_picture_of_nothing_is_no_panic() {
        let svg = draw(&Stats::new(0), Duration::ZERO, "t");
        assert!(svg.ends_with("</svg>\n") && !svg.contains("NaN"), "{svg}");
    }
}
