//! The kafka-clients jar and the schemas inside it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The release whose schemas are used.
pub(crate) const KAFKA_VERSION: &str = "4.3.1";

/// The folder inside the jar that holds the schemas.
const SCHEMA_DIR: &str = "common/message";

/// The jar under the target folder, fetched with Maven when it is not there yet.
pub(crate) fn locate(root: &Path) -> Result<PathBuf, String> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), |dir| root.join(PathBuf::from(dir)));
    let folder = target.join("kafka-clients");
    let jar = folder.join(format!("kafka-clients-{KAFKA_VERSION}.jar"));
    if jar.is_file() {
        return Ok(jar);
    }
    eprintln!("codegen: fetching kafka-clients {KAFKA_VERSION} with Maven");
    let status = Command::new("mvn")
        .args(["--batch-mode", "--quiet", "-Dstyle.color=never", "dependency:copy"])
        .arg(format!("-Dartifact=org.apache.kafka:kafka-clients:{KAFKA_VERSION}"))
        .arg(format!("-DoutputDirectory={}", folder.display()))
        .current_dir(root)
        .status()
        .map_err(|error| format!("cannot run mvn ({error}); give the jar with --jar PATH"))?;
    if status.success() && jar.is_file() {
        Ok(jar)
    } else {
        Err(format!("Maven could not fetch kafka-clients {KAFKA_VERSION}; give it with --jar PATH"))
    }
}

/// The schemas of requests and responses of `apis`, by name, without their comments.
pub(crate) fn read_schemas(jar: &Path, apis: &[&str]) -> Result<BTreeMap<String, String>, String> {
    let context = |error: &dyn std::fmt::Display| format!("{}: {error}", jar.display());
    let file = File::open(jar).map_err(|error| context(&error))?;
    let mut archive = zip::ZipArchive::new(file).map_err(|error| context(&error))?;
    let mut schemas = BTreeMap::new();
    for name in
        apis.iter().flat_map(|api| ["Request", "Response"].map(|kind| format!("{api}{kind}")))
    {
        let path = format!("{SCHEMA_DIR}/{name}.json");
        let mut entry =
            archive.by_name(&path).map_err(|error| context(&format!("{path}: {error}")))?;
        let mut text = String::new();
        entry.read_to_string(&mut text).map_err(|error| context(&format!("{path}: {error}")))?;
        schemas.insert(name, strip_comments(&text));
    }
    Ok(schemas)
}

/// Removes `//` comments, which JSON does not have, outside of strings.
fn strip_comments(text: &str) -> String {
    text.lines().map(strip_line).collect::<Vec<_>>().join("\n")
}

fn strip_line(line: &str) -> &str {
    let (mut in_string, mut escaped, mut slash) = (false, false, false);
    for (index, byte) in line.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'/' if !in_string && slash => return &line[..index - 1],
            _ => {}
        }
        slash = byte == b'/' && !in_string;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_end_at_the_line_and_strings_keep_their_slashes() {
        assert_eq!(strip_comments("// all\n{ \"a\": 1 } // rest"), "\n{ \"a\": 1 } ");
        assert_eq!(strip_comments(r#""http://x" // y"#), r#""http://x" "#);
        assert_eq!(strip_comments(r#""a\"//b""#), r#""a\"//b""#);
        assert_eq!(strip_comments("a / b"), "a / b");
    }
}
