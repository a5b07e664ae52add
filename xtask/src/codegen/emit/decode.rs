//! Functions that read structs.

use super::super::model::{Field, Struct};
use super::super::schema::Type;
use super::definition::default_value;
use super::encode::version_argument;
use super::{When, flexible, flexible_binding, label, presence, primitive};

/// `Message::decode`.
pub(super) fn message_function(structure: &Struct) -> String {
    let body = body(structure);
    format!(
        "fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {{\n\
         check_decode::<Self>(reader, version)?;\n{}{body}}}\n",
        flexible_binding(structure, &body),
    )
}

/// `decode` of a struct inside a message.
pub(super) fn function(structure: &Struct) -> String {
    let body = body(structure);
    let version = if structure.needs_version { ", version: i16" } else { "" };
    format!(
        "fn decode(reader: &mut Reader<'_>{version}) -> Result<Self, DecodeError> {{\n{}{body}}}\n",
        flexible_binding(structure, &body),
    )
}

fn body(structure: &Struct) -> String {
    let (tagged, untagged): (Vec<&Field>, Vec<&Field>) =
        structure.fields.iter().partition(|field| field.tag.is_some());
    let mut out: String = untagged.iter().map(|field| untagged_field(structure, field)).collect();
    out += &tagged_fields(structure, tagged);
    let names: Vec<_> = structure.fields.iter().map(|field| field.name.as_str()).collect();
    out + &format!("Ok(Self {{ {} }})\n", names.join(", "))
}

fn untagged_field(structure: &Struct, field: &Field) -> String {
    let value = read_value(structure, field);
    let value = match presence(structure, field) {
        When::Always => value,
        when => {
            format!("if {} {{ {value} }} else {{ {} }}", when.condition(), default_value(field))
        }
    };
    format!("let {} = {value};\n", field.name)
}

/// An expression that reads a field in the versions that have it.
fn read_value(structure: &Struct, field: &Field) -> String {
    let read = |nullable| format!("{}?", read_result(structure, field, nullable));
    if !field.is_nullable() {
        return read(false);
    }
    match When::new(field.nullable, field.versions) {
        When::Always => read(true),
        when => {
            format!("if {} {{ {} }} else {{ Some({}) }}", when.condition(), read(true), read(false))
        }
    }
}

/// An expression that reads a field as a `Result`.
fn read_result(structure: &Struct, field: &Field, nullable: bool) -> String {
    let (label, flexible) = (label(structure, field), flexible(structure));
    let prefix = if nullable { "nullable_" } else { "" };
    let read = match &field.kind {
        Type::String => format!("reader.{prefix}string({flexible})"),
        Type::Bytes | Type::Records => format!("reader.{prefix}bytes({flexible})"),
        Type::Array(element) => {
            let (min_bytes, closure) = element_reader(structure, element);
            format!("reader.{prefix}array({flexible}, {min_bytes}, {closure})")
        }
        // What is wrong inside names its own field.
        Type::Struct(inner) => {
            if nullable {
                let decode = struct_reader(structure, inner);
                return format!("reader.nullable_struct({decode}).field({label})");
            }
            return format!("{inner}::decode(reader{})", version_argument(structure, inner));
        }
        other => format!("reader.{}()", primitive(other).unwrap_or_default()),
    };
    format!("{read}.field({label})")
}

/// The least size of an element and how to read one.
fn element_reader(structure: &Struct, element: &Type) -> (String, String) {
    let flexible = flexible(structure);
    let fixed = |bytes: usize, name: &str| (bytes.to_string(), format!("Reader::{name}"));
    match element {
        Type::Struct(inner) => (format!("{inner}::MIN_BYTES"), struct_reader(structure, inner)),
        Type::String => ("1".to_owned(), format!("|reader| reader.string({flexible})")),
        Type::Bool => fixed(1, "bool"),
        Type::Int8 => fixed(1, "i8"),
        Type::Int16 => fixed(2, "i16"),
        Type::Uint16 => fixed(2, "u16"),
        Type::Int32 => fixed(4, "i32"),
        Type::Uint32 => fixed(4, "u32"),
        Type::Int64 => fixed(8, "i64"),
        Type::Float64 => fixed(8, "f64"),
        Type::Uuid => fixed(16, "uuid"),
        Type::Bytes | Type::Records | Type::Array(_) => {
            ("1".to_owned(), format!("|reader| reader.bytes({flexible})"))
        }
    }
}

/// What reads a struct, as a function of a reader.
fn struct_reader(structure: &Struct, inner: &str) -> String {
    match version_argument(structure, inner) {
        "" => format!("{inner}::decode"),
        version => format!("|reader| {inner}::decode(reader{version})"),
    }
}

fn tagged_fields(structure: &Struct, fields: Vec<&Field>) -> String {
    let when = When::new(structure.flexible, structure.versions);
    if when == When::Never {
        return String::new();
    }
    let mut before = String::new();
    let mut arms = String::new();
    for field in &fields {
        before += &format!("let mut {} = {};\n", field.name, default_value(field));
        let guard = match When::new(field.versions, structure.flexible) {
            When::Always => String::new(),
            when => format!(" if {}", when.condition()),
        };
        arms += &format!(
            "{}{guard} => {} = {},\n",
            field.tag.unwrap_or_default(),
            field.name,
            read_value(structure, field)
        );
    }
    let read = if fields.is_empty() {
        "reader.skip_tagged_fields()".to_owned()
    } else {
        format!(
            "reader.tagged_fields(|tag, reader| {{\n\
             match tag {{\n{arms}_ => return Ok(false),\n}}\nOk(true)\n}})"
        )
    };
    let read = format!("{read}.field(\"{}\")?;\n", structure.name);
    if when == When::Always {
        return before + &read;
    }
    before + &format!("if flexible {{\n{read}}}\n")
}
