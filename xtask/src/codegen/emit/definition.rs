//! Struct definitions: fields, documentation made of facts, defaults.

use super::super::model::{Api, Field, Message, Struct, struct_of};
use super::super::schema::{Type, Versions};
use super::primitive;

/// The struct, its documentation and its default.
pub(super) fn structure(api: &Api, message: &Message, structure: &Struct) -> String {
    let fields: String = structure
        .fields
        .iter()
        .map(|field| {
            format!(
                "/// {}\npub {}: {},\n",
                field_doc(message.versions, field),
                field.name,
                field_type(field)
            )
        })
        .collect();
    let plain = structure.fields.iter().all(|field| is_plain_default(&default_value(field)));
    let (derive, default) =
        if plain { (", Default", String::new()) } else { ("", default_impl(structure)) };
    let eq = if has_float(message, structure) { "" } else { ", Eq" };
    format!(
        "/// {}\n#[derive(Clone, Debug, PartialEq{eq}{derive})]\npub struct {} {{\n{fields}}}\n\n{default}",
        struct_doc(api, message, structure),
        structure.name,
    )
}

/// Floats, also those in structs inside, stand in the way of `Eq`.
fn has_float(message: &Message, structure: &Struct) -> bool {
    structure.fields.iter().any(|field| {
        let inner = struct_of(&field.kind);
        let inner = message.structs.iter().find(|other| Some(other.name.as_str()) == inner);
        field.kind == Type::Float64 || inner.is_some_and(|inner| has_float(message, inner))
    })
}

fn struct_doc(api: &Api, message: &Message, structure: &Struct) -> String {
    if std::ptr::eq(structure, &message.body) {
        let kind = if std::ptr::eq(message, &api.request) { "request" } else { "response" };
        return format!(
            "The body of {} {} {kind}, key {}, versions {}.",
            article(&api.name),
            api.name,
            api.key,
            structure.versions
        );
    }
    let holder = std::iter::once(&message.body).chain(&message.structs).find_map(|holder| {
        let uses = |field: &&Field| struct_of(&field.kind) == Some(structure.name.as_str());
        let field = holder.fields.iter().find(uses)?;
        Some(format!("`{}` in [`{}`]", field.name, holder.name))
    });
    let versions = versions_note(message.versions, structure.versions);
    format!("{}{versions}.", holder.unwrap_or_default())
}

fn article(name: &str) -> &'static str {
    if name.starts_with(['A', 'E', 'I', 'O']) { "an" } else { "a" }
}

/// `, versions 3-9`, or nothing when these are all the message has.
fn versions_note(all: Versions, versions: Versions) -> String {
    match versions {
        same if same == all => String::new(),
        Versions { min, max } if min == max => format!(", version {min}"),
        other => format!(", versions {other}"),
    }
}

fn field_doc(all: Versions, field: &Field) -> String {
    let mut doc = format!("`{}`: {}", field.schema_name, type_words(&field.kind));
    if field.is_nullable() {
        doc += " or null";
    }
    doc += &versions_note(all, field.versions);
    if field.is_nullable() && field.nullable != field.versions {
        doc += &format!(", null in {} only", field.nullable);
    }
    if let Some(tag) = field.tag {
        doc += &format!(", tag {tag}");
    }
    if let Some(default) = &field.default {
        let shown = if default.is_empty() { "\"\"" } else { default.as_str() };
        doc += &format!(", default {shown}");
    }
    if field.ignorable && field.versions != all {
        doc += ", dropped in other versions";
    }
    doc + "."
}

/// A type in the schema's words, which are code, so in backquotes where rustdoc would stumble.
fn type_words(kind: &Type) -> String {
    match kind {
        Type::Bool => "bool".to_owned(),
        Type::Int8 => "int8".to_owned(),
        Type::Int16 => "int16".to_owned(),
        Type::Uint16 => "uint16".to_owned(),
        Type::Int32 => "int32".to_owned(),
        Type::Uint32 => "uint32".to_owned(),
        Type::Int64 => "int64".to_owned(),
        Type::Float64 => "float64".to_owned(),
        Type::Uuid => "uuid".to_owned(),
        Type::String => "string".to_owned(),
        Type::Bytes => "bytes".to_owned(),
        Type::Records => "records".to_owned(),
        Type::Struct(name) => format!("[`{name}`]"),
        Type::Array(element) => format!("list of {}", type_words(element)),
    }
}

/// The Rust type of a field.
fn field_type(field: &Field) -> String {
    let plain = rust_type(&field.kind);
    if field.is_nullable() { format!("Option<{plain}>") } else { plain }
}

fn rust_type(kind: &Type) -> String {
    match kind {
        Type::Uuid => "Uuid".to_owned(),
        Type::String => "String".to_owned(),
        Type::Bytes | Type::Records => "Bytes".to_owned(),
        Type::Struct(name) => name.clone(),
        Type::Array(element) => format!("Vec<{}>", rust_type(element)),
        other => primitive(other).unwrap_or_default().to_owned(),
    }
}

/// The default of a field in Rust.
pub(super) fn default_value(field: &Field) -> String {
    if field.is_null_by_default() {
        return "None".to_owned();
    }
    let value = plain_default(&field.kind, field.default.as_deref().unwrap_or_default());
    if field.is_nullable() { format!("Some({value})") } else { value }
}

/// The default of a field that is not null, also one that may be.
pub(super) fn plain_default(kind: &Type, default: &str) -> String {
    match kind {
        Type::Bool if default.is_empty() => "false".to_owned(),
        Type::Bool => default.to_owned(),
        Type::Float64 if default.is_empty() => "0.0".to_owned(),
        Type::Float64 => default.to_owned(),
        Type::Uuid => "Uuid::ZERO".to_owned(),
        Type::String if default.is_empty() => "String::new()".to_owned(),
        Type::String => format!("String::from({default:?})"),
        Type::Bytes | Type::Records => "Bytes::new()".to_owned(),
        Type::Array(_) => "Vec::new()".to_owned(),
        Type::Struct(name) => format!("{name}::default()"),
        number => number_default(primitive(number).unwrap_or_default(), default),
    }
}

fn number_default(kind: &str, default: &str) -> String {
    let value = match default.strip_prefix("0x") {
        Some(hex) => i128::from_str_radix(hex, 16).unwrap_or_default(),
        None => default.parse::<i128>().unwrap_or_default(),
    };
    let limits = match kind {
        "i32" => Some((i128::from(i32::MIN), i128::from(i32::MAX))),
        "i64" => Some((i128::from(i64::MIN), i128::from(i64::MAX))),
        _ => None,
    };
    match limits {
        Some((min, _)) if value == min => format!("{kind}::MIN"),
        Some((_, max)) if value == max => format!("{kind}::MAX"),
        _ => value.to_string(),
    }
}

/// Whether a derived `Default` gives the same value.
fn is_plain_default(value: &str) -> bool {
    matches!(
        value,
        "0" | "0.0"
            | "false"
            | "None"
            | "String::new()"
            | "Vec::new()"
            | "Bytes::new()"
            | "Uuid::ZERO"
    ) || (value.ends_with("::default()") && !value.starts_with("Some"))
}

fn default_impl(structure: &Struct) -> String {
    let fields: String = structure
        .fields
        .iter()
        .map(|field| format!("{}: {},\n", field.name, default_value(field)))
        .collect();
    format!(
        "impl Default for {} {{\nfn default() -> Self {{\nSelf {{\n{fields}}}\n}}\n}}\n\n",
        structure.name
    )
}

/// The constant with the least size of a struct, for those that stand in lists.
pub(super) fn min_bytes(message: &Message, structure: &Struct) -> String {
    let listed = std::iter::once(&message.body).chain(&message.structs).any(|holder| {
        holder.fields.iter().any(|field| {
            matches!(&field.kind, Type::Array(element)
                if struct_of(element) == Some(structure.name.as_str()))
        })
    });
    if listed {
        format!(
            "/// The least bytes that one takes, in any version.\n\
             const MIN_BYTES: usize = {};\n\n",
            structure.min_bytes
        )
    } else {
        String::new()
    }
}
