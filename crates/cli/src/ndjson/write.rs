//! From a record to the line that describes it.

use super::raw;

/// A record as it was read from a partition, but for its headers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordView<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp_ms: Option<i64>,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
}

/// Writes a record as one line that `parse` turns back into the same record.
pub(crate) fn write_record<'h>(
    out: &mut Vec<u8>,
    record: &RecordView<'_>,
    headers: impl Iterator<Item = (&'h str, Option<&'h [u8]>)>,
) {
    out.extend_from_slice(b"{\"topic\":");
    text(record.topic, out);
    out.extend_from_slice(
        format!(",\"partition\":{},\"offset\":{}", record.partition, record.offset).as_bytes(),
    );
    if let Some(timestamp_ms) = record.timestamp_ms {
        out.extend_from_slice(format!(",\"timestamp\":{timestamp_ms}").as_bytes());
    }
    payload("key", record.key, out);
    payload("value", record.value, out);
    let mut headers = headers.peekable();
    if headers.peek().is_some() {
        let mut before: &[u8] = b",\"headers\":[[";
        for (name, value) in headers {
            out.extend_from_slice(before);
            text(name, out);
            out.push(b',');
            header_value(value, out);
            before = b"],[";
        }
        out.extend_from_slice(b"]]");
    }
    out.extend_from_slice(b"}\n");
}

/// A field for a key or a value: text when it is text, else base64 under another name.
fn payload(name: &str, bytes: Option<&[u8]>, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    match bytes.map(|bytes| std::str::from_utf8(bytes).map_err(|_| bytes)) {
        None => out.extend_from_slice(b"\":null"),
        Some(Ok(string)) => {
            out.extend_from_slice(b"\":");
            text(string, out);
        }
        Some(Err(bytes)) => {
            out.extend_from_slice(b"_base64\":\"");
            raw::encode_base64(bytes, out);
            out.push(b'"');
        }
    }
}

fn header_value(bytes: Option<&[u8]>, out: &mut Vec<u8>) {
    match bytes.map(|bytes| std::str::from_utf8(bytes).map_err(|_| bytes)) {
        None => out.extend_from_slice(b"null"),
        Some(Ok(string)) => text(string, out),
        Some(Err(bytes)) => {
            out.extend_from_slice(b"{\"base64\":\"");
            raw::encode_base64(bytes, out);
            out.extend_from_slice(b"\"}");
        }
    }
}

fn text(string: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, string).expect("a string is written to memory");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(record: &RecordView<'_>, headers: &[(&str, Option<&[u8]>)]) -> String {
        let mut out = Vec::new();
        write_record(&mut out, record, headers.iter().copied());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn text_is_shown_as_text_and_bytes_as_base64() {
        let record = RecordView {
            topic: "t",
            partition: 2,
            offset: 5,
            timestamp_ms: Some(17),
            key: Some(b"\xff"),
            value: Some(b"a\"b"),
        };
        assert_eq!(
            line(&record, &[("n", None), ("b", Some(b"\xfe")), ("n", Some(b"x"))]),
            concat!(
                r#"{"topic":"t","partition":2,"offset":5,"timestamp":17,"key_base64":"/w==","#,
                r#""value":"a\"b","headers":[["n",null],["b",{"base64":"/g=="}],["n","x"]]}"#,
                "\n"
            )
        );
    }

    #[test]
    fn what_a_record_has_not_is_null_or_left_out() {
        let record = RecordView {
            topic: "t",
            partition: 0,
            offset: 0,
            timestamp_ms: None,
            key: None,
            value: None,
        };
        let want = "{\"topic\":\"t\",\"partition\":0,\"offset\":0,\"key\":null,\"value\":null}\n";
        assert_eq!(line(&record, &[]), want);
    }
}
