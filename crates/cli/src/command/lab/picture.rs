//! Pictures as SVG inside a page, whose style gives them their colours.

use std::fmt::Write;

use super::page::escaped;
use super::report::Picture;
use crate::talk::grouped;

const WIDTH: f64 = 720.0;
/// Where bars begin; their names are before that.
const LEFT: f64 = 250.0;
/// Room behind the longest bar for its number.
const RIGHT: f64 = 80.0;
const ROW: f64 = 26.0;
const TOP: f64 = 34.0;

/// A picture as an element of a page.
pub(super) fn draw(picture: &Picture) -> String {
    match picture {
        Picture::Bars { title, bars } => draw_bars(title, bars),
        Picture::Grid { title, columns, rows } => draw_grid(title, columns, rows),
    }
}

fn draw_bars(title: &str, bars: &[(String, f64)]) -> String {
    let mut svg = begin(title, TOP + ROW * bars.len() as f64);
    let highest = bars.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    let widest = WIDTH - LEFT - RIGHT;
    for (row, (name, value)) in bars.iter().enumerate() {
        let top = TOP + ROW * row as f64;
        let long = if highest > 0.0 { widest * value / highest } else { 0.0 };
        text(&mut svg, LEFT - 10.0, top + 17.0, "end", name);
        let _ = writeln!(
            svg,
            "<rect class=\"bar\" x=\"{LEFT}\" y=\"{:.1}\" width=\"{long:.1}\" height=\"{:.1}\"/>",
            top + 4.0,
            ROW - 8.0
        );
        text(&mut svg, LEFT + long + 8.0, top + 17.0, "start", &number(*value));
    }
    svg.push_str("</svg>\n");
    svg
}

fn draw_grid(title: &str, columns: &[String], rows: &[(String, Vec<u64>)]) -> String {
    let mut svg = begin(title, TOP + ROW * (rows.len() + 1) as f64);
    let step = (WIDTH - LEFT) / columns.len().max(1) as f64;
    for (column, name) in columns.iter().enumerate() {
        let middle = LEFT + step * (column as f64 + 0.5);
        text(&mut svg, middle, TOP + 17.0, "middle", name);
    }
    for (row, (name, cells)) in rows.iter().enumerate() {
        let top = TOP + ROW * (row + 1) as f64;
        let highest = cells.iter().copied().max().unwrap_or(0).max(1) as f64;
        text(&mut svg, LEFT - 10.0, top + 17.0, "end", name);
        for (column, cell) in cells.iter().enumerate() {
            let left = LEFT + step * column as f64;
            let _ = writeln!(
                svg,
                "<rect class=\"bar\" opacity=\"{:.2}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" \
                 height=\"{:.1}\"/>",
                0.6 * *cell as f64 / highest,
                left + 1.0,
                top + 1.0,
                step - 2.0,
                ROW - 2.0
            );
            text(&mut svg, left + step / 2.0, top + 17.0, "middle", &grouped(*cell));
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn begin(title: &str, height: f64) -> String {
    let title = escaped(title);
    let mut svg =
        format!("<svg viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" aria-label=\"{title}\">\n");
    let _ = writeln!(svg, "<text class=\"title\" x=\"0\" y=\"20\">{title}</text>");
    svg
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, words: &str) {
    let words = escaped(words);
    let _ =
        writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>");
}

/// A number of a bar: whole if it is large or has nothing behind the point.
fn number(value: f64) -> String {
    match value {
        value if value >= 1000.0 || value.fract() == 0.0 => grouped(value.max(0.0) as u64),
        value => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_numbers() {
        let bars = vec![("a<b".to_owned(), 1.0), ("c".to_owned(), 4.0), ("d".to_owned(), 0.0)];
        let svg = draw(&Picture::Bars { title: "lost & found".to_owned(), bars });
        let widths: Vec<&str> =
            svg.split("width=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(widths, ["97.5", "390.0", "0.0"], "{svg}");
        assert!(svg.contains("a&lt;b") && svg.contains("lost &amp; found"), "{svg}");
    }

    #[test]
    fn pictures_of_nothing_are_no_panic() {
        let nothing = [
            Picture::Bars { title: String::new(), bars: Vec::new() },
            Picture::Bars { title: String::new(), bars: vec![("a".to_owned(), 0.0)] },
            Picture::Grid { title: String::new(), columns: Vec::new(), rows: Vec::new() },
        ];
        for picture in nothing {
            let svg = draw(&picture);
            assert!(svg.ends_with("</svg>\n") && !svg.contains("NaN"), "{svg}");
        }
    }

    #[test]
    fn a_grid_has_a_cell_for_each_count() {
        let rows = vec![("user-1".to_owned(), vec![0, 1200]), ("(none)".to_owned(), vec![3, 3])];
        let columns = vec!["0".to_owned(), "1".to_owned()];
        let svg = draw(&Picture::Grid { title: "keys".to_owned(), columns, rows });
        assert_eq!(svg.matches("<rect").count(), 4);
        assert!(svg.contains(">1,200<") && svg.contains("opacity=\"0.60\""), "{svg}");
    }
}
