//! What was seen as one page of HTML that needs nothing else: no scripts, no network.

use std::fmt::Write;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::context::common_settings;
use super::picture;
use super::report::Report;
use crate::args::lab::LabPlan;
use crate::exit::Failure;
use crate::talk::count;

const STYLE: &str = "\
:root{color-scheme:light dark;--page:#fff;--text:#222;--weak:#666;--line:#ddd;--bar:#0a66c2}\
@media(prefers-color-scheme:dark){:root{--page:#16191d;--text:#ddd;--weak:#999;--line:#444;\
--bar:#6cb6ff}}\
body{background:var(--page);color:var(--text);font:16px/1.5 sans-serif;max-width:60rem;\
margin:2rem auto;padding:0 1rem}\
.table{overflow-x:auto}table{border-collapse:collapse}\
th,td{padding:.3rem .8rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}\
th:first-child,td:first-child{text-align:left}\
ul{color:var(--weak);padding-left:1.2rem}.shown{font-weight:bold}.weak{color:var(--weak)}\
svg{display:block;width:100%;max-width:45rem;margin:1.5rem 0}\
svg text{font:13px sans-serif;fill:var(--text)}svg .title{font-weight:bold}.bar{fill:var(--bar)}";

/// Makes sure that a file can be written, before anything is done. Changes nothing.
pub(super) fn check(path: &Path) -> Result<(), Failure> {
    let is_new = !path.exists();
    // Neither made shorter nor read: only whether it opens.
    let opened = File::options().append(true).create(true).open(path);
    opened.map_err(|error| cannot_write(path, &error))?;
    if is_new {
        fs::remove_file(path).map_err(|error| cannot_write(path, &error))?;
    }
    Ok(())
}

/// Writes the page.
pub(super) fn write(path: &Path, plan: &LabPlan, reports: &[Report]) -> Result<(), Failure> {
    fs::write(path, page(plan, reports)).map_err(|error| cannot_write(path, &error))
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("the page {} cannot be written: {error}", path.display()))
        .cure("--html FILE names a file in a folder that is there and may be written to")
}

fn page(plan: &LabPlan, reports: &[Report]) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>ottla lab</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<h1>ottla lab</h1>\n\
         <p class=\"weak\">ottla {}, {} in each run, seed {}. Everything was counted in one run on \
         one machine; times and losses will differ in the next.</p>\n<p class=\"weak\">Each \
         producer has these settings, beside those of its experiment: {}.</p>\n",
        env!("CARGO_PKG_VERSION"),
        count(plan.records, "record"),
        plan.seed,
        escaped(&common_settings()),
    );
    for report in reports {
        section(&mut page, report);
    }
    page.push_str("</body>\n</html>\n");
    page
}

fn section(page: &mut String, report: &Report) {
    let (name, question) = (escaped(report.name), escaped(report.question));
    let _ = writeln!(page, "<section>\n<h2>{name}: {question}</h2>");
    let _ = writeln!(page, "<p class=\"shown\">{}</p>", escaped(&report.sentence));
    page.push_str("<div class=\"table\"><table>\n");
    row(page, "th", &report.table.heading);
    for cells in &report.table.rows {
        row(page, "td", cells);
    }
    page.push_str("</table></div>\n");
    for drawn in report.pictures.iter().map(picture::draw) {
        page.push_str(&drawn);
    }
    page.push_str("<ul>\n");
    for line in &report.settings {
        let _ = writeln!(page, "<li>{}</li>", escaped(line));
    }
    page.push_str("</ul>\n</section>\n");
}

fn row(page: &mut String, element: &str, cells: &[String]) {
    page.push_str("<tr>");
    for cell in cells {
        let _ = write!(page, "<{element}>{}</{element}>", escaped(cell));
    }
    page.push_str("</tr>\n");
}

/// Text that means itself in HTML.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::report::{Picture, Table};
    use super::*;

    #[test]
    fn a_page_needs_nothing_but_itself() {
        let plan = LabPlan { experiment: None, records: 1234, seed: 7, json: false, html: None };
        let report = Report {
            name: "acks",
            question: "what is <lost>?",
            settings: vec!["3 nodes".to_owned()],
            table: Table::new(["acks", "lost"], &[["all".to_owned(), "0".to_owned()]]),
            sentence: "Nothing & nobody.".to_owned(),
            pictures: vec![Picture::Bars {
                title: "lost".to_owned(),
                bars: vec![("all".to_owned(), 0.0)],
            }],
            ..Report::default()
        };
        let page = page(&plan, &[report]);
        for part in [
            "<!doctype html>",
            "1,234 records in each run, seed 7",
            "what is &lt;lost&gt;?",
            "<th>lost</th>",
            "<td>0</td>",
            "Nothing &amp; nobody.",
            "<li>3 nodes</li>",
            "retry.backoff.ms=10",
            "</svg>",
        ] {
            assert!(page.contains(part), "no {part} in {page}");
        }
        for outside in ["http", "src=", "href=", "url(", "<script", "@import"] {
            assert!(!page.contains(outside), "{outside} in {page}");
        }
    }

    #[test]
    fn looking_whether_a_file_can_be_written_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        fs::write(&old, "kept").unwrap();
        check(&old).unwrap();
        check(&new).unwrap();
        assert_eq!(fs::read_to_string(&old).unwrap(), "kept");
        assert!(!new.exists());
        for wrong in [folder.path().to_owned(), folder.path().join("no/such")] {
            let refusal = check(&wrong).unwrap_err();
            assert!(refusal.to_string().contains("cannot be written"), "{refusal}");
        }
    }
}
