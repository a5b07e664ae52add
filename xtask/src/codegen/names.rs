//! Kafka's names in Rust's spelling.

/// `TimeoutMs` as `timeout_ms`; a run of capitals is one word (`IsKRaft` is `is_kraft`).
pub(crate) fn snake_case(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (index, &letter) in chars.iter().enumerate() {
        let after_lower = index > 0 && !chars[index - 1].is_ascii_uppercase();
        let before_lower = index > 0
            && chars[index - 1].is_ascii_uppercase()
            && chars.get(index + 1).is_some_and(char::is_ascii_lowercase);
        if letter.is_ascii_uppercase() && (after_lower || (before_lower && index > 1)) {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

/// A field's name, with the escape that a Rust keyword needs.
pub(crate) fn field_name(name: &str) -> String {
    let name = snake_case(name);
    match name.as_str() {
        "type" | "match" | "ref" | "move" | "use" | "where" => format!("r#{name}"),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_at_capitals() {
        assert_eq!(snake_case("TimeoutMs"), "timeout_ms");
        assert_eq!(snake_case("validateOnly"), "validate_only");
        assert_eq!(snake_case("AddOffsetsToTxn"), "add_offsets_to_txn");
        assert_eq!(snake_case("Enable2Pc"), "enable2_pc");
        assert_eq!(snake_case("HTTPServer"), "http_server");
        assert_eq!(field_name("Type"), "r#type");
    }
}
