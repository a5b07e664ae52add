//! Functions that write structs.

use super::super::model::{Field, Struct};
use super::super::schema::Type;
use super::definition::plain_default;
use super::{When, flexible, flexible_binding, label, presence, primitive};

/// `Message::encode`.
pub(super) fn message_function(structure: &Struct) -> String {
    let body = body(structure);
    format!(
        "fn encode(&self, out: &mut Vec<u8>, version: i16) -> Result<(), EncodeError> {{\n\
         check_encode::<Self>(\"{}\", version)?;\n{}{body}Ok(())\n}}\n",
        structure.name,
        flexible_binding(structure, &body),
    )
}

/// `encode` of a struct inside a message.
pub(super) fn function(structure: &Struct) -> String {
    let body = body(structure);
    let version = if structure.needs_version { ", version: i16" } else { "" };
    format!(
        "fn encode(&self, out: &mut Vec<u8>{version}) -> Result<(), EncodeError> {{\n\
         {}{body}Ok(())\n}}\n",
        flexible_binding(structure, &body),
    )
}

fn body(structure: &Struct) -> String {
    let (tagged, untagged): (Vec<&Field>, Vec<&Field>) =
        structure.fields.iter().partition(|field| field.tag.is_some());
    let mut out: String = untagged.iter().map(|field| untagged_field(structure, field)).collect();
    out += &tagged_fields(structure, tagged);
    out
}

fn untagged_field(structure: &Struct, field: &Field) -> String {
    let when = presence(structure, field);
    let write = null_guard(structure, field) + &write_statement(structure, field);
    if when == When::Always {
        return write;
    }
    let refusal = if field.ignorable {
        String::new()
    } else {
        format!(
            " else if {} {{ {} }}",
            is_set(field),
            refuse("FieldNotInVersion", structure, field)
        )
    };
    format!("if {} {{\n{write}}}{refusal}\n", when.condition())
}

fn refuse(variant: &str, structure: &Struct, field: &Field) -> String {
    format!("return Err(EncodeError::{variant} {{ field: {}, version }});", label(structure, field))
}

/// Refuses null in the versions that do not allow it.
fn null_guard(structure: &Struct, field: &Field) -> String {
    let when = When::new(field.nullable, field.versions);
    if !field.is_nullable() || when == When::Always {
        return String::new();
    }
    let refuse = refuse("NullNotInVersion", structure, field);
    format!("if self.{}.is_none() && {} {{ {refuse} }}\n", field.name, when.negation())
}

fn write_statement(structure: &Struct, field: &Field) -> String {
    let (name, label, flexible) = (&field.name, label(structure, field), flexible(structure));
    if let Some(primitive) = primitive(&field.kind) {
        return format!("write::{primitive}(out, self.{name});\n");
    }
    let (nullable, place) = if field.is_nullable() {
        ("nullable_", format!("self.{name}.as_deref()"))
    } else {
        ("", format!("&self.{name}"))
    };
    match &field.kind {
        Type::String => {
            format!("write::{nullable}string(out, {place}, {flexible}, {label})?;\n")
        }
        Type::Array(element) => {
            let element = element_closure(structure, element, &label);
            format!("write::{nullable}array(out, {place}, {flexible}, {label}, {element})?;\n")
        }
        Type::Struct(inner) => {
            let version = version_argument(structure, inner);
            if field.is_nullable() {
                let encode = format!("|out, inner| inner.encode(out{version})");
                return format!("write::nullable_struct(out, self.{name}.as_ref(), {encode})?;\n");
            }
            format!("self.{name}.encode(out{version})?;\n")
        }
        _ => format!("write::{nullable}bytes(out, {place}, {flexible}, {label})?;\n"),
    }
}

fn element_closure(structure: &Struct, element: &Type, label: &str) -> String {
    match element {
        Type::Struct(inner) => {
            format!("|out, item| item.encode(out{})", version_argument(structure, inner))
        }
        Type::String => {
            format!("|out, item| write::string(out, item, {}, {label})", flexible(structure))
        }
        Type::Bytes | Type::Records => {
            format!("|out, item| write::bytes(out, item, {}, {label})", flexible(structure))
        }
        other => {
            let primitive = primitive(other).unwrap_or_default();
            format!("|out, item| {{ write::{primitive}(out, *item); Ok(()) }}")
        }
    }
}

/// `, version` when the inner struct's functions take it.
pub(super) fn version_argument(structure: &Struct, inner: &str) -> &'static str {
    if structure.inner_needs_version(inner) { ", version" } else { "" }
}

/// Whether a field differs from its default.
fn is_set(field: &Field) -> String {
    let place = format!("self.{}", field.name);
    let default = field.default.as_deref().unwrap_or_default();
    if field.is_null_by_default() {
        return format!("{place}.is_some()");
    }
    match &field.kind {
        Type::Array(_) | Type::Bytes | Type::Records if field.is_nullable() => {
            format!("{place}.as_ref().is_none_or(|items| !items.is_empty())")
        }
        Type::String if field.is_nullable() => format!("{place}.as_deref() != Some({default:?})"),
        Type::Array(_) | Type::Bytes | Type::Records => format!("!{place}.is_empty()"),
        Type::String if default.is_empty() => format!("!{place}.is_empty()"),
        Type::String => format!("{place} != {default:?}"),
        Type::Bool if default == "true" => format!("!{place}"),
        Type::Bool => place,
        kind => format!("{place} != {}", plain_default(kind, default)),
    }
}

fn tagged_fields(structure: &Struct, mut fields: Vec<&Field>) -> String {
    let when = When::new(structure.flexible, structure.versions);
    if when == When::Never {
        return String::new();
    }
    fields.sort_by_key(|field| field.tag);
    let mut before = String::new();
    let mut writes = String::new();
    for field in &fields {
        before += &tagged_refusal(structure, field);
        writes += &tagged_write(structure, field);
    }
    let content = if fields.is_empty() {
        "write::no_tagged_fields(out);\n".to_owned()
    } else {
        let flags: Vec<_> =
            fields.iter().map(|field| format!("u32::from({})", flag(field))).collect();
        let bindings: String = fields.iter().map(|field| tagged_flag(structure, field)).collect();
        format!("{bindings}write::unsigned_varint(out, {});\n{writes}", flags.join(" + "))
    };
    if when == When::Always {
        return before + &content;
    }
    before + &format!("if flexible {{\n{content}}}\n")
}

/// The variable that says whether a tagged field is written.
fn flag(field: &Field) -> String {
    format!("has_{}", field.name.trim_start_matches("r#"))
}

fn tagged_flag(structure: &Struct, field: &Field) -> String {
    // Inside the flexible versions, so only what cuts those further is a condition.
    let condition = match When::new(field.versions, structure.flexible) {
        When::Always => is_set(field),
        when => format!("{} && {}", when.condition(), is_set(field)),
    };
    format!("let {} = {condition};\n", flag(field))
}

fn tagged_refusal(structure: &Struct, field: &Field) -> String {
    let when = presence(structure, field);
    if field.ignorable || when == When::Always {
        return String::new();
    }
    let refuse = refuse("FieldNotInVersion", structure, field);
    format!("if {} && {} {{ {refuse} }}\n", when.negation(), is_set(field))
}

fn tagged_write(structure: &Struct, field: &Field) -> String {
    let write = write_statement(structure, field);
    // The last statement of the closure is its value where it is a result already.
    let content = match write.trim_end().strip_suffix("?;") {
        Some(result) => result.to_owned(),
        None => format!("{{ {write} Ok(()) }}"),
    };
    format!(
        "if {} {{\nwrite::tagged_field(out, {}, {}, |out| {content})?;\n}}\n",
        flag(field),
        field.tag.unwrap_or_default(),
        label(structure, field),
    )
}
